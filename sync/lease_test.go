package sync

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// scripted is a driver over memory whose Renew and Release do what the test
// says.
type scripted struct {
	Driver
	acquire func(ctx context.Context, c Claim, wait bool) (Grant, error)
	renew   func(ctx context.Context, c Claim) (time.Time, error)
	release func(ctx context.Context, c Claim) error
}

type scriptedClaim struct {
	Claim
	s *scripted
}

func (s *scripted) Claim(r Request) Claim { return scriptedClaim{s.Driver.Claim(r), s} }

func (c scriptedClaim) Acquire(ctx context.Context, wait bool) (Grant, error) {
	if c.s.acquire != nil {
		return c.s.acquire(ctx, c.Claim, wait)
	}
	return c.Claim.Acquire(ctx, wait)
}

func (c scriptedClaim) Renew(ctx context.Context) (time.Time, error) {
	if c.s.renew != nil {
		return c.s.renew(ctx, c.Claim)
	}
	return c.Claim.Renew(ctx)
}

func (c scriptedClaim) Release(ctx context.Context) error {
	if c.s.release != nil {
		return c.s.release(ctx, c.Claim)
	}
	return c.Claim.Release(ctx)
}

func withScript(t *testing.T, s *scripted, opts ...Option) Sync {
	t.Helper()
	x, err := New(append([]Option{WithAround(func(d Driver) Driver { s.Driver = d; return s })}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func mustLock(t *testing.T, s Sync, opts ...LockOption) *lease {
	t.Helper()
	l, err := s.Lock(t.Context(), "x", opts...)
	if err != nil {
		t.Fatal(err)
	}
	return l.(*lease)
}

var errDown = fault.Markf(fault.Unavailable, "down")

func TestContextEndsAMarginBeforeTheLeaseCountedFromTheSendTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var slow atomic.Int64
		s := withScript(t, &scripted{renew: func(ctx context.Context, c Claim) (time.Time, error) {
			if down.Load() {
				return time.Time{}, errDown
			}
			until := time.Now().Add(10 * time.Second)
			<-time.After(time.Duration(slow.Load())) // the reply takes its time; the TTL counts from before
			return until, nil
		}})
		start := time.Now()
		l := mustLock(t, s, TTL(10*time.Second))
		<-time.After(3 * time.Second)
		slow.Store(int64(time.Second))
		<-time.After(2 * time.Second) // renewed: sent at 3.33 s, confirmed at 4.33 s
		down.Store(true)
		<-l.Context().Done()
		got, want := time.Since(start), 10*time.Second/3+8*time.Second
		if d := got - want; d < -time.Microsecond || d > time.Microsecond {
			t.Errorf("ended at %v, want %v: sent + TTL - margin", got, want)
		}
		if !errors.Is(context.Cause(l.Context()), ErrLost) {
			t.Errorf("cause %v, want lost", context.Cause(l.Context()))
		}
	})
}

func TestRenewsEveryThirdAndRetriesWithinTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var down atomic.Bool
		s := withScript(t, &scripted{renew: func(ctx context.Context, c Claim) (time.Time, error) {
			calls.Add(1)
			if down.Load() {
				<-ctx.Done() // a link that swallows everything
				return time.Time{}, ctx.Err()
			}
			return c.Renew(ctx)
		}})
		l := mustLock(t, s, TTL(15*time.Second))
		<-time.After(time.Hour + time.Second)
		if n := calls.Swap(0); n < 719 || n > 721 {
			t.Errorf("%d renewals in an hour with a TTL of 15 s, want 720", n)
		}
		down.Store(true)
		<-l.Context().Done()
		if n := calls.Load(); n < 2 || n > 10 {
			t.Errorf("%d tries before the deadline, want a few", n)
		}
		down.Store(false)
		if err := l.Unlock(t.Context()); !errors.Is(err, ErrLost) {
			t.Errorf("Unlock = %v, want lost", err)
		}
	})
}

