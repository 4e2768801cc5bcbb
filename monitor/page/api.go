package page

import (
	"cmp"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

// Overview is what api/overview answers.
type Overview struct {
	Now      time.Time       `json:"now"`
	Self     monitor.Status  `json:"self"`
	Services []monitor.View  `json:"services"`
	Parts    map[string]bool `json:"parts"` // which of router, traces, events, config, levels there are
	Write    bool            `json:"write"` // whether whoever asks may change anything
}

func (p *Page) overview(r *http.Request) (any, error) {
	c := p.mo.Cluster()
	o := Overview{Now: time.Now(), Self: p.mo.Status(), Services: []monitor.View{}, Write: p.o.access(r) >= Write, Parts: map[string]bool{
		"router": p.o.router != nil, "traces": p.o.trace != nil, "events": p.o.events != nil, "config": p.o.config != nil, "levels": p.o.log != nil,
	}}
	for _, service := range c.Services() {
		o.Services = append(o.Services, c.View(service))
	}
	return o, nil
}

func (p *Page) history(*http.Request) (any, error) { return p.series.all(), nil }

func missing(what string) error {
	return fault.New(fault.NotFound, "monitor/page", "read", what, "the page was not given one")
}

func (p *Page) routing(r *http.Request) (any, error) {
	if p.o.router == nil {
		return nil, missing("router")
	}
	service := r.URL.Query().Get("service")
	if service == "" {
		return nil, &badRequest{errors.New("which service?")}
	}
	labels := map[string]string{}
	for k, v := range r.URL.Query() {
		if name, ok := strings.CutPrefix(k, "label."); ok {
			labels[name] = v[0]
		}
	}
	return p.o.router.Explain(service, router.Labels(labels)), nil
}

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
	if p.o.trace == nil {
		return nil, missing("tracer")
	}
	v := r.URL.Query()
	q := trace.Query{Service: v.Get("service"), Name: v.Get("name"), Errors: v.Get("errors") == "1", After: v.Get("after")}
	var err error
	if q.Limit, err = limit(r, 50); err != nil {
		return nil, err
	}
	if s := v.Get("min"); s != "" {
		if q.MinDuration, err = time.ParseDuration(s); err != nil {
			return nil, &badRequest{err}
		}
	}
	page, err := p.o.trace.Search(r.Context(), q)
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
	if p.o.trace == nil {
		return nil, missing("tracer")
	}
	id := r.URL.Query().Get("id")
	var q trace.Query
	if b, err := hex.DecodeString(id); err != nil || copy(q.TraceID[:], b) != len(b) || len(b) != len(q.TraceID) {
		return nil, &badRequest{fmt.Errorf("trace id %q, want 32 hexadecimal digits", id)}
	}
	page, err := p.o.trace.Search(r.Context(), q)
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

// EventLine is one record of api/events.
type EventLine struct {
	ID      string    `json:"id"`
	Type    string    `json:"type"`
	Source  string    `json:"source,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Time    time.Time `json:"time"`
	Data    string    `json:"data,omitempty"` // at most 500 bytes
}

func (p *Page) events(r *http.Request) (any, error) {
	if p.o.events == nil {
		return nil, missing("stream")
	}
	n, err := limit(r, 100)
	if err != nil {
		return nil, err
	}
	opts := []event.QueryOption{event.Reverse(), event.Limit(n)}
	if t := r.URL.Query().Get("type"); t != "" {
		opts = append(opts, event.Types(t))
	}
	out := []EventLine{}
	for rec, err := range p.o.events.Query(r.Context(), opts...) {
		if err != nil {
			return nil, err
		}
		out = append(out, EventLine{rec.ID, rec.Type, rec.Source, rec.Subject, rec.Time, text(rec.Data)})
	}
	return out, nil
}

// text is what a person can read of some data.
func text(b []byte) string {
	if !utf8.Valid(b) {
		return fmt.Sprintf("%d bytes", len(b))
	}
	if len(b) > 500 {
		return strings.ToValidUTF8(string(b[:500]), "") + "…"
	}
	return string(b)
}

// ConfigValue is one value of api/config.
type ConfigValue struct {
	Path   string          `json:"path"`
	Value  json.RawMessage `json:"value"`
	Origin string          `json:"origin"`
}

func (p *Page) configuration(*http.Request) (any, error) {
	if p.o.config == nil {
		return nil, missing("config")
	}
	s, h := p.o.config.Snapshot(), p.o.config.Health()
	out := struct {
		Version uint64        `json:"version"`
		Applied time.Time     `json:"applied"`
		OK      bool          `json:"ok"`
		Problem string        `json:"problem,omitempty"`
		Values  []ConfigValue `json:"values"`
	}{Version: s.Version(), Applied: s.Applied(), OK: h.OK, Values: []ConfigValue{}}
	if err := h.Err(); err != nil {
		out.Problem = err.Error()
	}
	for path, v := range s.All() {
		b, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		origin := ""
		if o, ok := s.Origin(path); ok {
			origin = o.String()
		}
		out.Values = append(out.Values, ConfigValue{path, b, origin})
	}
	return out, nil
}

func (p *Page) levels(*http.Request) (any, error) {
	if p.o.log == nil {
		return nil, missing("log")
	}
	out := map[string]string{}
	for name, l := range p.o.log.Levels() {
		out[name] = l.String()
	}
	return out, nil
}

func (p *Page) setLevel(w http.ResponseWriter, r *http.Request) {
	if p.o.access(r) < Write || http.NewCrossOriginProtection().Check(r) != nil {
		fail(w, http.StatusForbidden, "not allowed")
		return
	}
	p.answer(w, r, func(r *http.Request) (any, error) {
		if p.o.log == nil {
			return nil, missing("log")
		}
		v := r.URL.Query()
		var level slog.Level
		if err := level.UnmarshalText([]byte(v.Get("level"))); err != nil {
			return nil, &badRequest{err}
		}
		var revert time.Duration
		if s := v.Get("for"); s != "" {
			var err error
			if revert, err = time.ParseDuration(s); err != nil || revert < 0 {
				return nil, &badRequest{fmt.Errorf("duration %q", s)}
			}
		}
		p.o.log.SetLevel(v.Get("name"), level, revert)
		return p.levels(r)
	})
}

// limit reads how many results are wanted, 1000 at the most.
func limit(r *http.Request, def int) (int, error) {
	s := r.URL.Query().Get("limit")
	if s == "" {
		return def, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > 1000 {
		return 0, &badRequest{fmt.Errorf("limit %q, want 1 to 1000", s)}
	}
	return n, nil
}
