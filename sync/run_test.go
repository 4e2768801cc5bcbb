package sync_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/locktest"
)

func mustNew(t *testing.T, opts ...dsync.Option) dsync.Sync {
	t.Helper()
	s, err := dsync.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

type key struct{}

func TestDoRunsUnderTheLockAndReleases(t *testing.T) {
	s := mustNew(t)
	boom := errors.New("boom")
	ctx := context.WithValue(t.Context(), key{}, "v")
	err := dsync.Do(ctx, s, "x", func(ctx context.Context, token uint64) error {
		if _, err := s.TryLock(ctx, "x"); !errors.Is(err, dsync.ErrHeld) {
			t.Errorf("TryLock within Do = %v, want held", err)
		}
		if token == 0 || ctx.Value(key{}) != "v" {
			t.Errorf("token %d, value %v", token, ctx.Value(key{}))
		}
		return boom
	})
	if !errors.Is(err, boom) {
		t.Errorf("Do = %v, want boom", err)
	}
	func() {
		defer func() { recover() }()
		dsync.Do(ctx, s, "x", func(context.Context, uint64) error { panic("boom") })
	}()
	if _, err := s.TryLock(ctx, "x"); err != nil {
		t.Errorf("TryLock after a panic within Do: %v", err)
	}
}

func TestDoWithoutTheLockRunsNothing(t *testing.T) {
	s := mustNew(t)
	s.Close()
	err := dsync.Do(t.Context(), s, "x", func(context.Context, uint64) error { t.Error("it ran"); return nil })
	if !errors.Is(err, dsync.ErrClosed) {
		t.Errorf("Do = %v, want ErrClosed", err)
	}
}

func TestDoEndsItsFunctionWithTheCallersContextOrTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault locktest.Faults
		s := mustNew(t, dsync.WithAround(fault.Around))
		until := func(ctx context.Context, _ uint64) error { <-ctx.Done(); return context.Cause(ctx) }

		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := dsync.Do(ctx, s, "x", until); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, dsync.ErrLost) {
			t.Errorf("Do = %v, want deadline exceeded", err)
		}
		if _, err := s.TryLock(t.Context(), "x", dsync.TTL(time.Second)); err != nil {
			t.Errorf("TryLock after Do: %v", err)
		}
		time.AfterFunc(time.Second, func() { fault.CutOff(true) })
		if err := dsync.Do(t.Context(), s, "y", until); !errors.Is(err, dsync.ErrLost) {
			t.Errorf("Do = %v, want lost", err)
		}
		fault.CutOff(false)
	})
}

func TestRunElectedCampaignsAgainAfterALoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault locktest.Faults
		m := dsync.NewLocks()
		s := mustNew(t, dsync.Memory(m), dsync.WithAround(fault.Around))
		l, err := s.Leader("x")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		fault.CutOff(true) // away at the start, too
		time.AfterFunc(10*time.Second, func() { fault.CutOff(false) })
		var terms atomic.Int32
		var last uint64
		err = dsync.RunElected(t.Context(), l, func(ctx context.Context, token uint64) error {
			if token <= last {
				t.Errorf("token %d after %d", token, last)
			}
			last = token
			if terms.Add(1) == 3 {
				return errors.New("enough")
			}
			time.AfterFunc(time.Minute, func() { fault.CutOff(true) })
			time.AfterFunc(2*time.Minute, func() { fault.CutOff(false) })
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), dsync.ErrLost) {
				t.Errorf("cause %v, want lost", context.Cause(ctx))
			}
			return ctx.Err()
		})
		if err == nil || err.Error() != "enough" || terms.Load() != 3 {
			t.Errorf("RunElected = %v after %d terms, want enough after 3", err, terms.Load())
		}
		if _, err := l.Leader(t.Context()); !errors.Is(err, dsync.ErrNoLeader) {
			t.Errorf("Leader = %v, want none: it resigned", err)
		}
	})
}

func TestRunElectedEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustNew(t)
		a, _ := s.Leader("x")
		b, _ := s.Leader("x")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 2)
		for _, l := range []dsync.Leader{a, b} {
			go func() {
				done <- dsync.RunElected(ctx, l, func(ctx context.Context, _ uint64) error { <-ctx.Done(); return nil })
			}()
		}
		var errs []error
		errs = append(errs, <-done, <-done)
		// The leader's function returned nil; the other was waiting.
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), context.DeadlineExceeded) {
			t.Errorf("RunElected = %v and %v, want nil and deadline exceeded", errs[0], errs[1])
		}
		if _, err := a.Leader(t.Context()); !errors.Is(err, dsync.ErrNoLeader) {
			t.Errorf("Leader = %v, want none", err)
		}
	})
}

func TestAPanicInALoopOverAWatchIsTheLoops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault locktest.Faults
		s := mustNew(t, dsync.Memory(dsync.NewLocks()), dsync.WithAround(fault.Around))
		l, _ := s.Leader("x")
		if _, err := l.Elect(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, cut := range []bool{false, true} { // the loop is given a leader, or an error
			fault.CutOff(cut)
			rounds := 0
			thrown := func() (thrown any) {
				defer func() { thrown = recover() }()
				for range l.Watch(t.Context()) {
					rounds++
					panic("boom")
				}
				return nil
			}()
			if thrown != "boom" || rounds != 1 {
				t.Errorf("cut off %v: panicked with %v in %d rounds, want boom in one", cut, thrown, rounds)
			}
		}
		fault.CutOff(false)
	})
}

func TestLeaderWatchTellsOfAnOutageOnceAndGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fault locktest.Faults
		m := dsync.NewLocks()
		s := mustNew(t, dsync.Memory(m), dsync.WithAround(fault.Around))
		other := mustNew(t, dsync.Memory(m))
		l, _ := s.Leader("x")
		candidate, _ := other.Leader("x", dsync.Owner("o"))
		fault.CutOff(true)
		time.AfterFunc(time.Minute, func() {
			candidate.Elect(t.Context())
			fault.CutOff(false)
		})
		errs := 0
		for c, err := range l.Watch(t.Context()) {
			if err != nil {
				errs++
				continue
			}
			if c.Owner != "o" {
				t.Errorf("saw %+v, want o", c)
			}
			break
		}
		if errs != 1 {
			t.Errorf("%d errors in one outage, want 1", errs)
		}
	})
}
