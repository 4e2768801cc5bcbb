package event_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
)

func open(t *testing.T, opts ...event.Option) event.Stream {
	t.Helper()
	s, err := event.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(60 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		<-time.After(2 * time.Millisecond)
	}
}

func publish(t *testing.T, s event.Stream, subjects ...string) {
	t.Helper()
	for _, sub := range subjects {
		if err := s.Publish(t.Context(), &event.Record{ID: sub, Type: "t", Subject: sub}); err != nil {
			t.Fatal(err)
		}
	}
}

// The ways in which handlers are run.
var ways = map[string][]event.SubscribeOption{
	"group":                   {event.Group("g")},
	"no group":                nil,
	"several at once":         {event.Group("g"), event.Concurrency(2)},
	"ordered":                 {event.Group("g"), event.Ordered(event.BySubject)},
	"ordered, several":        {event.Group("g"), event.Ordered(event.BySubject), event.Concurrency(2)},
	"no group, in small bits": {event.Batch(1)},
}

// bubble runs a test by a clock of its own: a machine that stands still lets none of its
// handlers time out.
func bubble(f func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

type childKey struct{}

func TestHandlerThatHangsIsLeftBehindAndItsRecordHandledAgain(t *testing.T) {
	for name, opts := range ways {
		t.Run(name, bubble(func(t *testing.T) {
			s := open(t)
			release := make(chan struct{})
			defer close(release)
			var mu sync.Mutex
			var attempts []int
			var handled []string
			sub, err := s.Subscribe(t.Context(), func(ctx context.Context, r *event.Record) error {
				d, _ := event.DeliveryFromContext(ctx)
				if r.ID == "hangs" && d.Attempt == 1 {
					<-release // whatever its context says
					return nil
				}
				mu.Lock()
				defer mu.Unlock()
				if r.ID == "hangs" {
					attempts = append(attempts, d.Attempt)
				}
				handled = append(handled, r.ID)
				return nil
			}, append(opts, event.HandlerTimeout(50*time.Millisecond), event.Backoff(time.Millisecond, time.Millisecond))...)
			if err != nil {
				t.Fatal(err)
			}
			publish(t, s, "0", "1", "hangs", "2", "3", "4", "5", "6", "7", "8", "9", "10")
			if err := s.Publish(t.Context(), &event.Record{ID: "next of the key", Type: "t", Subject: "hangs"}); err != nil {
				t.Fatal(err)
			}
			until(t, "all are handled", func() bool { return sub.Stats().Handled == 13 })
			st := sub.Stats()
			if st.TimedOut != 1 || st.Failed != 1 || st.Running != 1 || st.Held != 0 || st.Dead+st.Dropped != 0 {
				t.Errorf("stats %+v, want one that timed out and failed, and its handler running", st)
			}
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(attempts, []int{2}) {
				t.Errorf("the record that hung was handled in attempts %v, want the second", attempts)
			}
			if a, b := slices.Index(handled, "hangs"), slices.Index(handled, "next of the key"); strings.HasPrefix(name, "ordered") && (a < 0 || b < a) {
				t.Errorf("handled %v, want the key in order", handled)
			}
			sorted := slices.Sorted(slices.Values(handled))
			if len(slices.Compact(sorted)) != 13 {
				t.Errorf("handled %v, want each once", handled)
			}
			if lag, err := sub.Lag(t.Context()); err != nil || lag.Pending != 0 || lag.Behind != 0 {
				until(t, "nothing is pending", func() bool { l, err := sub.Lag(t.Context()); return err == nil && l.Pending == 0 && l.Behind == 0 })
			}
		}))
	}
}

func TestContextEndsAtTheHandlersTimeout(t *testing.T) {
	for name, opts := range ways {
		t.Run(name, bubble(func(t *testing.T) {
			s := open(t)
			type ends struct {
				err, child error
				after      time.Duration
			}
			seen := make(chan ends, 1)
			var once atomic.Bool
			sub, err := s.Subscribe(t.Context(), func(ctx context.Context, r *event.Record) error {
				if !once.CompareAndSwap(false, true) {
					return nil
				}
				if ctx.Err() != nil {
					t.Error("the context had ended before")
				}
				start := time.Now()
				child, cancel := context.WithCancel(context.WithValue(ctx, childKey{}, "v"))
				defer cancel()
				direct, cancel := context.WithTimeout(ctx, time.Hour)
				defer cancel()
				<-child.Done()
				<-direct.Done()
				<-ctx.Done()
				seen <- ends{ctx.Err(), direct.Err(), time.Since(start)}
				return ctx.Err()
			}, append(opts, event.HandlerTimeout(100*time.Millisecond), event.Backoff(time.Millisecond, time.Millisecond))...)
			if err != nil {
				t.Fatal(err)
			}
			publish(t, s, "1")
			e := <-seen
			if !errors.Is(e.err, context.DeadlineExceeded) || !errors.Is(e.child, context.DeadlineExceeded) || e.after < 100*time.Millisecond || e.after > 120*time.Millisecond {
				t.Errorf("after %v the context had %v and its child %v, want DeadlineExceeded after 100 ms, or a few more", e.after, e.err, e.child)
			}
			until(t, "the record is handled again", func() bool { return sub.Stats().Handled == 1 })
			if st := sub.Stats(); st.Failed != 1 {
				t.Errorf("stats %+v, want one failed attempt", st)
			}
		}))
	}
}

func TestHandlerBelowItsTimeoutIsLeftAlone(t *testing.T) {
	leak.Check(t)
	s := open(t)
	for _, limit := range []time.Duration{0, time.Minute} {
		ended := make(chan error, 1)
		sub, err := s.Subscribe(t.Context(), func(ctx context.Context, r *event.Record) error {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
			ended <- ctx.Err()
			return nil
		}, event.HandlerTimeout(limit))
		if err != nil {
			t.Fatal(err)
		}
		publish(t, s, "1")
		if err := <-ended; err != nil {
			t.Errorf("limit %v: the context had ended: %v", limit, err)
		}
		sub.Close(t.Context())
		if st := sub.Stats(); st.Handled != 1 || st.TimedOut+st.Failed != 0 {
			t.Errorf("limit %v: stats %+v, want one handled", limit, st)
		}
	}
	for _, bad := range []time.Duration{-1, time.Millisecond} {
		if _, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.HandlerTimeout(bad)); !errors.Is(err, event.ErrInvalid) {
			t.Errorf("limit %v: %v, want ErrInvalid", bad, err)
		}
	}
}

