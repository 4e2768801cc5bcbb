package trace_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/trace"
)

// planned is a reporter behind a plan.
type planned struct {
	*trace.Store
	p nth.Plan
}

func (d planned) Close() error                   { return d.p.Close(d.Store.Close) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Store.Ping) }

func (d planned) Report(ctx context.Context, spans []trace.SpanData) (int, error) {
	return nth.Send(ctx, d.p, "Report", func() (int, error) { return d.Store.Report(ctx, spans) })
}

func (d planned) Search(ctx context.Context, q trace.Query) (trace.Page, error) {
	return nth.Read(ctx, d.p, "Search", func() (trace.Page, error) { return d.Store.Search(ctx, q) })
}

// Whatever call of the reporter fails, and however: the spans arrive all the same,
// or are counted as lost and Flush says so.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: trace.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
		var (
			mem   = trace.NewStore(100, time.Hour)
			tr    trace.Tracer
			ended = map[string]bool{}
		)
		span := func(name string) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				_, s := tr.Start(ctx, name)
				s.End()
				ended[name] = true
				err := tr.Flush(ctx)
				if err != nil { // of the user, who gave up, or of spans that were
					_ = tr.Flush(context.WithoutCancel(ctx))
				}
				if err != nil && tr.Stats().Reporters[0].Lost() > 0 {
					return nil
				}
				return err
			}
		}
		return nth.World{
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					tr, err = trace.New(trace.WithDriver("planned", func(context.Context) (trace.Driver, error) { p.Open(); return planned{mem, p}, nil }))
					return err
				}},
				{Name: "a span", Quiet: true, Do: span("first")},
				{Name: "another", Quiet: true, Do: span("second")},
				{Name: "search", Do: func(ctx context.Context) error {
					_, err := tr.Search(ctx, trace.Query{})
					return err
				}},
				{Name: "close", Once: true, Do: func(ctx context.Context) error { return tr.Close(ctx) }},
			},
			State: func() string {
				page, err := mem.Search(context.WithoutCancel(t.Context()), trace.Query{})
				if err != nil {
					t.Fatal(err)
				}
				arrived := map[string]bool{}
				for _, tree := range page.Traces {
					for _, one := range tree.Spans {
						arrived[one.Name] = true
					}
				}
				if n := len(ended) - len(arrived); n > 0 && uint64(n) == tr.Stats().Reporters[0].Lost() {
					return fmt.Sprint(len(ended)) // counted
				}
				return fmt.Sprint(len(arrived))
			},
		}
	})
}
