package locktest

import (
	gosync "sync"
	"sync/atomic"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

var semaphoreCases = []testCase{
	{"SemaphoreLetsSoManyInAndNoMore", semaphoreLimit},
	{"SemaphoreCallersMustAgreeOnTheLimit", semaphoreMismatch},
	{"SemaphorePermitOfACutOffHolderIsGivenOn", semaphoreLoss},
}

// limits ends the test on a backend without semaphores, which must say so.
func (s *suite) limits(x dsync.Sync) {
	s.Helper()
	if x.Features().Limits {
		return
	}
	_, err := x.Semaphore(s.context(), "x", 2)
	s.want("Semaphore without limits", err, dsync.ErrUnsupported)
	s.SkipNow()
}

func semaphoreLimit(s *suite) {
	a, b := s.open(), s.open()
	s.limits(a)
	const limit, callers, rounds = 3, 8, 3
	var inside, most atomic.Int32
	var mu gosync.Mutex
	tokens := map[uint64]bool{}
	var wg gosync.WaitGroup
	for i := range callers {
		x := a
		if i%2 == 1 {
			x = b
		}
		wg.Go(func() {
			for range rounds {
				l, err := x.Semaphore(s.context(), "x", limit)
				if err != nil {
					s.Errorf("Semaphore: %v", err)
					return
				}
				n := inside.Add(1)
				for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
				}
				mu.Lock()
				if tokens[l.Token()] {
					s.Errorf("token %d was given twice", l.Token())
				}
				tokens[l.Token()] = true
				mu.Unlock()
				<-time.After(40 * time.Millisecond * s.longer) // long enough for another to get in
				inside.Add(-1)
				s.unlock(l)
			}
		})
	}
	wg.Wait()
	n := most.Load()
	if n > limit {
		s.Errorf("%d permits at once, want 2 to %d", n, limit)
	}
	if n < 2 {
		s.slow("%d permits at once, want 2 to %d", n, limit)
	}
}

func semaphoreMismatch(s *suite) {
	a, b := s.open(), s.open()
	s.limits(a)
	p, err := a.Semaphore(s.context(), "x", 2)
	if err != nil {
		s.Fatal(err)
	}
	_, err = a.Semaphore(s.context(), "x", 3)
	s.want("Semaphore with another limit", err, dsync.ErrConflict)
	_, err = b.Semaphore(s.context(), "x", 3)
	s.want("Semaphore with another process's limit", err, dsync.ErrConflict)
	q, err := b.Semaphore(s.context(), "x", 2)
	if err != nil {
		s.Fatalf("Semaphore with the right limit: %v", err)
	}
	if q.Token() <= p.Token() {
		s.Errorf("token %d after %d", q.Token(), p.Token())
	}
	s.unlock(p)
	s.unlock(q)
	r, err := b.Semaphore(s.context(), "x", 5) // nobody is left to disagree
	if err != nil {
		s.Fatalf("Semaphore with a new limit: %v", err)
	}
	s.unlock(r)
}

func semaphoreLoss(s *suite) {
	var fault Faults
	a, b := s.open(dsync.WithAround(fault.Around)), s.open()
	s.limits(a)
	p, err := a.Semaphore(s.context(), "x", 2, dsync.TTL(s.h.TTL))
	if err != nil {
		s.Fatal(err)
	}
	q, err := b.Semaphore(s.context(), "x", 2, dsync.TTL(s.h.TTL))
	if err != nil {
		s.Fatal(err)
	}
	fault.CutOff(true)
	r, err := b.Semaphore(s.context(), "x", 2, dsync.TTL(s.h.TTL), dsync.Wait(s.h.TTL+s.h.Late+b.Features().Delay+patience))
	if err != nil {
		s.Fatalf("the permit of a holder that is cut off: %v", err)
	}
	if p.Context().Err() == nil {
		s.slow("the permit was given on and its holder's context lives")
	}
	if q.Context().Err() != nil {
		s.slow("another holder's permit ended")
	}
	fault.CutOff(false)
	s.unlockKept(q)
	s.unlockKept(r)
}
