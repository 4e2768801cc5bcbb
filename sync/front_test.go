package sync_test

import (
	"context"
	"errors"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/locktest"
)

// unfair hides that memory has a queue, and counts who is near it.
type unfair struct {
	dsync.Driver
	near, most atomic.Int32
}

func (u *unfair) Features() dsync.Features { return dsync.Features{Limits: true} }

func (u *unfair) Claim(r dsync.Request) dsync.Claim { return &unfairClaim{u.Driver.Claim(r), u} }

type unfairClaim struct {
	dsync.Claim
	u *unfair
}

func (c *unfairClaim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	n := c.u.near.Add(1)
	defer c.u.near.Add(-1)
	for m := c.u.most.Load(); n > m && !c.u.most.CompareAndSwap(m, n); m = c.u.most.Load() {
	}
	return c.Claim.Acquire(ctx, wait)
}

// around is two options in one.
func around(o dsync.Option, wrap func(dsync.Driver) dsync.Driver) []dsync.Option {
	return []dsync.Option{o, dsync.WithAround(wrap)}
}

func TestABackendWithoutAQueueKeepsTheContract(t *testing.T) {
	locktest.Run(t, locktest.Harness{
		Bubble:  true,
		Backend: func(testing.TB) dsync.Option { return dsync.Memory(dsync.NewLocks()) },
		Options: []dsync.Option{dsync.WithAround(func(d dsync.Driver) dsync.Driver { return &unfair{Driver: d} })},
	})
}

func TestWaitersOfOneProcessAreOneWaiterAtAnUnfairBackend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &unfair{}
		s, err := dsync.New(around(dsync.Memory(dsync.NewLocks()), func(d dsync.Driver) dsync.Driver { u.Driver = d; return u })...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		first, err := s.Lock(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		var order []int
		var wg gosync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				ctx := t.Context()
				if i%5 == 4 { // some give up
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, time.Second)
					defer cancel()
				}
				l, err := s.Lock(ctx, "x")
				if i%5 == 4 {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("Lock = %v, want deadline exceeded", err)
					}
					return
				}
				if err != nil {
					t.Errorf("Lock: %v", err)
					return
				}
				order = append(order, i) // guarded by the lock
				l.Unlock(t.Context())
			})
			synctest.Wait()
		}
		<-time.After(2 * time.Second)
		first.Unlock(t.Context())
		wg.Wait()
		if n := u.most.Load(); n != 1 {
			t.Errorf("%d at once near the backend, want 1", n)
		}
		if len(order) != 40 {
			t.Errorf("%d of 40 got the lock", len(order))
		}
		for i := 1; i < len(order); i++ {
			if order[i] < order[i-1] {
				t.Fatalf("served in the order %v", order)
			}
		}
	})
}

func TestNewRefusesBadOptions(t *testing.T) {
	mem := dsync.NewLocks()
	for name, opts := range map[string][]dsync.Option{
		"nil option":        {nil},
		"two backends":      {dsync.Memory(mem), dsync.Memory(mem)},
		"nil memory":        {dsync.Memory(nil)},
		"nil driver":        {dsync.WithDriver("x", nil)},
		"nameless driver":   {dsync.WithDriver("", func(context.Context) (dsync.Driver, error) { return nil, nil })},
		"nil around":        {dsync.WithAround(nil)},
		"empty namespace":   {dsync.WithNamespace("")},
		"long namespace":    {dsync.WithNamespace(strings.Repeat("x", 251))},
		"negative timeout":  {dsync.WithTimeout(-1)},
		"zero dial timeout": {dsync.WithDialTimeout(0)},
		"nil logger":        {dsync.WithLogger(nil)},
		"nil default":       {dsync.WithDefaults(nil)},
		"bad default":       {dsync.WithDefaults(dsync.TTL(-1))},
		"wait as default":   {dsync.WithDefaults(dsync.Wait(time.Second))},
		"driver refuses":    {dsync.WithDriver("x", func(context.Context) (dsync.Driver, error) { return nil, errors.New("no") })},
	} {
		s, err := dsync.New(opts...)
		if !errors.Is(err, dsync.ErrInvalid) || s != nil {
			t.Errorf("%s: New = %v, %v, want nil and invalid", name, s, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "sync") {
			t.Errorf("%s: %q does not name the package", name, err)
		}
	}
}

// deaf is a driver that never answers.
type deaf struct {
	dsync.Driver
	closed *atomic.Bool
}

func (deaf) Ping(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
func (d deaf) Close() error                 { d.closed.Store(true); return d.Driver.Close() }

func TestNewAsksTheBackendUnlessLazy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var closed atomic.Bool
		o := dsync.WithAround(func(d dsync.Driver) dsync.Driver { return deaf{d, &closed} })
		start := time.Now()
		_, err := dsync.New(o, dsync.WithDialTimeout(3*time.Second))
		if !errors.Is(err, dsync.ErrUnavailable) || time.Since(start) != 3*time.Second {
			t.Errorf("New = %v after %v, want unavailable after 3s", err, time.Since(start))
		}
		if !closed.Load() {
			t.Error("the driver was left open")
		}
		s, err := dsync.New(o, dsync.WithLazy())
		if err != nil {
			t.Fatalf("New with WithLazy: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func TestSyncsWithoutABackendHaveMemoryOfTheirOwn(t *testing.T) {
	for range 2 {
		s, err := dsync.New()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if _, err := s.TryLock(t.Context(), "x"); err != nil {
			t.Errorf("TryLock: %v", err)
		}
	}
}

func TestDefaultsApplyToLocksAndCandidates(t *testing.T) {
	s, err := dsync.New(dsync.WithDefaults(dsync.Owner("me"), dsync.TTL(time.Minute)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := s.Leader("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Elect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := l.Leader(t.Context()); err != nil || c.Owner != "me" {
		t.Errorf("Leader = %+v, %v, want me", c, err)
	}
}
