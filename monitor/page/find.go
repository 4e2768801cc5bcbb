package page

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/trace"
)

// Found is one result of api/search.
type Found struct {
	Kind     string `json:"kind"` // service, instance, endpoint, trace, config, document, lock or logger
	Name     string `json:"name"`
	Service  string `json:"service,omitempty"` // of an instance, endpoint or trace
	Text     string `json:"text,omitempty"`    // what else is known of it
	State    string `json:"state,omitempty"`   // of a service or instance: pass, warn, fail, unknown, lost or stopped
	position int    // where the words begin: earlier is better
}

// Bounds of a search.
const (
	longestSearch = 200 // bytes
	foundOfKind   = 20
	documentTime  = time.Second
)

// finder collects what has all of some words in it.
type finder struct {
	words []string
	by    map[string][]Found
	more  map[string]int // how many of a kind were left out
}

// add takes in a thing whose name or texts have the words.
func (f *finder) add(r Found, texts ...string) {
	all := strings.ToLower(r.Name + "\n" + r.Service + "\n" + r.Text + "\n" + strings.Join(texts, "\n"))
	for i, w := range f.words {
		at := strings.Index(all, w)
		if at < 0 {
			return
		}
		if i == 0 {
			r.position = at
		}
	}
	r.Name, r.Text = cut(r.Name, momentName), cut(r.Text, momentText)
	f.by[r.Kind] = append(f.by[r.Kind], r)
}

// find answers api/search.
func (p *Page) find(r *http.Request) (any, error) {
	text := strings.TrimSpace(r.URL.Query().Get("q"))
	if text == "" || len(text) > longestSearch {
		return nil, &badRequest{fmt.Errorf("a search of %d bytes, want 1 to %d", len(text), longestSearch)}
	}
	f := &finder{words: strings.Fields(strings.ToLower(text)), by: map[string][]Found{}, more: map[string]int{}}
	p.findServices(f)
	p.findTrace(r.Context(), f, strings.ToLower(text))
	p.findSettings(r.Context(), f)
	for _, s := range p.o.locks {
		for _, h := range s.Holds() {
			state := "held by "
			if h.Waiting {
				state = "waited for by "
			}
			f.add(Found{Kind: "lock", Name: h.ID, Text: string(h.Kind) + ", " + state + h.Owner})
		}
	}
	if p.o.log != nil {
		for name, level := range p.o.log.Levels() {
			if name != "" {
				f.add(Found{Kind: "logger", Name: name, Text: level.String()})
			}
		}
	}
	return f.results(), nil
}

// results are the best of each kind.
func (f *finder) results() any {
	out := struct {
		Found []Found        `json:"found"`
		More  map[string]int `json:"more"` // by kind, how many more there are
	}{[]Found{}, f.more}
	for _, kind := range []string{"service", "instance", "trace", "endpoint", "lock", "config", "document", "logger"} {
		list := f.by[kind]
		slices.SortStableFunc(list, func(a, b Found) int {
			return cmp.Or(cmp.Compare(a.position, b.position), strings.Compare(a.Name, b.Name))
		})
		if len(list) > foundOfKind {
			f.more[kind] = len(list) - foundOfKind
			list = list[:foundOfKind]
		}
		out.Found = append(out.Found, list...)
	}
	return out
}

func (p *Page) findServices(f *finder) {
	c := p.mo.Cluster()
	for _, service := range c.Services() {
		v := c.View(service)
		f.add(Found{Kind: "service", Name: service, State: v.Verdict.String(), Text: strings.Join(v.Reasons, ", ")})
		labels, known := map[string]string{}, map[string]bool{}
		if p.o.discovery != nil {
			if s, ok := p.o.discovery.Lookup(service); ok {
				for _, in := range s.Instances {
					labels[in.ID] = in.Address
					for _, k := range slices.Sorted(maps.Keys(in.Labels)) { // the same order each time: the results have it
						labels[in.ID] += " " + k + "=" + in.Labels[k]
					}
				}
			}
		}
		endpoints := map[string]bool{}
		for _, m := range v.Members {
			in := m.Status.Instance
			known[in.ID] = true
			f.add(Found{Kind: "instance", Name: in.ID, Service: service, State: stateOf(m), Text: strings.Join(strings.Fields(in.Version+" "+in.Zone+" "+in.Address), ", ")}, labels[in.ID])
			for _, e := range m.Stats.Endpoints {
				if !e.Client && !endpoints[e.Method] {
					endpoints[e.Method] = true
					f.add(Found{Kind: "endpoint", Name: e.Method, Service: service})
				}
			}
		}
		for id, text := range labels {
			if !known[id] {
				f.add(Found{Kind: "instance", Name: id, Service: service, State: "unknown", Text: "registered, not heard of"}, text)
			}
		}
	}
}

func stateOf(m monitor.Member) string {
	switch {
	case m.Presence != monitor.Present:
		return m.Presence.String()
	case !m.Status.Live || !m.Status.Ready:
		return monitor.Fail.String()
	}
	return m.Status.State.String()
}

// findTrace finds a trace by its whole id.
func (p *Page) findTrace(ctx context.Context, f *finder, id string) {
	var q trace.Query
	if b, err := hex.DecodeString(id); p.o.trace == nil || err != nil || len(b) != len(q.TraceID) || copy(q.TraceID[:], b) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	page, err := p.o.trace.Search(ctx, q)
	if err != nil {
		return // the part says why
	}
	for _, t := range page.Traces {
		if len(t.Spans) > 0 {
			s := summarise(t)
			f.add(Found{Kind: "trace", Name: s.ID, Service: s.Service, Text: fmt.Sprintf("%s, %v, %d spans, %d failed", s.Name, s.Duration.Round(time.Microsecond), s.Spans, s.Errors)})
		}
	}
}

// findSettings finds running values by path and by what the page shows of them,
// and documents by name.
func (p *Page) findSettings(ctx context.Context, f *finder) {
	if p.o.config != nil {
		for path, v := range p.o.config.Snapshot().All() {
			f.add(Found{Kind: "config", Name: path, Text: show(v)})
		}
	}
	if p.o.documents == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, documentTime)
	defer cancel()
	names, err := p.o.documents.Namespaces(ctx)
	if err != nil {
		return // the part says why
	}
	for _, name := range names {
		f.add(Found{Kind: "document", Name: name})
	}
}

// show is a value as the page shows it, secrets redacted.
func show(v config.Value) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}
