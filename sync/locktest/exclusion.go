package locktest

import (
	"context"
	gosync "sync"
	"sync/atomic"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

var exclusionCases = []testCase{
	{"ManyCallersOfSeveralProcessesExcludeEachOther", manyExclude},
	{"TwoCallersOfOneProcessExcludeEachOther", oneProcess},
	{"TryLockOfAHeldIdLeavesNothing", tryLock},
	{"TokensRise", tokensRise},
	{"UnlockEndsTheContextAndIsIdempotent", unlockTwice},
	{"UnlockWithAnEndedContextStillReleases", unlockEnded},
	{"ContextKeepsValuesNotTheEnd", contextValues},
	{"IdsAndNamespacesAndKindsAreApart", apart},
	{"UnlockFromAnyGoroutine", unlockRace},
}

func manyExclude(s *suite) {
	const processes, goroutines, rounds = 3, 3, 4
	var inside, count atomic.Int32
	var wg gosync.WaitGroup
	for range processes {
		x := s.open()
		for range goroutines {
			wg.Go(func() {
				for range rounds {
					l, err := x.Lock(s.context(), "x")
					if err != nil {
						s.Errorf("Lock: %v", err)
						return
					}
					if n := inside.Add(1); n != 1 {
						s.Errorf("%d holders at once", n)
					}
					count.Add(1)
					inside.Add(-1)
					s.unlock(l)
				}
			})
		}
	}
	wg.Wait()
	if n := count.Load(); n != processes*goroutines*rounds {
		s.Errorf("%d critical sections, want %d", n, processes*goroutines*rounds)
	}
}

func oneProcess(s *suite) {
	x := s.open()
	l := s.lock(x, "x")
	s.held(x, "x")
	second := make(chan dsync.Lock)
	go func() {
		l, err := x.Lock(s.context(), "x")
		if err != nil {
			s.Errorf("second Lock: %v", err)
		}
		second <- l
	}()
	select {
	case <-second:
		s.Fatal("the second caller got the lock while the first holds it")
	case <-time.After(50 * time.Millisecond):
	}
	s.unlock(l)
	if l2 := <-second; l2 != nil {
		if l.Context().Err() == nil {
			s.Error("the first holder's context lives on")
		}
		s.unlock(l2)
	}
}

func tryLock(s *suite) {
	a, b := s.open(), s.open()
	l, err := a.TryLock(s.context(), "x")
	if err != nil {
		s.Fatalf("TryLock of a free id: %v", err)
	}
	for range 5 {
		s.held(b, "x")
		s.held(a, "x")
	}
	s.unlock(l)
	s.free(b, "x")
}

func tokensRise(s *suite) {
	a, b := s.open(), s.open()
	var last uint64
	for i := range 12 {
		x := a
		if i%3 == 1 {
			x = b
		}
		l, err := x.TryLock(s.context(), "x")
		if err != nil {
			s.Fatalf("TryLock: %v", err)
		}
		if l.Token() <= last {
			s.Errorf("token %d after %d", l.Token(), last)
		}
		last = l.Token()
		s.unlock(l)
	}
}

func unlockTwice(s *suite) {
	x := s.open()
	l := s.lock(x, "x")
	if l.ID() != "x" || l.Context().Err() != nil {
		s.Errorf("id %q and context %v, want x and nil", l.ID(), l.Context().Err())
	}
	s.unlock(l)
	s.ended("an unlocked lock's context", l.Context(), context.Canceled)
	other := s.lock(x, "x")
	s.unlock(l) // must not touch the other's
	s.held(x, "x")
	s.unlock(other)
}

func unlockEnded(s *suite) {
	x := s.open()
	l := s.lock(x, "x")
	ctx, cancel := context.WithCancel(s.context())
	cancel()
	s.want("Unlock with an ended context", l.Unlock(ctx), context.Canceled)
	if l.Context().Err() == nil {
		s.Error("the lock's context lives on")
	}
	s.free(x, "x")
	s.unlock(l)
}

type valueKey struct{}

func contextValues(s *suite) {
	x := s.open()
	ctx, cancel := context.WithCancel(context.WithValue(s.context(), valueKey{}, "v"))
	l, err := x.Lock(ctx, "x")
	if err != nil {
		s.Fatal(err)
	}
	cancel()
	if l.Context().Value(valueKey{}) != "v" || l.Context().Err() != nil {
		s.Errorf("value %v and error %v, want v and nil", l.Context().Value(valueKey{}), l.Context().Err())
	}
	s.unlock(l)
}

func apart(s *suite) {
	x := s.open()
	y := s.open(dsync.WithNamespace(s.namespace + "/lock"))
	for _, id := range oddIDs {
		s.lock(x, id)
	}
	for _, id := range oddIDs { // each is free elsewhere, and none is held by another's lock
		s.held(x, id)
		s.unlock(s.lock(y, id))
	}
	s.lock(x, "both")
	leader, err := x.Leader("both")
	if err != nil {
		s.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(s.context(), patience)
	defer cancel()
	if _, err := leader.Elect(ctx); err != nil {
		s.Errorf("Elect beside a lock of the same id: %v", err)
	}
	if _, err := x.Semaphore(ctx, "both", 2); err != nil && x.Features().Limits {
		s.Errorf("Semaphore beside a lock of the same id: %v", err)
	}
}

// unlockRace: any goroutine may unlock, several at once too.
func unlockRace(s *suite) {
	x := s.open()
	for range 5 {
		l := s.lock(x, "x")
		var wg gosync.WaitGroup
		for range 4 {
			wg.Go(func() { s.unlock(l) })
		}
		wg.Wait()
	}
	s.free(x, "x")
}
