package discovery

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
)

// planned is a memory registry behind a plan.
type planned struct {
	memoryDriver
	p nth.Plan
}

func (d planned) Close() error { return d.p.Close(d.memoryDriver.Close) }

func (d planned) Ping(ctx context.Context) error {
	return nth.Check(ctx, d.p, "Ping", d.memoryDriver.Ping)
}

func (d planned) Register(ctx context.Context, e Entry, replace func(Entry) bool) error {
	return nth.Write(ctx, d.p, "Register", func() error { return d.memoryDriver.Register(ctx, e, replace) })
}

func (d planned) Renew(ctx context.Context, e Entry) error {
	return nth.Write(ctx, d.p, "Renew", func() error { return d.memoryDriver.Renew(ctx, e) })
}

func (d planned) Deregister(ctx context.Context, e Entry) error {
	return nth.Write(ctx, d.p, "Deregister", func() error { return d.memoryDriver.Deregister(ctx, e) })
}

func (d planned) Watch(ctx context.Context, service string, deliver func(Update)) error {
	return nth.Check(ctx, d.p, "Watch", func(ctx context.Context) error { return d.memoryDriver.Watch(ctx, service, deliver) })
}

func (d planned) Services(ctx context.Context) ([]string, error) {
	return nth.Read(ctx, d.p, "Services", func() ([]string, error) { return d.memoryDriver.Services(ctx) })
}

// Whatever call of the driver fails, and however: the caller hears of it, or the
// heartbeats and the followers try again; who has left is out of the registry.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: ErrUnavailable, Unknown: ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		p.Within("Watch", 30*time.Second)
		var (
			mem  = NewRegistry()
			d    Discovery
			a, b Registration
		)
		return nth.World{
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					d, err = New(WithDriver("planned", func(context.Context) (Driver, error) { p.Open(); return planned{memoryDriver{mem}, p}, nil }))
					return err
				}},
				{Name: "register", Partly: true, Do: func(ctx context.Context) (err error) {
					a, err = d.Register(ctx, in("a"), TTL(30*time.Second))
					return err
				}},
				{Name: "services", Do: func(ctx context.Context) error {
					all, err := d.Services(ctx)
					if err == nil && len(all) != 1 {
						err = fmt.Errorf("got %v", all)
					}
					return err
				}},
				{Name: "get", Pause: time.Minute, Do: func(ctx context.Context) error {
					s, err := d.Get(ctx, "s")
					if err == nil && len(s.Instances) != 1 {
						err = fmt.Errorf("got %v", s)
					}
					return err
				}},
				{Name: "update", Quiet: true, Partly: true, Do: func(ctx context.Context) error {
					return a.Update(ctx, func(in *Instance) { in.Version = "2" })
				}},
				{Name: "three heartbeats", Quiet: true, Do: func(context.Context) error {
					time.Sleep(40 * time.Second)
					return a.Err()
				}},
				{Name: "register another", Partly: true, Do: func(ctx context.Context) (err error) {
					b, err = d.Register(ctx, in("b"), TTL(time.Hour))
					return err
				}},
				{Name: "deregister", Partly: true, Do: func(ctx context.Context) error { return b.Deregister(ctx) }},
				{Name: "close", Once: true, Do: func(context.Context) error { return d.Close() }},
			},
			State: func() string {
				mem.mu.Lock()
				defer mem.mu.Unlock()
				text := ""
				if s := mem.services["s"]; s != nil {
					for _, id := range []string{"a", "b"} {
						if e, ok := s.held(id, time.Now()); ok {
							text += fmt.Sprint(id, e.Version, " ")
						}
					}
				}
				return text
			},
		}
	})
}
