package page

import (
	"cmp"

	"github.com/micro/go-platform/trace"
)

// traced takes in the calls that traces show: those of services that report
// nothing, and records that are handled elsewhere.
func (g *graph) traced(all []trace.Trace) {
	spans := 0
	for _, t := range all {
		spans += len(t.Spans)
		if spans > spansAsked {
			return
		}
		g.spans(t.Spans)
	}
}

func (g *graph) spans(list []trace.SpanData) {
	byID := make(map[trace.SpanID]*trace.SpanData, len(list))
	handled := map[trace.SpanID]bool{} // calls whose other side is known
	for i := range list {
		if d := &list[i]; !d.Shared {
			byID[d.Context.SpanID] = d
		}
	}
	for i := range list {
		d := &list[i]
		parent := byID[d.Context.ParentID]
		if d.Shared {
			parent = byID[d.Context.SpanID]
		}
		if d.Kind != trace.Server && d.Kind != trace.Consumer || parent == nil || parent.Local.Service == "" || d.Local.Service == "" {
			continue
		}
		handled[parent.Context.SpanID] = true
		if d.Kind == trace.Server && parent.Local.Service == d.Local.Service {
			continue // a handler within a handler
		}
		g.sampled(g.node(parent.Local.Service, "service"), g.node(d.Local.Service, "service"), d.Kind == trace.Consumer, d)
	}
	for i := range list {
		d := &list[i]
		if d.Kind != trace.Client && d.Kind != trace.Producer || handled[d.Context.SpanID] || d.Local.Service == "" {
			continue
		}
		if name, kind := peer(d); name != "" && name != d.Local.Service {
			g.sampled(g.node(d.Local.Service, "service"), g.node(name, kind), false, d)
		}
	}
}

func (g *graph) sampled(from, to *Node, messages bool, d *trace.SpanData) {
	c := g.edge(from, to)
	if c == nil {
		return
	}
	c.spans = append(c.spans, d.Duration)
	c.Messages = messages && len(c.windows) == 0
	if d.Err != "" {
		c.failed++
	}
}

// peer is what a span calls that no trace shows the inside of.
func peer(d *trace.SpanData) (name, kind string) {
	var system, queue string
	for _, t := range d.Tags {
		switch t.Key {
		case "db.system.name", "db.system":
			system = t.Value.String()
		case "messaging.system":
			queue = t.Value.String()
		}
	}
	switch {
	case system != "":
		return cmp.Or(d.Remote.Service, system), "store"
	case queue != "":
		return cmp.Or(d.Remote.Service, queue), "messages"
	}
	return d.Remote.Service, "external"
}