func TestRecordThatAlwaysHangsGoesToTheDeadLetters(t *testing.T) {
	for name, opts := range ways {
		t.Run(name, bubble(func(t *testing.T) {
			s := open(t)
			release := make(chan struct{})
			defer close(release)
			sub, err := s.Subscribe(t.Context(), func(ctx context.Context, r *event.Record) error {
				if r.Subject == "hangs" {
					<-release
				}
				return nil
			}, append(opts, event.HandlerTimeout(20*time.Millisecond), event.MaxAttempts(2), event.Backoff(time.Millisecond, time.Millisecond))...)
			if err != nil {
				t.Fatal(err)
			}
			publish(t, s, "hangs", "1")
			until(t, "it is given up and the other handled", func() bool { st := sub.Stats(); return st.Dead+st.Dropped == 1 && st.Handled == 1 })
			if st := sub.Stats(); st.TimedOut != 2 || st.Running != 2 {
				t.Errorf("stats %+v, want two handlers left behind", st)
			}
		}))
	}
}

func TestCloseWithAHandlerThatHangs(t *testing.T) {
	leak.Check(t)
	s := open(t)
	release, began := make(chan struct{}), make(chan struct{})
	published := make(chan error, 1)
	var once sync.Once
	if _, err := s.Subscribe(t.Context(), func(ctx context.Context, r *event.Record) error {
		once.Do(func() { close(began) })
		<-release
		published <- s.Publish(context.WithoutCancel(ctx), &event.Record{Type: "late"})
		return nil
	}, event.Group("g"), event.HandlerTimeout(20*time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	publish(t, s, "1")
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, event.ErrTimeout) {
		t.Errorf("Close = %v, want ErrTimeout while the handler runs", err)
	}
	close(release)
	if err := <-published; !errors.Is(err, event.ErrClosed) {
		t.Errorf("a handler that was left behind published with %v, want ErrClosed", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("Close after the handler returned: %v", err)
	}
}
