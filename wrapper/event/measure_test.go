package event_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/wrapper"
	wevent "github.com/micro/go-platform/wrapper/event"
)

// absent is the value of a series that is not there.
const absent = -99

// measured is a stream in memory within a wrapper with metrics, and how to read
// the value of one.
func measured(t *testing.T, around func(event.Stream) event.Stream) (stream event.Stream, w *wrapper.Wrapper, value func(name string, labels ...string) float64) {
	t.Helper()
	mt, err1 := metrics.New()
	raw, err2 := event.New()
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if around != nil {
		raw = around(raw)
	}
	w = newWrapper(t, wrapper.WithMetrics(mt))
	return wevent.Stream(w, raw), w, func(name string, labels ...string) float64 {
		s, ok := mt.Snapshot().Find("platform.messaging."+name, append([]string{"memory"}, labels...)...)
		if !ok {
			return absent
		}
		return s.Value
	}
}

func publishMany(t *testing.T, s event.Stream, n int) {
	t.Helper()
	for i := range n {
		if err := s.Publish(t.Context(), &event.Record{Type: "order.created", ID: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestDeadLettersHeldAndLagAreMeasured(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stream, _, value := measured(t, nil)
		defer stream.Close(context.Background())
		goOn := make(chan error)
		handler := func(context.Context, *event.Record) error { return <-goOn }
		sub, err := stream.Subscribe(t.Context(), handler, event.Group("billing"), event.MaxAttempts(1), event.Types("order.*"), event.Batch(2))
		if err != nil {
			t.Fatal(err)
		}
		check := func(when string, want map[string]float64) {
			t.Helper()
			synctest.Wait()
			for state, v := range want {
				var got float64
				switch state {
				case "dead_letters", "redelivered", "dropped", "missed":
					got = value(state, "billing")
				case "pending", "behind":
					got = value("lag", "billing", state)
				default:
					got = value("held", "billing", state)
				}
				if got != v {
					t.Errorf("%s: %s is %v, want %v", when, state, got, v)
				}
			}
		}
		check("nothing published", map[string]float64{"dead_letters": 0, "redelivered": 0, "dropped": 0, "missed": 0, "waiting": 0, "running": 0, "retrying": 0, "pending": 0, "behind": 0})
		publishMany(t, stream, 10)
		synctest.Wait()
		held := float64(sub.Stats().Held)
		check("one is handled, lags are not asked for again", map[string]float64{"running": 1, "waiting": held - 1, "pending": 0, "behind": 0})
		time.Sleep(10 * time.Second)
		check("ten seconds later they are", map[string]float64{"pending": held, "behind": 10 - held})
		for i := range 10 {
			goOn <- []error{nil, errors.New("no")}[i%2]
		}
		synctest.Wait()
		time.Sleep(10 * time.Second)
		check("every other one failed", map[string]float64{"dead_letters": 5, "running": 0, "waiting": 0, "pending": 0, "behind": 0})
		publishMany(t, stream, 1)
		goOn <- errors.New("no")
		synctest.Wait()
		if err := sub.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("closed: the counts stay, the levels are gone", map[string]float64{"dead_letters": 6, "running": absent, "pending": absent, "behind": absent})
	})
}

// told is a stream whose subscriptions say what a test makes them say.
type told struct {
	event.Stream
	stats *atomic.Pointer[event.Stats]
	lag   *atomic.Pointer[func(context.Context) (event.Lag, error)]
}

func (s told) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	sub, err := s.Stream.Subscribe(ctx, h, opts...)
	return toldSubscription{sub, s}, err
}

type toldSubscription struct {
	event.Subscription
	told
}

func (s toldSubscription) Close(ctx context.Context) error { return s.Subscription.Close(ctx) }
func (s toldSubscription) Stats() event.Stats              { return *s.stats.Load() }
func (s toldSubscription) Lag(ctx context.Context) (event.Lag, error) {
	return (*s.told.lag.Load())(ctx)
}

// The counts of all subscriptions of a group add up, those of the closed ones too.
func TestCountsOfAGroupAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := told{stats: &atomic.Pointer[event.Stats]{}, lag: &atomic.Pointer[func(context.Context) (event.Lag, error)]{}}
		says.stats.Store(&event.Stats{})
		lag := func(context.Context) (event.Lag, error) { return event.Lag{Pending: 4, Behind: -1}, nil }
		says.lag.Store(&lag)
		stream, w, value := measured(t, func(s event.Stream) event.Stream { says.Stream = s; return says })
		var subs []event.Subscription
		for range 2 {
			sub, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g"))
			if err != nil {
				t.Fatal(err)
			}
			subs = append(subs, sub)
		}
		says.stats.Store(&event.Stats{Redelivered: 1, Dropped: 2, Missed: 3, Dead: 4, Held: 9, Running: 2, Retrying: 3})
		if err := subs[0].Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]float64{"redelivered": 2, "dropped": 4, "missed": 6, "dead_letters": 8} {
			if got := value(name, "g"); got != want {
				t.Errorf("%s is %v, want %v of one that is closed and one that is not", name, got, want)
			}
		}
		for state, want := range map[string]float64{"waiting": 4, "running": 2, "retrying": 3} {
			if got := value("held", "g", state); got != want {
				t.Errorf("%v are %s, want %v: those of the open one", got, state, want)
			}
		}
		if pending, behind := value("lag", "g", "pending"), value("lag", "g", "behind"); pending != 4 || behind != absent {
			t.Errorf("lag %v and %v, want 4 and none that the backend can't tell", pending, behind)
		}
		says.stats.Store(&event.Stats{Redelivered: 5})
		if err := w.Close(t.Context()); err != nil { // closes the other
			t.Fatal(err)
		}
		if got := value("redelivered", "g"); got != 6 {
			t.Errorf("redelivered is %v after the wrapper has closed, want 6", got)
		}
		_ = stream.Close(t.Context())
	})
}

