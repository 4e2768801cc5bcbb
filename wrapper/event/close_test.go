package event_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wevent "github.com/micro/go-platform/wrapper/event"
)

// stubborn is a stream whose Close says something.
type stubborn struct {
	event.Stream
	err error
}

func (s stubborn) Close(ctx context.Context) error {
	return errors.Join(s.Stream.Close(ctx), s.err)
}

// Close is the stream's, with metrics and without.
func TestCloseIsTheStreams(t *testing.T) {
	mt, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	defer mt.Close(context.WithoutCancel(t.Context()))
	bad := errors.New("not closed")
	for name, opts := range map[string][]wrapper.Option{"with metrics": {wrapper.WithMetrics(mt)}, "without": nil} {
		for _, want := range []error{nil, bad} {
			inner, err := event.New()
			if err != nil {
				t.Fatal(err)
			}
			s := wevent.Stream(newWrapper(t, opts...), stubborn{inner, want})
			if err := s.Close(t.Context()); !errors.Is(err, want) || (err == nil) != (want == nil) {
				t.Errorf("%s: %v, want %v", name, err, want)
			}
			if err := s.Publish(t.Context(), &event.Record{Type: "a"}); !errors.Is(err, event.ErrClosed) {
				t.Errorf("%s: then Publish: %v", name, err)
			}
		}
	}
}

// saying is a measured stream whose subscriptions say these numbers and this lag.
func saying(t *testing.T, stats *event.Stats, lag func(context.Context) (event.Lag, error)) (told, event.Stream, event.Subscription, func(string, ...string) float64) {
	t.Helper()
	says := told{stats: &atomic.Pointer[event.Stats]{}, lag: &atomic.Pointer[func(context.Context) (event.Lag, error)]{}}
	says.stats.Store(stats)
	says.lag.Store(&lag)
	stream, _, value := measured(t, func(s event.Stream) event.Stream { says.Stream = s; return says })
	return says, stream, subscribe(t, stream, func(context.Context, *event.Record) error { return nil }, event.Group("g")), value
}

// Close takes in what was counted since the last look, ends the question that is open,
// and leaves no levels.
func TestCloseTakesInTheLastNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		says, stream, _, value := saying(t, &event.Stats{Held: 2, Running: 1}, func(ctx context.Context) (event.Lag, error) {
			<-ctx.Done()
			return event.Lag{}, ctx.Err()
		})
		if got := value("redelivered", "g"); got != 0 {
			t.Errorf("%v at first", got)
		}
		says.stats.Store(&event.Stats{Redelivered: 1, Dropped: 2, Missed: 3, Dead: 4})
		began := time.Now()
		if err := stream.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("Close took %v", took)
		}
		for name, want := range map[string]float64{"redelivered": 1, "dropped": 2, "missed": 3, "dead_letters": 4} {
			if got := value(name, "g"); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		for _, state := range []string{"waiting", "running", "retrying"} {
			if got := value("held", "g", state); got != absent {
				t.Errorf("%v are %s after Close", got, state)
			}
		}
	})
}

// An answer that comes when the subscription is closed is nobody's.
func TestALagThatComesTooLate(t *testing.T) {
	for _, closed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			answer := make(chan struct{})
			_, stream, sub, value := saying(t, &event.Stats{}, func(context.Context) (event.Lag, error) {
				<-answer
				return event.Lag{Pending: 4, Behind: 5}, nil
			})
			defer stream.Close(context.WithoutCancel(t.Context()))
			if got := value("lag", "g", "pending"); got != absent {
				t.Errorf("%v without an answer", got)
			}
			if closed {
				if err := sub.Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			close(answer)
			synctest.Wait()
			for state, want := range map[string]float64{"pending": 4, "behind": 5} {
				if closed {
					want = absent
				}
				if got := value("lag", "g", state); got != want {
					t.Errorf("closed %v: %s is %v, want %v", closed, state, got, want)
				}
			}
		})
	}
}

// What a record says of its own request stays; one that says nothing is of the call's.
func TestRecordsKeepTheirOwnRequest(t *testing.T) {
	rec := newRecorder()
	s := newStream(t, newWrapper(t, wrapper.WithObserver(rec)))
	got := make(chan *event.Record, 10)
	subscribe(t, s, func(_ context.Context, r *event.Record) error { got <- r; return nil })
	of := func(id string) map[string]string {
		md := trace.Map{}
		md.Set(wrapper.HeaderRequestID, id)
		return md
	}
	publish(t, s, &event.Record{Type: "a", Metadata: of("one")}, &event.Record{Type: "b", Metadata: of("two")}, &event.Record{Type: "c"})
	if c := rec.next(t, wrapper.Client); c.RequestID != "one" {
		t.Errorf("the call is of the request %q", c.RequestID)
	}
	for range 3 {
		r := receive(t, got)
		want := map[string]string{"a": "one", "b": "two", "c": "one"}[r.Type]
		if id := trace.Map(r.Metadata).Get(wrapper.HeaderRequestID); id != want {
			t.Errorf("%s is of the request %q, want %q", r.Type, id, want)
		}
	}
}

// unwilling is a stream whose subscriptions do not close at first.
type unwilling struct {
	event.Stream
	err *atomic.Pointer[error]
}

func (u unwilling) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	s, err := u.Stream.Subscribe(ctx, h, opts...)
	if err != nil {
		return nil, err
	}
	return unwillingSubscription{s, u.err}, nil
}

type unwillingSubscription struct {
	event.Subscription
	err *atomic.Pointer[error]
}

func (s unwillingSubscription) Close(ctx context.Context) error {
	if err := s.err.Load(); err != nil {
		return *err
	}
	return s.Subscription.Close(ctx)
}

// A subscription that the stream refuses is none; one that does not close is closed with
// the wrapper.
func TestSubscriptionsThatFail(t *testing.T) {
	inner, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close(context.WithoutCancel(t.Context()))
	w, err := wrapper.New(wrapper.WithName("billing"))
	if err != nil {
		t.Fatal(err)
	}
	says := unwilling{inner, &atomic.Pointer[error]{}}
	s := wevent.Stream(w, says)
	one, err1 := s.Subscribe(t.Context(), nil)
	many, err2 := s.SubscribeBatch(t.Context(), nil)
	if one != nil || many != nil || !errors.Is(err1, event.ErrInvalid) || !errors.Is(err2, event.ErrInvalid) {
		t.Errorf("without a handler: %v, %v, %v, %v", one, err1, many, err2)
	}
	got := make(chan *event.Record, 10)
	sub := subscribe(t, s, func(_ context.Context, r *event.Record) error { got <- r; return nil })
	bad := errors.New("not yet")
	says.err.Store(&bad)
	if err := sub.Close(t.Context()); !errors.Is(err, bad) {
		t.Errorf("Close: %v", err)
	}
	publish(t, s, &event.Record{Type: "a"})
	receive(t, got)
	says.err.Store(nil)
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := inner.Publish(t.Context(), &event.Record{Type: "b"}); err != nil {
		t.Error(err)
	}
	if n := sub.Stats().Handled; n != 1 {
		t.Errorf("%d records were handled, want the one before the wrapper closed", n)
	}
}
