package sync_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
	dsync "github.com/micro/go-platform/sync"
)

// planned is a driver behind a plan.
type planned struct {
	dsync.Driver
	p nth.Plan
}

func (d planned) Close() error                   { return d.p.Close(d.Driver.Close) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Driver.Ping) }

func (d planned) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	return nth.Read(ctx, d.p, "Holder", func() (dsync.Candidate, error) { return d.Driver.Holder(ctx, key) })
}

func (d planned) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	return nth.Check(ctx, d.p, "Watch", func(ctx context.Context) error { return d.Driver.Watch(ctx, key, report) })
}

func (d planned) Claim(r dsync.Request) dsync.Claim { return plannedClaim{d.Driver.Claim(r), d.p} }

type plannedClaim struct {
	dsync.Claim
	p nth.Plan
}

func (c plannedClaim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	return nth.Change(ctx, c.p, "Acquire", func() (dsync.Grant, error) { return c.Claim.Acquire(ctx, wait) })
}

func (c plannedClaim) Renew(ctx context.Context) (time.Time, error) {
	return nth.Change(ctx, c.p, "Renew", func() (time.Time, error) { return c.Claim.Renew(ctx) })
}

func (c plannedClaim) Release(ctx context.Context) error {
	return nth.Write(ctx, c.p, "Release", func() error { return c.Claim.Release(ctx) })
}

// Whatever call of the driver fails, and however: the caller hears of it, or it is
// tried again within the lease, and afterwards the lock is free.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	for name, wrap := range map[string]func(dsync.Driver) dsync.Driver{
		"a fair backend":    func(d dsync.Driver) dsync.Driver { return d },
		"one without queue": func(d dsync.Driver) dsync.Driver { return &unfair{Driver: d} },
	} {
		t.Run(name, func(t *testing.T) { plannedLocks(t, wrap) })
	}
}

func plannedLocks(t *testing.T, wrap func(dsync.Driver) dsync.Driver) {
	nth.Run(t, nth.Promises{Unavailable: dsync.ErrUnavailable, Unknown: dsync.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		for _, method := range []string{"Acquire", "Renew", "Holder"} {
			p.Within(method, 5*time.Second)
		}
		p.Within("Watch", 30*time.Second)
		var (
			mem  = dsync.NewLocks()
			s    dsync.Sync
			lead dsync.Leader
		)
		lock := func(take func(ctx context.Context) (dsync.Lock, error), unlock func(context.Context, dsync.Lock) error) func(context.Context) error {
			return func(ctx context.Context) error {
				l, err := take(ctx)
				if err != nil {
					return err
				}
				if err := l.Context().Err(); err != nil {
					t.Errorf("a lock that was just taken is lost: %v", err)
				}
				return unlock(ctx, l)
			}
		}
		unlock := func(ctx context.Context, l dsync.Lock) error { return l.Unlock(ctx) }
		free := func(id string) string {
			o, err := dsync.New(dsync.Memory(mem))
			if err != nil {
				t.Fatal(err)
			}
			defer o.Close()
			l, err := o.Semaphore(context.WithoutCancel(t.Context()), id, 2, dsync.Wait(time.Minute)) // of what a release in the background still holds
			if err != nil {
				return id + " is not free: " + err.Error()
			}
			l.Unlock(context.WithoutCancel(t.Context()))
			return ""
		}
		return nth.World{
			Steps: []nth.Step{
				{Name: "new", Do: func(context.Context) (err error) {
					s, err = dsync.New(dsync.Memory(mem), dsync.WithAround(func(d dsync.Driver) dsync.Driver { p.Open(); return planned{wrap(d), p} }))
					if err == nil {
						lead, err = s.Leader("l")
					}
					return err
				}},
				{Name: "try", Pause: time.Minute, Do: lock(func(ctx context.Context) (dsync.Lock, error) { return s.TryLock(ctx, "a") }, unlock)},
				{Name: "lock", Pause: time.Minute, Do: lock(func(ctx context.Context) (dsync.Lock, error) { return s.Lock(ctx, "a") }, unlock)},
				{Name: "permit", Pause: time.Minute, Do: lock(func(ctx context.Context) (dsync.Lock, error) { return s.Semaphore(ctx, "p", 2) }, unlock)},
				{Name: "hold over renewals", Quiet: true, Pause: time.Minute, Do: lock(func(ctx context.Context) (dsync.Lock, error) {
					return s.Lock(ctx, "a", dsync.TTL(9*time.Second))
				}, func(ctx context.Context, l dsync.Lock) error {
					select {
					case <-time.After(10 * time.Second):
					case <-l.Context().Done():
						return context.Cause(l.Context())
					}
					return l.Unlock(ctx)
				})},
				{Name: "elect", Pause: time.Minute, Do: func(ctx context.Context) error {
					e, err := lead.Elect(ctx)
					if err != nil {
						return err
					}
					defer e.Resign(context.WithoutCancel(ctx))
					who, err := lead.Leader(ctx)
					if err == nil && who.Token != e.Token() {
						err = errors.New("another leads")
					}
					if err != nil {
						return err
					}
					return e.Resign(context.WithoutCancel(ctx))
				}},
				{Name: "watch", Unbounded: true, Do: func(ctx context.Context) (first error) {
					for _, err := range lead.Watch(ctx) {
						if err == nil {
							break
						}
						if first == nil {
							first = err
						}
					}
					if first == nil {
						first = ctx.Err()
					}
					return first
				}},
				{Name: "close", Once: true, Do: func(context.Context) error { return s.Close() }},
			},
			State: func() string {
				time.Sleep(time.Minute) // longer than any lease: what is not renewed is free
				return free("p")
			},
		}
	})
}
