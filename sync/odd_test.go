package sync_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	dsync "github.com/micro/go-platform/sync"
)

// oddDriver is a driver as users write them: a value that can't be compared, one of whose
// calls panics, hangs, or returns what makes no sense.
type oddDriver struct {
	dsync.Driver
	now []atomic.Pointer[oddCall]
}

type oddFunc = func(ctx context.Context) (time.Time, error)

type oddCall struct {
	name string
	do   oddFunc
}

func (d oddDriver) call(ctx context.Context, name string, well oddFunc) (time.Time, error) {
	if c := d.now[0].Load(); c != nil && c.name == name {
		return c.do(ctx)
	}
	return well(ctx)
}

func (d oddDriver) Claim(r dsync.Request) dsync.Claim { return oddClaim{d.Driver.Claim(r), d} }

func (d oddDriver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	_, err := d.call(ctx, "watch", func(ctx context.Context) (time.Time, error) {
		return time.Time{}, d.Driver.Watch(ctx, key, report)
	})
	return err
}

type oddClaim struct {
	dsync.Claim
	of oddDriver
}

func (c oddClaim) Renew(ctx context.Context) (time.Time, error) {
	return c.of.call(ctx, "renew", c.Claim.Renew)
}

func (c oddClaim) Release(ctx context.Context) error {
	_, err := c.of.call(ctx, "release", func(ctx context.Context) (time.Time, error) { return time.Time{}, c.Claim.Release(ctx) })
	return err
}

// nilError is an error whose nil pointer can't say what it is; manyErrors can't be compared.
type (
	nilError   struct{ text string }
	manyErrors []string
)

func (e *nilError) Error() string  { return e.text }
func (e manyErrors) Error() string { return strings.Join(e, ", ") }

// What a driver of the user's own does ends no process: a lock that can't be renewed is
// lost, a release is tried again, a watch says what is wrong, and all is well again once
// the driver is.
func TestDriversOfTheUsersOwn(t *testing.T) {
	boom := errors.New("boom")
	var none *nilError
	fails := func(err error) oddFunc { return func(context.Context) (time.Time, error) { return time.Time{}, err } }
	panics := func(v any) oddFunc { return func(context.Context) (time.Time, error) { panic(v) } }
	hangs := func(ctx context.Context) (time.Time, error) { <-ctx.Done(); return time.Time{}, ctx.Err() }
	for name, c := range map[string]struct {
		call    string
		do      oddFunc
		lost    bool   // the lock, before Unlock
		unlock  string // what Unlock says; "": nothing
		watched string // what Watch says
	}{
		"well":                   {"", nil, false, "", ""},
		"renew, a slice":         {"renew", fails(manyErrors{"bad", "worse"}), true, "lost", ""},
		"renew, a nil pointer":   {"renew", fails(none), true, "lost", ""},
		"renew panics":           {"renew", panics(none), true, "lost", ""},
		"renew hangs":            {"renew", hangs, true, "lost", ""},
		"renew, no time":         {"renew", fails(nil), true, "lost", ""},
		"release, a slice":       {"release", fails(manyErrors{"bad", "worse"}), false, "bad, worse", ""},
		"release, a nil pointer": {"release", fails(none), false, "panic: ", ""},
		"release panics":         {"release", panics(boom), false, "panic: boom", ""},
		"release hangs":          {"release", hangs, false, "no answer within", ""},
		"watch, nothing":         {"watch", fails(nil), false, "", ""},
		"watch, a slice":         {"watch", fails(manyErrors{"bad", "worse"}), false, "", "bad, worse"},
		"watch, a nil pointer":   {"watch", fails(none), false, "", "panic: "},
		"watch panics":           {"watch", panics(boom), false, "", "panic: boom"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				now := make([]atomic.Pointer[oddCall], 1)
				s, err := dsync.New(dsync.WithAround(func(d dsync.Driver) dsync.Driver { return oddDriver{d, now} }))
				if err != nil {
					t.Fatal(err)
				}
				defer s.Close()
				if c.do != nil {
					now[0].Store(&oddCall{c.call, c.do})
				}
				l, err := s.Lock(t.Context(), "a")
				if err != nil {
					t.Fatal(err)
				}
				leader, err := s.Leader("l")
				if err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				said, seen := "", 0
				watched := make(chan struct{})
				go func() {
					defer close(watched)
					for _, err := range leader.Watch(ctx) {
						seen++
						if err != nil && ctx.Err() == nil {
							said += err.Error()
						}
					}
				}()
				time.Sleep(time.Minute)
				if lost := errors.Is(context.Cause(l.Context()), dsync.ErrLost); lost != c.lost || (l.Context().Err() != nil) != c.lost {
					t.Errorf("the lock's context: %v, want it lost: %v", context.Cause(l.Context()), c.lost)
				}
				err = l.Unlock(t.Context())
				if (err == nil) != (c.unlock == "") || err != nil && !strings.Contains(err.Error(), c.unlock) {
					t.Errorf("Unlock: %v, want %q", err, c.unlock)
				}
				now[0].Store(nil)
				again, err := s.Lock(t.Context(), "a", dsync.Wait(time.Minute))
				if err != nil {
					t.Fatalf("the lock is not free: %v", err)
				}
				if err := again.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				<-watched
				if !strings.Contains(said, c.watched) || c.watched == "" && said != "" || seen == 0 {
					t.Errorf("Watch said %q in %d, want %q", said, seen, c.watched)
				}
			})
		})
	}
}

