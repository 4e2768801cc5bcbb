// Package locktest checks that a backend of package sync keeps its promises.
// Every backend of this module runs it; so can any other.
//
//	func TestConformance(t *testing.T) {
//		locktest.Run(t, locktest.Harness{Backend: func(t testing.TB) dsync.Option { return mine.Backend(addr) }})
//	}
package locktest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// Harness says how to reach the backend under test.
type Harness struct {
	// Backend returns the option that selects the backend. Each call makes a
	// connection of its own to the same server.
	Backend func(t testing.TB) dsync.Option

	// Options are given to every Sync in addition.
	Options []dsync.Option

	// TTL is used where a test has to wait for one to pass; 0 means 2 s.
	TTL time.Duration

	// Late is how long after the TTL the backend may give a silent holder's
	// lock away, at the latest; 0 means 1 s.
	Late time.Duration

	// Bubble runs each case in a testing/synctest bubble: for backends that
	// live in this process and do no I/O.
	Bubble bool

	// Skip names cases that the backend can't pass, with the reason.
	Skip map[string]string
}

type testCase struct {
	name string
	run  func(s *suite)
}

// Run runs all cases, in parallel with each other unless in bubbles.
func Run(t *testing.T, h Harness) {
	if h.TTL == 0 {
		h.TTL = 2 * time.Second
	}
	if h.Late == 0 {
		h.Late = time.Second
	}
	var all []testCase
	for _, part := range [][]testCase{exclusionCases, waitingCases, inputCases, lossCases, semaphoreCases, leaderCases, listCases} {
		all = append(all, part...)
	}
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			if why := h.Skip[c.name]; why != "" {
				t.Skip(why)
			}
			if h.Bubble {
				synctest.Test(t, func(t *testing.T) { c.run(newSuite(t, h)) })
				return
			}
			t.Parallel()
			for s := newSuite(t, h); !c.inTime(s); s = s.slower() {
			}
		})
	}
}

// suite is one case's view of the backend: a namespace of its own.
type suite struct {
	*testing.T
	h         Harness
	namespace string
	longer    time.Duration // than at first, so many times
}

// slow is what a case panics with that came too late for a TTL.
type slow string

// slow gives up a case because something came too late. The case runs again
// with a TTL three times as long: a busy machine is fast enough at last, and a
// backend that is late by a share of the TTL is late again.
func (s *suite) slow(format string, args ...any) {
	s.Helper()
	if s.h.Bubble || s.h.TTL >= patience {
		s.Fatalf(format, args...)
	}
	panic(slow(fmt.Sprintf(format, args...)))
}

// inTime runs a case, and reports whether nothing in it was too slow.
func (c testCase) inTime(s *suite) (in bool) {
	defer func() {
		switch why := recover().(type) {
		case nil:
		case slow:
			s.Logf("with a TTL of %v: %s", s.h.TTL, why)
			in = false
		default:
			panic(why)
		}
	}()
	c.run(s)
	return true
}

// slower is the suite for a machine that is three times as slow.
func (s *suite) slower() *suite {
	again := newSuite(s.T, s.h)
	again.h.TTL *= 3
	again.longer = s.longer * 3
	return again
}

// patience is how long what has to happen may take on a busy machine, and long
// the TTL of what has to stay meanwhile.
const patience, long = 30 * time.Second, time.Minute

func newSuite(t *testing.T, h Harness) *suite {
	var shared dsync.Option
	if h.Bubble { // what lives in this process must be made within the bubble, once
		shared = h.Backend(t)
		h.Backend = func(testing.TB) dsync.Option { return shared }
	}
	return &suite{T: t, h: h, namespace: "locktest-" + rand.Text(), longer: 1}
}

// open returns a Sync of its own: another process, as far as the backend sees.
func (s *suite) open(opts ...dsync.Option) dsync.Sync {
	s.Helper()
	return s.openIn(s.namespace, opts...)
}

// openIn is open in another namespace.
func (s *suite) openIn(namespace string, opts ...dsync.Option) dsync.Sync {
	s.Helper()
	all := append([]dsync.Option{s.h.Backend(s.T), dsync.WithNamespace(namespace), dsync.WithTimeout(patience)}, s.h.Options...)
	all = append(all, opts...)
	x, err := dsync.New(all...)
	for end := time.Now().Add(patience); errors.Is(err, dsync.ErrUnavailable) && time.Now().Before(end); {
		x, err = dsync.New(all...) // the backend is only slow
	}
	if err != nil {
		s.Fatalf("New: %v", err)
	}
	s.Cleanup(func() {
		if err := x.Close(); err != nil {
			s.Errorf("Close: %v", err)
		}
	})
	return x
}

// context ends long after every case should have.
func (s *suite) context() context.Context {
	ctx, cancel := context.WithTimeout(s.Context(), 2*time.Minute)
	s.Cleanup(cancel)
	return ctx
}

func (s *suite) lock(x dsync.Sync, id string, opts ...dsync.LockOption) dsync.Lock {
	s.Helper()
	l, err := x.Lock(s.context(), id, opts...)
	if err != nil {
		s.Fatalf("Lock(%q): %v", id, err)
	}
	return l
}

func (s *suite) unlock(l dsync.Lock) {
	s.Helper()
	if err := l.Unlock(s.context()); err != nil {
		s.Errorf("Unlock(%q): %v", l.ID(), err)
	}
}

// unlockKept is unlock of a lock that lives for one TTL at a time, outside of
// other goroutines: a slow machine may have lost it.
func (s *suite) unlockKept(l dsync.Lock) {
	s.Helper()
	err := l.Unlock(s.context())
	if errors.Is(err, dsync.ErrLost) {
		s.slow("Unlock(%q): %v", l.ID(), err)
	}
	if err != nil {
		s.Errorf("Unlock(%q): %v", l.ID(), err)
	}
}

// want checks an error's kind.
func (s *suite) want(what string, err, kind error) {
	s.Helper()
	if !errors.Is(err, kind) {
		s.Errorf("%s = %v, want %v", what, err, kind)
	}
}

// held checks that nobody can take id.
func (s *suite) held(x dsync.Sync, id string) {
	s.Helper()
	l, err := x.TryLock(s.context(), id)
	if err == nil {
		l.Unlock(s.context())
		s.slow("TryLock(%q) got a lock that somebody holds", id)
	}
	s.want("TryLock of a held id", err, dsync.ErrHeld)
}

// free checks that id can be taken soon: well before a TTL would free it.
func (s *suite) free(x dsync.Sync, id string) {
	s.Helper()
	start := time.Now()
	l, err := x.Lock(s.context(), id, dsync.Wait(s.h.TTL+s.h.Late+patience), dsync.TTL(s.h.TTL))
	if err != nil {
		s.Errorf("Lock(%q) that should be free: %v", id, err)
		return
	}
	d := time.Since(start)
	s.unlockKept(l)
	if d > s.h.TTL*3/4 {
		s.slow("Lock(%q) took %v, want well below the TTL of %v: something was left behind", id, d, s.h.TTL)
	}
}

// waitFor polls until ok, at most for d.
func (s *suite) waitFor(d time.Duration, what string, ok func() bool) {
	s.Helper()
	deadline := time.After(d)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			s.Fatalf("not within %v: %s", d, what)
		}
	}
}

// ended waits for ctx to end and checks its cause.
func (s *suite) ended(what string, ctx context.Context, cause error) {
	s.Helper()
	select {
	case <-ctx.Done():
		s.want("cause of "+what, context.Cause(ctx), cause)
	case <-time.After(patience):
		s.Errorf("%s still lives after %v", what, patience)
	}
}
