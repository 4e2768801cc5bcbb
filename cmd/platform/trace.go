package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/zipkin"
)

func traceNoun() *command {
	return &command{
		name: "trace", short: "traces: find, show",
		long: "It asks Zipkin's HTTP API: of Zipkin's server, or of another that has it.",
		subs: []*command{traceFind(), traceShow()},
	}
}

func traceTarget(f *flags) *target { return f.target("trace", "Zipkin's server") }

func openTrace(c *call, t *target) (trace.Tracer, error) {
	return opened(c, t, trace.New, nil, engine.Scheme(func(url string) trace.Option { return zipkin.Backend(url) }, "http", "https"))
}

type traceJSON struct {
	ID       string    `json:"id"`
	Start    time.Time `json:"start"`
	Duration float64   `json:"seconds"`
	Spans    int       `json:"spans"`
	Services []string  `json:"services"`
	Root     string    `json:"root"` // service and name of the first span
	Errors   int       `json:"errors"`
}

func traceOf(t trace.Trace) (v traceJSON) {
	first := t.Spans[0]
	end := first.Start
	services := map[string]bool{}
	for _, s := range t.Spans {
		services[s.Local.Service] = true
		if at := s.Start.Add(s.Duration); at.After(end) {
			end = at
		}
		if s.Err != "" {
			v.Errors++
		}
	}
	delete(services, "")
	v.ID, v.Start, v.Spans = t.ID.String(), first.Start.UTC(), len(t.Spans)
	v.Duration = end.Sub(first.Start).Seconds()
	v.Services = slices.Sorted(maps.Keys(services))
	v.Root = strings.TrimSpace(first.Local.Service + " " + first.Name)
	return v
}

func traceFind() *command {
	return &command{
		name: "find", short: "list traces, the newest first",
		examples: []string{"platform trace find", "platform trace find -service orders -min 50ms", "platform trace find -errors -since 1h -o json", "platform trace find -tag http.route=/orders"},
		setup: func(f *flags) action {
			var q trace.Query
			f.text(&q.Service, "service", "`NAME`: that service takes part")
			f.text(&q.Name, "name", "`NAME` of a span")
			shortest := f.duration("min", "a span takes `DURATION` or longer")
			longest := f.duration("max", "a span takes `DURATION` or less")
			errs := f.bool("errors", "a span has failed")
			tags := f.pairs("tag", "`NAME=VALUE` of a span; may be given several times")
			since := f.moment("since", "`TIME`: from then on, such as 10m; the last day if none is given")
			until := f.moment("until", "`TIME`: before then")
			limit := f.int("limit", 20, "list `N` at the most")
			t := traceTarget(f)
			return func(ctx context.Context, c *call) error {
				if *limit < 1 {
					return badUse("-limit %d: want 1 or more", *limit)
				}
				q.MinDuration, q.MaxDuration, q.Since, q.Until = *shortest, *longest, *since, *until
				q.Errors, q.Tags, q.Limit = *errs, tags, *limit
				tr, err := openTrace(c, t)
				if err != nil {
					return err
				}
				found, err := tr.Search(ctx, q)
				if err != nil {
					return err
				}
				out := c.table("START", "ID", "DURATION", "SPANS", "ROOT", "SERVICES")
				for _, one := range found.Traces {
					v := traceOf(one)
					root := painted{0, v.Root}
					if v.Errors > 0 {
						root.color = red
					}
					took := brief(time.Duration(v.Duration * float64(time.Second)))
					if err := out.row(v, c.when(v.Start), v.ID, took, v.Spans, root, strings.Join(v.Services, ",")); err != nil {
						return err
					}
				}
				if found.Next != "" {
					c.note("… more than %d; see -limit", *limit)
				}
				return out.end("no traces")
			}
		},
	}
}

type spanJSON struct {
	ID       string            `json:"id"`
	Parent   string            `json:"parent,omitempty"`
	Service  string            `json:"service,omitempty"`
	Name     string            `json:"name"`
	Kind     string            `json:"kind"`
	Start    time.Time         `json:"start"`
	Duration float64           `json:"seconds"`
	Error    string            `json:"error,omitempty"`
	Tags     map[string]string `json:"tags,omitempty"`
}

func traceShow() *command {
	return &command{
		name: "show", args: "ID", min: 1, max: 1, short: "print a trace as a tree",
		long:     "With -o json each span is a line.",
		examples: []string{"platform trace show $(platform trace find -limit 1 | cut -f2)", "platform trace show 0123456789abcdef0123456789abcdef   # exit 1"},
		setup: func(f *flags) action {
			t := traceTarget(f)
			return func(ctx context.Context, c *call) error {
				id, err := traceID(c.args[0])
				if err != nil {
					return err
				}
				tr, err := openTrace(c, t)
				if err != nil {
					return err
				}
				found, err := tr.Search(ctx, trace.Query{TraceID: id})
				if err != nil {
					return err
				}
				if len(found.Traces) == 0 {
					return no("no trace %s", id)
				}
				return showTrace(c, found.Traces[0])
			}
		},
	}
}

func showTrace(c *call, t trace.Trace) error {
	if !c.isJSON() {
		for line := range strings.Lines(t.Tree()) {
			line = printable(strings.TrimRight(line, " \n"))
			if c.colors(c.outTerminal) && strings.Contains(line, "  error: ") {
				line = red.paint(line)
			}
			if _, err := fmt.Fprintln(c.out, line); err != nil {
				return err
			}
		}
		return nil
	}
	for _, s := range t.Spans {
		v := spanJSON{ID: s.Context.SpanID.String(), Service: s.Local.Service, Name: s.Name, Kind: s.Kind.String(), Start: s.Start.UTC(), Duration: s.Duration.Seconds(), Error: s.Err}
		if !s.Context.ParentID.IsZero() {
			v.Parent = s.Context.ParentID.String()
		}
		for _, tag := range s.Tags {
			if v.Tags == nil {
				v.Tags = map[string]string{}
			}
			v.Tags[tag.Key] = tag.Value.String()
		}
		if err := c.json(v); err != nil {
			return err
		}
	}
	return nil
}

// traceID reads the 32 digits of an id, or the 16 of a short one.
func traceID(s string) (id trace.TraceID, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != 16 && len(b) != 8 {
		return id, badUse("%q is no id of a trace: want 32 or 16 hexadecimal digits", s)
	}
	copy(id[16-len(b):], b)
	return id, nil
}
