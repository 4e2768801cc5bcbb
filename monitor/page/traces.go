package page

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
)

// TraceSummary is one trace of api/traces.
type TraceSummary struct {
	ID       string        `json:"id"`
	Service  string        `json:"service"`
	Name     string        `json:"name"`
	Start    time.Time     `json:"start"`
	Duration time.Duration `json:"duration"`
	Spans    int           `json:"spans"`
	Errors   int           `json:"errors"`
}

func (p *Page) traces(r *http.Request) (any, error) {
	v := r.URL.Query()
	q := trace.Query{Service: v.Get("service"), Name: v.Get("name"), Errors: v.Get("errors") == "1", After: v.Get("after")}
	var err error
	q.Limit, err = limit(r, 50)
	if err != nil {
		return nil, err
	}
	if s := v.Get("min"); s != "" {
		q.MinDuration, err = time.ParseDuration(s)
		if err != nil {
			return nil, &badRequest{err}
		}
	}
	page, err := p.search(r, q)
	if err != nil {
		return nil, err
	}
	out := struct {
		Traces []TraceSummary `json:"traces"`
		Next   string         `json:"next,omitempty"`
	}{[]TraceSummary{}, page.Next}
	for _, t := range page.Traces {
		if len(t.Spans) > 0 {
			out.Traces = append(out.Traces, summarise(t))
		}
	}
	return out, nil
}

// search says what to do where no reporter of the tracer can be asked.
func (p *Page) search(r *http.Request, q trace.Query) (trace.Page, error) {
	page, err := p.o.trace.Search(r.Context(), q)
	if errors.Is(err, trace.ErrUnsupported) {
		err = fault.Markf(trace.ErrUnsupported, "the tracer's reporters can't be searched; keep the newest spans in memory beside them with trace.Memory(trace.NewStore(0, time.Hour))")
	}
	return page, err
}

func summarise(t trace.Trace) TraceSummary {
	first := t.Spans[0]
	s := TraceSummary{ID: t.ID.String(), Service: first.Local.Service, Name: first.Name, Start: first.Start, Spans: len(t.Spans)}
	for _, span := range t.Spans {
		s.Duration = max(s.Duration, span.Start.Add(span.Duration).Sub(first.Start))
		if span.Err != "" {
			s.Errors++
		}
	}
	return s
}

// Span is one span of api/trace.
type Span struct {
	ID       string            `json:"id"`
	Parent   string            `json:"parent,omitempty"`
	Depth    int               `json:"depth"`
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Service  string            `json:"service"`
	Remote   string            `json:"remote,omitempty"`
	Start    time.Duration     `json:"start"` // since the trace began
	Duration time.Duration     `json:"duration"`
	Error    string            `json:"error,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
	Events   []string          `json:"events,omitempty"`
}

func (p *Page) oneTrace(r *http.Request) (any, error) {
	id := r.URL.Query().Get("id")
	var q trace.Query
	if b, err := hex.DecodeString(id); err != nil || copy(q.TraceID[:], b) != len(b) || len(b) != len(q.TraceID) {
		return nil, &badRequest{fmt.Errorf("trace id %q, want 32 hexadecimal digits", id)}
	}
	page, err := p.search(r, q)
	if err != nil {
		return nil, err
	}
	if len(page.Traces) == 0 {
		return nil, fault.Wrap("monitor/page", "trace", id, fault.NotFound)
	}
	return waterfall(page.Traces[0]), nil
}

// waterfall puts the spans of a trace below their parents, in the order of
// their starts.
func waterfall(t trace.Trace) []Span {
	key := func(d *trace.SpanData) string { return d.Context.SpanID.String() + fmt.Sprint(d.Shared) }
	known := map[trace.SpanID]bool{}
	for i := range t.Spans {
		known[t.Spans[i].Context.SpanID] = true
	}
	children := map[trace.SpanID][]*trace.SpanData{}
	for i := range t.Spans {
		d := &t.Spans[i]
		parent := d.Context.ParentID
		if !known[parent] || parent == d.Context.SpanID {
			parent = trace.SpanID{}
		}
		children[parent] = append(children[parent], d)
	}
	var out []Span
	done := map[string]bool{}
	var walk func(parent trace.SpanID, depth int)
	walk = func(parent trace.SpanID, depth int) {
		list := children[parent]
		slices.SortFunc(list, func(a, b *trace.SpanData) int { return a.Start.Compare(b.Start) })
		for _, d := range list {
			if done[key(d)] {
				continue
			}
			done[key(d)] = true
			out = append(out, span(d, t.Spans[0].Start, depth))
			walk(d.Context.SpanID, depth+1)
		}
	}
	walk(trace.SpanID{}, 0)
	return out
}

func span(d *trace.SpanData, start time.Time, depth int) Span {
	s := Span{
		ID: d.Context.SpanID.String(), Depth: depth, Name: d.Name, Kind: d.Kind.String(), Service: d.Local.Service,
		Remote: cmp.Or(d.Remote.Service, d.Remote.Address), Start: d.Start.Sub(start), Duration: d.Duration, Error: d.Err, Tags: map[string]string{},
	}
	if !d.Context.ParentID.IsZero() {
		s.Parent = d.Context.ParentID.String()
	}
	for _, t := range d.Tags {
		s.Tags[t.Key] = t.Value.String()
	}
	for _, e := range d.Events {
		s.Events = append(s.Events, fmt.Sprintf("%v %s", e.Time.Sub(d.Start).Round(time.Microsecond), e.Name))
	}
	return s
}
