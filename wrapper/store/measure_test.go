package store_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
	"github.com/micro/go-platform/wrapper/store"
)

// losing is a driver whose claims are all lost while lose is true.
type losing struct {
	sync.Driver
	lose *atomic.Bool
}

func (l losing) Claim(r sync.Request) sync.Claim { return losingClaim{l.Driver.Claim(r), l.lose} }

type losingClaim struct {
	sync.Claim
	lose *atomic.Bool
}

func (c losingClaim) Renew(ctx context.Context) (time.Time, error) {
	if c.lose.Load() {
		return time.Time{}, sync.ErrLost
	}
	return c.Claim.Renew(ctx)
}

// What a Sync holds and waits for is counted when somebody looks; what is lost
// is counted, and what is released is not.
func TestLocksAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mt, err1 := metrics.New()
		w, err2 := wrapper.New(wrapper.WithName("shop"), wrapper.WithMetrics(mt))
		var lose atomic.Bool
		raw, err3 := sync.New(sync.WithAround(func(d sync.Driver) sync.Driver { return losing{d, &lose} }))
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatal(err)
		}
		defer w.Close(t.Context())
		s := store.Sync(w, raw, "memory")
		check := func(when string, want map[string][3]float64) { // by kind: held, waiting, lost
			t.Helper()
			synctest.Wait()
			snap := mt.Snapshot()
			for kind, v := range want {
				for i, name := range []string{"held", "waiting", "lost"} {
					if one, _ := snap.Find("platform.lock."+name, "memory", kind); one.Value != v[i] {
						t.Errorf("%s: %v %s %s, want %v", when, one.Value, kind, name, v[i])
					}
				}
			}
		}
		a, err1 := s.Lock(t.Context(), "a")
		b, err2 := s.TryLock(t.Context(), "b")
		permit, err3 := s.Semaphore(t.Context(), "pool", 2)
		election, err4 := s.Leader("boss")
		if err := errors.Join(err1, err2, err3, err4); err != nil {
			t.Fatal(err)
		}
		term, err := election.Elect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		waiting, giveUp := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() {
			_, _ = s.Lock(waiting, "a")
			close(ended)
		}()
		check("all are held", map[string][3]float64{"lock": {2, 1, 0}, "semaphore": {1, 0, 0}, "leader": {1, 0, 0}})
		giveUp()
		<-ended
		if err := errors.Join(a.Unlock(t.Context()), permit.Unlock(t.Context())); err != nil {
			t.Fatal(err)
		}
		check("some are released", map[string][3]float64{"lock": {1, 0, 0}, "semaphore": {0, 0, 0}, "leader": {1, 0, 0}})
		lose.Store(true)
		<-b.Context().Done()
		<-term.Context().Done()
		check("the others are lost", map[string][3]float64{"lock": {0, 0, 1}, "semaphore": {0, 0, 0}, "leader": {0, 0, 1}})
		lose.Store(false)
		if _, err := s.Lock(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(election.Close(), s.Close()); err != nil {
			t.Fatal(err)
		}
		check("closed", map[string][3]float64{"lock": {0, 0, 1}, "semaphore": {0, 0, 0}, "leader": {0, 0, 1}})
	})
}

// Without metrics nothing is kept, and nothing is in the way.
func TestLocksWithoutMetrics(t *testing.T) {
	w, err1 := wrapper.New(wrapper.WithName("shop"))
	raw, err2 := sync.New()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	defer w.Close(t.Context())
	s := store.Sync(w, raw, "memory")
	l, err := s.Lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Unlock(t.Context()), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// holding are locks that say what they hold.
type holding struct {
	sync.Sync
	holds *atomic.Int64
}

func (h holding) Holds() []sync.Hold {
	all := make([]sync.Hold, h.holds.Load())
	for i := range all {
		all[i].Kind = sync.KindLock
	}
	return all
}

// Close looks for the last time.
func TestLocksAreMeasuredAtClose(t *testing.T) {
	mt, err1 := metrics.New()
	w, err2 := wrapper.New(wrapper.WithName("shop"), wrapper.WithMetrics(mt))
	raw, err3 := sync.New()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.WithoutCancel(t.Context()))
	says := holding{raw, new(atomic.Int64)}
	says.holds.Store(3)
	s := store.Sync(w, says, "memory")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	says.holds.Store(5)
	if one, ok := mt.Snapshot().Find("platform.lock.held", "memory", "lock"); !ok || one.Value != 3 {
		t.Errorf("%v are held after Close, there %v, want the 3 of then", one.Value, ok)
	}
}