// A claim that is none is said, and leaves the lock free.
func TestNoClaim(t *testing.T) {
	var none *nilClaim
	for name, claim := range map[string]dsync.Claim{"nil": nil, "nil pointer": none} {
		d := &claimless{claim: claim}
		s, err := dsync.New(dsync.WithAround(func(of dsync.Driver) dsync.Driver { d.Driver = of; return d }))
		if err != nil {
			t.Fatal(err)
		}
		if l, err := s.Lock(t.Context(), "a"); l != nil || err == nil || !strings.Contains(err.Error(), "the driver gave no claim") {
			t.Errorf("%s: %v, %v", name, l, err)
		}
		d.well = true
		l, err := s.TryLock(t.Context(), "a")
		if err != nil {
			t.Fatalf("%s: then: %v", name, err)
		}
		if err := errors.Join(l.Unlock(t.Context()), s.Close()); err != nil {
			t.Error(err)
		}
	}
}

type nilClaim struct{ dsync.Claim }

type claimless struct {
	dsync.Driver
	claim dsync.Claim
	well  bool
}

func (d *claimless) Claim(r dsync.Request) dsync.Claim {
	if d.well {
		return d.Driver.Claim(r)
	}
	return d.claim
}

func TestNoDriver(t *testing.T) {
	var none *claimless
	gives := func(d dsync.Driver, err error) dsync.Option {
		return dsync.WithDriver("odd", func(context.Context) (dsync.Driver, error) { return d, err })
	}
	around := func(d dsync.Driver) dsync.Option {
		return dsync.WithAround(func(dsync.Driver) dsync.Driver { return d })
	}
	for name, opt := range map[string]dsync.Option{
		"nil": gives(nil, nil), "nil pointer": gives(none, nil), "an error": gives(nil, errors.New("bad")), "no function": dsync.WithDriver("odd", nil),
		"nil around": around(nil), "nil pointer around": around(none), "no function around": dsync.WithAround(nil),
		"no memory": dsync.Memory(nil), "no logger": dsync.WithLogger(nil), "nil option": nil, "nil default": dsync.WithDefaults(nil),
	} {
		if s, err := dsync.New(opt); s != nil || !errors.Is(err, dsync.ErrInvalid) || !strings.HasPrefix(err.Error(), "sync") {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	s, err := dsync.New()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, lock := s.Lock(t.Context(), "a", nil)
	_, leader := s.Leader("a", nil)
	for name, err := range map[string]error{"Lock": lock, "Leader": leader} {
		if !errors.Is(err, dsync.ErrInvalid) {
			t.Errorf("%s with a nil option: %v", name, err)
		}
	}
}

// Close waits once for a backend that does not answer, however many locks are held.
func TestCloseWithABackendThatDoesNotAnswer(t *testing.T) {
	hangs := func(ctx context.Context) (time.Time, error) { <-ctx.Done(); return time.Time{}, ctx.Err() }
	for _, c := range []struct {
		silent bool
		want   time.Duration
	}{{false, 0}, {true, 7 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			now := make([]atomic.Pointer[oddCall], 1)
			s, err := dsync.New(dsync.WithTimeout(7*time.Second), dsync.WithAround(func(d dsync.Driver) dsync.Driver { return oddDriver{d, now} }))
			if err != nil {
				t.Fatal(err)
			}
			var held []dsync.Lock
			for i := range 40 {
				l, err := s.Lock(t.Context(), fmt.Sprint(i))
				if err != nil {
					t.Fatal(err)
				}
				held = append(held, l)
			}
			if c.silent {
				now[0].Store(&oddCall{"release", hangs})
			}
			began := time.Now()
			err = s.Close()
			if took := time.Since(began); took != c.want || err != nil {
				t.Errorf("silent %t: Close took %s, want %s: %v", c.silent, took, c.want, err)
			}
			for _, l := range held {
				if l.Context().Err() == nil {
					t.Errorf("silent %t: %s seems held after Close", c.silent, l.ID())
				}
			}
		})
	}
}
