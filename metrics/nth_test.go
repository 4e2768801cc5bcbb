package metrics_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/metrics"
)

// planned keeps the last snapshot, behind a plan.
type planned struct {
	last *metrics.Snapshot
	p    nth.Plan
}

func (d planned) Close() error { return d.p.Close(func() error { return nil }) }

func (d planned) Ping(ctx context.Context) error {
	return nth.Check(ctx, d.p, "Ping", func(context.Context) error { return nil })
}

func (d planned) Export(ctx context.Context, s *metrics.Snapshot) (metrics.Sent, error) {
	return nth.Send(ctx, d.p, "Export", func() (metrics.Sent, error) { *d.last = *s; return metrics.Sent{Packets: 1}, nil })
}

// Whatever call of the exporter fails, and however: Flush and Close say so, and the
// next export has all that was counted.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: metrics.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
		var (
			last metrics.Snapshot
			m    metrics.Metrics
			n    int64
		)
		count := func(to int64) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				m.Counter("things_total").Add(to - n)
				n = to
				return m.Flush(ctx)
			}
		}
		return nth.World{
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					m, err = metrics.New(metrics.WithDriver("planned", func(context.Context) (metrics.Driver, error) { p.Open(); return planned{&last, p}, nil }))
					return err
				}},
				{Name: "one", Do: count(1)},
				{Name: "five", Do: count(5)},
				{Name: "close", Once: true, Do: func(ctx context.Context) error { return m.Close(ctx) }},
			},
			State: func() string {
				s, _ := last.Find("things_total")
				return fmt.Sprint(s.Value)
			},
		}
	})
}
