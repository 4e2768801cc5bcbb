package monitor_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/monitor"
)

// planned is a memory behind a plan.
type planned struct {
	monitor.Driver
	p nth.Plan
}

func (d planned) Close() error                   { return d.p.Close(d.Driver.Close) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Driver.Ping) }

func (d planned) Publish(ctx context.Context, r monitor.Report) error {
	return nth.Check(ctx, d.p, "Publish", func(ctx context.Context) error { return d.Driver.Publish(ctx, r) })
}

func (d planned) Watch(ctx context.Context, f func(monitor.Report)) error {
	return nth.Check(ctx, d.p, "Watch", func(ctx context.Context) error { return d.Driver.Watch(ctx, f) })
}

// Whatever call of the driver fails, and however: the monitors see each other soon
// afterwards.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: monitor.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
		p.Within("Watch", 30*time.Second)
		var (
			mem   = monitor.NewReports()
			m     monitor.Monitor
			other monitor.Monitor
			once  sync.Once
		)
		sees := func(who monitor.Monitor, id string, phase monitor.Phase) error {
			for range 600 {
				for _, in := range who.Cluster().View("s").Members {
					if in.Status.Instance.ID == id && in.Status.Phase == phase {
						return nil
					}
				}
				time.Sleep(100 * time.Millisecond)
			}
			return errors.New("within a minute " + id + " is not seen")
		}
		var err error
		other, err = monitor.New(monitor.WithInstance(monitor.Instance{Service: "s", ID: "other"}), monitor.Memory(mem))
		if err != nil {
			t.Fatal(err)
		}
		stop := func() { once.Do(func() { other.Close(context.Background()) }) }
		return nth.World{
			Background: []string{"Publish", "Watch"},
			End:        stop,
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					m, err = monitor.New(monitor.WithInstance(monitor.Instance{Service: "s", ID: "one"}),
						monitor.WithDriver("planned", func(context.Context) (monitor.Driver, error) { p.Open(); return planned{mem.Driver(), p}, nil }))
					return err
				}},
				{Name: "it is seen", Do: func(context.Context) error { return sees(other, "one", monitor.Running) }},
				{Name: "it sees", Do: func(context.Context) error { return sees(m, "other", monitor.Running) }},
				{Name: "its change is seen", Do: func(context.Context) error {
					m.SetPhase(monitor.Draining)
					return sees(other, "one", monitor.Draining)
				}},
				{Name: "close", Once: true, Do: func(ctx context.Context) error { defer stop(); return m.Close(context.WithoutCancel(ctx)) }},
			},
		}
	})
}