// A process that was stopped runs again before its timers do.
func TestContextIsOverAtTheFirstLookAfterAPause(t *testing.T) {
	for name, over := range map[string]func(ctx context.Context) bool{
		"Err": func(ctx context.Context) bool { return errors.Is(ctx.Err(), context.Canceled) },
		"Done": func(ctx context.Context) bool {
			select {
			case <-ctx.Done():
				return true
			default:
				return false
			}
		},
		"Cause": func(ctx context.Context) bool { return errors.Is(context.Cause(ctx), ErrLost) },
		"derived": func(ctx context.Context) bool {
			c, stop := context.WithCancel(ctx)
			defer stop()
			return c.Err() != nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := withScript(t, &scripted{})
				l := mustLock(t, s, TTL(time.Second))
				l.mu.Lock()
				l.timer.Stop()
				l.mu.Unlock()
				if over(l.Context()) {
					t.Error("over before the deadline")
				}
				<-time.After(801 * time.Millisecond)
				if !over(l.Context()) {
					t.Error("not over at the first look after the deadline")
				}
				if err := l.Unlock(t.Context()); !errors.Is(err, ErrLost) {
					t.Errorf("Unlock = %v, want lost", err)
				}
			})
		})
	}
}

// Regression of redisson#7272: a watchdog's renewal that arrives after the
// unlock revives the lock.
func TestUnlockWaitsForARenewalOnItsWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var renewing atomic.Bool
		s := withScript(t, &scripted{
			renew: func(ctx context.Context, c Claim) (time.Time, error) {
				renewing.Store(true)
				<-ctx.Done()
				<-time.After(100 * time.Millisecond) // the server is still busy with it
				renewing.Store(false)
				return time.Time{}, ctx.Err()
			},
			release: func(ctx context.Context, c Claim) error {
				if renewing.Load() {
					t.Error("released while a renewal was on its way")
				}
				return c.Release(ctx)
			},
		})
		l := mustLock(t, s, TTL(3*time.Second))
		<-time.After(1100 * time.Millisecond)
		if !renewing.Load() {
			t.Fatal("no renewal is running")
		}
		start := time.Now()
		if err := l.Unlock(t.Context()); err != nil || time.Since(start) != 100*time.Millisecond {
			t.Errorf("Unlock = %v after %v, want the time that the renewal takes to end", err, time.Since(start))
		}
		l = mustLock(t, s, TTL(3*time.Second)) // and the same when it is lost
		<-l.Context().Done()
	})
}

func TestProofOfLossEndsTheContextAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gone := errors.New("session invalidated")
		s := withScript(t, &scripted{renew: func(context.Context, Claim) (time.Time, error) {
			return time.Time{}, fault.Mark(ErrLost, gone)
		}})
		start := time.Now()
		l := mustLock(t, s, TTL(9*time.Second))
		<-l.Context().Done()
		if d := time.Since(start); d != 3*time.Second {
			t.Errorf("told after %v, want at the first renewal", d)
		}
		err := l.Unlock(t.Context())
		if !errors.Is(err, ErrLost) || !errors.Is(err, gone) {
			t.Errorf("Unlock = %v, want lost and its cause", err)
		}
		if want := `sync/memory: hold "x": lost: session invalidated`; err.Error() != want {
			t.Errorf("got  %s\nwant %s", err, want)
		}
	})
}

func TestAGrantThatArrivesAfterItsOwnEndIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fast atomic.Bool
		s := withScript(t, &scripted{acquire: func(ctx context.Context, c Claim, wait bool) (Grant, error) {
			g, err := c.Acquire(ctx, wait)
			if !fast.Load() {
				<-time.After(9 * time.Second)
			}
			return g, err
		}})
		_, err := s.TryLock(t.Context(), "x", TTL(10*time.Second))
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("TryLock = %v, want unavailable", err)
		}
		time.AfterFunc(10*time.Second, func() { fast.Store(true) })
		l := mustLock(t, s, TTL(10*time.Second)) // Lock goes on until one is in time
		if l.Context().Err() != nil {
			t.Error("got a lock that is over")
		}
	})
}

func TestAnOutageIsRiddenOutOnceWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := withScript(t, &scripted{acquire: func(ctx context.Context, c Claim, wait bool) (Grant, error) {
			switch calls++; calls {
			case 1:
				<-time.After(time.Second)
				return Grant{}, fault.Markf(ErrLost, "the place is gone")
			case 2, 3, 4:
				return Grant{}, errDown
			}
			return c.Acquire(ctx, wait)
		}})
		if l := mustLock(t, s); calls != 5 || l.Context().Err() != nil {
			t.Errorf("%d tries, want 5", calls)
		}
	})
}

