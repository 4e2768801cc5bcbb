package config_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/internal/nth"
)

// planned is a memory behind a plan, with every ability of a source.
type planned struct {
	*config.MemorySource
	p nth.Plan
}

func (d planned) Open(context.Context) error { d.p.Open(); return nil } // needs no server

func (d planned) Close() error { return d.p.Close(func() error { return nil }) }

func (d planned) Read(ctx context.Context) (config.Content, error) {
	return nth.Read(ctx, d.p, "Read", func() (config.Content, error) { return d.MemorySource.Read(ctx) })
}

func (d planned) Watch(ctx context.Context, deliver func(config.Content, error)) error {
	return nth.Check(ctx, d.p, "Watch", func(ctx context.Context) error { return d.MemorySource.Watch(ctx, deliver) })
}

// Whatever call of a source fails, and however: New and Reload say so, what runs
// stays, and the newest content runs soon afterwards.
func TestEveryCallOfASourceMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: config.ErrUnavailable}, func(t *testing.T, p nth.Plan) nth.World {
		p.Within("Watch", 30*time.Second)
		var (
			mem = config.Memory("m", map[string]int{"n": 1})
			c   config.Config
		)
		runs := func(n int) error {
			for range 600 {
				if c.Get("n").Int(0) == n && c.Health().OK {
					return nil
				}
				time.Sleep(time.Second)
			}
			return errors.New("not within ten minutes: " + c.Get("").Show())
		}
		return nth.World{
			Background: []string{"Watch"},
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					c, err = config.New(config.WithSource(planned{mem, p}))
					return err
				}},
				{Name: "a change", Quiet: true, Partly: true, Do: func(context.Context) error {
					if err := mem.Set(map[string]int{"n": 2}); err != nil {
						return err
					}
					return runs(2)
				}},
				{Name: "reload", Quiet: true, Partly: true, Do: func(ctx context.Context) error {
					if err := mem.Set(map[string]int{"n": 3}); err != nil {
						return err
					}
					if err := c.Reload(ctx); err != nil {
						return err
					}
					return runs(3)
				}},
				{Name: "close", Once: true, Do: func(context.Context) error { return c.Close() }},
			},
			State: func() string {
				if c == nil {
					return ""
				}
				return c.Get("").Show()
			},
		}
	})
}
