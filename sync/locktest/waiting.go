package locktest

import (
	"context"
	"errors"
	gosync "sync"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

var waitingCases = []testCase{
	{"WaitEndsWithTimeout", waitTimeout},
	{"WaitEndsWithItsContextAndLeavesNothing", waitCancelled},
	{"WaitEndsWithClose", waitClosed},
	{"WaitersAreServedInOrder", waitInOrder},
	{"WaiterOutlivesItsTTL", waitLong},
	{"CloseReleases", closeReleases},
	{"UseAfterClose", useAfterClose},
}

func waitTimeout(s *suite) {
	a, b := s.open(), s.open()
	l := s.lock(a, "x")
	start := time.Now()
	_, err := b.Lock(s.context(), "x", dsync.Wait(200*time.Millisecond), dsync.TTL(s.h.TTL))
	s.want("Lock with a wait", err, dsync.ErrTimeout)
	d := time.Since(start)
	if d < 200*time.Millisecond {
		s.Errorf("waited %v, want 200 ms", d)
	}
	s.unlock(l)
	if d > s.h.TTL*3/4 {
		s.slow("waited %v, want 200 ms", d)
	}
	s.free(a, "x")
}

func waitCancelled(s *suite) {
	a, b := s.open(), s.open()
	l := s.lock(a, "x")
	for range 3 {
		ctx, cancel := context.WithCancel(s.context())
		time.AfterFunc(50*time.Millisecond, cancel)
		start := time.Now()
		_, err := b.Lock(ctx, "x", dsync.TTL(s.h.TTL))
		s.want("Lock with a cancelled context", err, context.Canceled)
		if d := time.Since(start); d > s.h.TTL*3/4 {
			s.slow("a wait that was cancelled after 50 ms took %v", d)
		}
	}
	s.unlock(l)
	s.free(a, "x")
	ctx, cancel := context.WithCancel(s.context())
	cancel()
	_, err := b.Lock(ctx, "x")
	s.want("Lock with an ended context", err, context.Canceled)
	s.free(a, "x")
}

func waitClosed(s *suite) {
	a, b := s.open(), s.open()
	l := s.lock(a, "x")
	errs := make(chan error, 3)
	for range cap(errs) {
		go func() {
			_, err := b.Lock(s.context(), "x", dsync.TTL(s.h.TTL))
			errs <- err
		}()
	}
	select {
	case err := <-errs:
		s.Fatalf("Lock of a held id returned %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	if err := b.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	for range cap(errs) {
		select {
		case err := <-errs:
			s.want("Lock that Close ended", err, dsync.ErrClosed)
		case <-time.After(patience):
			s.Fatal("Close did not end a wait")
		}
	}
	s.unlock(l)
	s.free(a, "x")
}

func waitInOrder(s *suite) {
	a, b := s.open(), s.open()
	if !a.Features().Fair {
		s.Skip("the backend is not fair")
	}
	first := s.lock(a, "x")
	const n = 6
	var mu gosync.Mutex
	var order []int
	var wg gosync.WaitGroup
	for i := range n {
		x := a
		if i%2 == 1 {
			x = b
		}
		wg.Go(func() {
			l, err := x.Lock(s.context(), "x")
			if err != nil {
				s.Errorf("Lock: %v", err)
				return
			}
			mu.Lock()
			order = append(order, i)
			mu.Unlock()
			s.unlock(l)
		})
		// Nothing tells from outside that the caller has taken its place.
		<-time.After(700 * time.Millisecond * s.longer)
	}
	s.unlock(first)
	wg.Wait()
	for i, got := range order {
		if got != i {
			s.slow("served in the order %v", order)
		}
	}
}

// waitLong: a waiter keeps its place for longer than its TTL. The one who comes
// after it shows whether it did.
func waitLong(s *suite) {
	a, b, c := s.open(), s.open(), s.open()
	l := s.lock(a, "x", dsync.TTL(s.h.TTL))
	type end struct {
		dsync.Lock
		err error
	}
	second, third := make(chan end, 1), make(chan end, 1)
	wait := func(x dsync.Sync, got chan end) {
		l, err := x.Lock(s.context(), "x", dsync.TTL(s.h.TTL))
		got <- end{l, err}
	}
	go wait(b, second)
	<-time.After(s.h.TTL * 4 / 10)
	go wait(c, third)
	select {
	case got := <-second:
		s.slow("a holder that renews lost the lock, or its waiter its place: %v", got.err)
	case got := <-third:
		s.slow("a holder that renews lost the lock, or its waiter its place: %v", got.err)
	case <-time.After(s.h.TTL + s.h.Late):
	}
	if l.Context().Err() != nil {
		s.slow("a renewed lock ended: %v", context.Cause(l.Context()))
	}
	s.unlockKept(l)
	first, last := second, third
	if !a.Features().Fair {
		select {
		case l2 := <-second:
			second <- l2
		case l2 := <-third:
			third <- l2
			first, last = third, second
		case <-time.After(s.h.TTL):
		}
	}
	for _, got := range []chan end{first, last} {
		select {
		case next := <-got:
			if next.err != nil {
				s.slow("Lock after a long wait: %v", next.err)
			}
			if next.Token() <= l.Token() {
				s.Errorf("token %d after %d", next.Token(), l.Token())
			}
			l = next.Lock
			s.unlockKept(l)
		case <-time.After(s.h.TTL / 2):
			s.slow("a waiter lost its place while it waited for more than its TTL")
		}
	}
}

func closeReleases(s *suite) {
	a, b := s.open(), s.open()
	l, m := s.lock(a, "x"), s.lock(a, "y")
	if err := a.Close(); err != nil {
		s.Errorf("Close: %v", err)
	}
	for _, l := range []dsync.Lock{l, m} {
		s.ended("the context of a closed Sync's lock", l.Context(), dsync.ErrClosed)
		s.unlock(l)
	}
	s.free(b, "x")
	s.free(b, "y")
}

func useAfterClose(s *suite) {
	x := s.open()
	leader, err := x.Leader("x")
	if err != nil {
		s.Fatal(err)
	}
	var wg gosync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := x.Close(); err != nil {
				s.Errorf("Close: %v", err)
			}
		})
	}
	wg.Wait()
	_, errLock := x.Lock(s.context(), "x")
	_, errTry := x.TryLock(s.context(), "x")
	_, errSem := x.Semaphore(s.context(), "x", 2)
	if !x.Features().Limits {
		errSem = dsync.ErrClosed
	}
	_, errNew := x.Leader("x")
	_, errElect := leader.Elect(s.context())
	_, errLeader := leader.Leader(s.context())
	var errWatch error
	for _, errWatch = range leader.Watch(s.context()) {
	}
	for i, err := range []error{errLock, errTry, errSem, errNew, errElect, errLeader, errWatch} {
		if !errors.Is(err, dsync.ErrClosed) {
			s.Errorf("call %d after Close = %v, want closed", i, err)
		}
	}
}