func TestAnOutageAtTheStartFailsFast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := withScript(t, &scripted{acquire: func(context.Context, Claim, bool) (Grant, error) { return Grant{}, errDown }})
		start := time.Now()
		_, err := s.Lock(t.Context(), "x")
		if !errors.Is(err, ErrUnavailable) || time.Since(start) > 0 {
			t.Errorf("Lock = %v after %v, want unavailable at once", err, time.Since(start))
		}
	})
}

func TestLocksOfOneSyncDoNotNeedAGoroutineEach(t *testing.T) {
	s := withScript(t, &scripted{})
	l := mustLock(t, s)
	defer l.Unlock(t.Context())
	child, stop := context.WithCancel(l.Context())
	defer stop()
	if got := context.Cause(child); got != nil {
		t.Errorf("cause of a fresh child %v", got)
	}
	// A context derived from a foreign implementation costs a goroutine unless
	// its parent is found: then cancelling the parent cancels the child before
	// the call returns.
	l.Unlock(t.Context())
	if child.Err() == nil {
		t.Error("a derived context did not end with the lock's, synchronously")
	}
}

// TestALateUnlockIsLost: the first thing that a process does after a pause. The
// lock may be another's by now, so the backend hears of nothing that could end
// that one's, and the error says it.
func TestALateUnlockIsLost(t *testing.T) {
	for _, c := range []struct {
		after time.Duration
		want  error
	}{{799 * time.Millisecond, nil}, {800 * time.Millisecond, ErrLost}, {time.Hour, ErrLost}} {
		synctest.Test(t, func(t *testing.T) {
			l := mustLock(t, withScript(t, &scripted{}), TTL(time.Second))
			l.mu.Lock()
			l.timer.Stop()
			l.mu.Unlock()
			time.Sleep(c.after)
			if err := l.Unlock(t.Context()); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("Unlock after %v = %v, want %v", c.after, err, c.want)
			}
			if cause := context.Cause(l.Context()); cause == nil || c.want != nil && !errors.Is(cause, c.want) {
				t.Errorf("after %v the context's cause is %v, want %v", c.after, cause, c.want)
			}
		})
	}
}

// TestCloseEndsAllContextsFirst: releases are slow, and only some are made at a
// time.
func TestCloseEndsAllContextsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := withScript(t, &scripted{release: func(ctx context.Context, c Claim) error {
			time.Sleep(time.Second)
			return c.Release(ctx)
		}})
		var all []Lock
		for i := range 40 {
			l, err := s.Lock(t.Context(), string(rune('a'+i)), TTL(time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, l)
		}
		closed := make(chan error)
		go func() { closed <- s.Close() }()
		synctest.Wait()
		for i, l := range all {
			if cause := context.Cause(l.Context()); !errors.Is(cause, ErrClosed) {
				t.Errorf("lock %d of %d: the cause is %v while others are released, want ErrClosed", i, len(all), cause)
			}
		}
		if err := <-closed; err != nil {
			t.Error(err)
		}
	})
}

// TestCloseReleasesWhatUnlockCouldNot: a context that has ended leaves Unlock no time, and
// once Close was called nobody tries again in the background.
func TestCloseReleasesWhatUnlockCouldNot(t *testing.T) {
	for name, canceled := range map[string]bool{"in time": false, "no time": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				goOn := make(chan struct{})
				var first Claim
				releases := 0
				s := withScript(t, &scripted{
					acquire: func(ctx context.Context, c Claim, wait bool) (Grant, error) {
						if first == nil {
							first = c
							return c.Acquire(ctx, wait)
						}
						<-goOn
						return Grant{}, ErrHeld
					},
					release: func(ctx context.Context, c Claim) error {
						if c == first {
							releases++
						}
						return c.Release(ctx)
					},
				})
				l := mustLock(t, s)
				go s.Lock(t.Context(), "another") // Close waits for it
				synctest.Wait()
				closed := make(chan error)
				go func() { closed <- s.Close() }()
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if canceled {
					cancel()
				}
				if err := l.Unlock(ctx); errors.Is(err, context.Canceled) != canceled || (err != nil) != canceled {
					t.Errorf("Unlock = %v", err)
				}
				close(goOn)
				if err := <-closed; err != nil || releases != 1 {
					t.Errorf("Close = %v, and it was released %d times, want once", err, releases)
				}
			})
		})
	}
}