// A backend that does not answer holds a scrape up for half a second, and has no lag.
func TestABackendThatHangsHasNoLag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says := told{stats: &atomic.Pointer[event.Stats]{}, lag: &atomic.Pointer[func(context.Context) (event.Lag, error)]{}}
		says.stats.Store(&event.Stats{})
		var asked atomic.Int64
		well := func(context.Context) (event.Lag, error) { asked.Add(1); return event.Lag{Behind: 7}, nil }
		hangs := func(ctx context.Context) (event.Lag, error) {
			asked.Add(1)
			<-ctx.Done()
			return event.Lag{}, ctx.Err()
		}
		stream, _, value := measured(t, func(s event.Stream) event.Stream { says.Stream = s; return says })
		defer stream.Close(context.Background())
		if _, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g")); err != nil {
			t.Fatal(err)
		}
		for i, step := range []struct {
			answer func(context.Context) (event.Lag, error)
			after  time.Duration // since the step before
			took   time.Duration
			behind float64
			asked  int64
		}{
			{well, 0, 0, 7, 1},
			{hangs, 9 * time.Second, 0, 7, 1},
			{hangs, time.Second, 500 * time.Millisecond, 7, 2},
			{hangs, time.Second, 500 * time.Millisecond, 7, 2},
			{hangs, 4 * time.Second, 0, absent, 2},
			{well, 10 * time.Second, 0, 7, 3},
		} {
			says.lag.Store(&step.answer)
			time.Sleep(step.after)
			synctest.Wait()
			start := time.Now()
			got := value("lag", "g", "behind")
			if took := time.Since(start); took != step.took || got != step.behind || asked.Load() != step.asked {
				t.Errorf("step %d: %v in %v, asked %d times, want %v in %v and %d", i, got, took, asked.Load(), step.behind, step.took, step.asked)
			}
		}
	})
}

// odd is a stream as users write them: its subscriptions can't be compared, and panic.
type odd struct {
	event.Stream
	stats, lag []func()
}

func (s odd) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	sub, err := s.Stream.Subscribe(ctx, h, opts...)
	return oddSubscription{sub, s}, err
}

type oddSubscription struct {
	event.Subscription
	of odd
}

func (s oddSubscription) Stats() event.Stats { s.of.stats[0](); return s.Subscription.Stats() }
func (s oddSubscription) Lag(ctx context.Context) (event.Lag, error) {
	s.of.lag[0]()
	return s.Subscription.Lag(ctx)
}

// What a stream of the user's own does when it is measured ends no process and keeps no
// other subscription from beginning; what it can't say is not there until it can.
func TestStreamsOfTheUsersOwnAreMeasured(t *testing.T) {
	boom := func() { panic("boom") }
	for name, c := range map[string]struct {
		stats, lag func()
		behind     float64
	}{
		"well":         {func() {}, func() {}, 0},
		"lag panics":   {func() {}, boom, absent},
		"stats panics": {boom, func() {}, absent},
	} {
		synctest.Test(t, func(t *testing.T) {
			stats, lag := []func(){c.stats}, []func(){c.lag}
			stream, _, value := measured(t, func(s event.Stream) event.Stream { return odd{s, stats, lag} })
			defer stream.Close(context.Background())
			begin := func(group string) event.Subscription {
				sub, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group(group))
				if err != nil {
					t.Fatal(err)
				}
				return sub
			}
			begin("g")
			if got := value("lag", "g", "behind"); got != c.behind {
				t.Errorf("%s: the lag is %v, want %v", name, got, c.behind)
			}
			other := begin("h")
			stats[0], lag[0] = func() {}, func() {}
			time.Sleep(lagEvery)
			for _, group := range []string{"g", "h"} {
				if got := value("lag", group, "behind"); got != 0 {
					t.Errorf("%s: later the lag of %s is %v", name, group, got)
				}
			}
			if err := other.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

const lagEvery = 10 * time.Second
