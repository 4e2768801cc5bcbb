package eventtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
)

func closeWaits(t *testing.T, b *bench) {
	for _, opts := range [][]event.SubscribeOption{{}, {event.Group("g")}} {
		s := b.openIn(t, b.ns+fmt.Sprint(len(opts)))
		began, proceed := make(chan struct{}), make(chan struct{})
		var handlerErr, publishErr error
		subscribe(t, s, func(ctx context.Context, r *event.Record) error {
			close(began)
			<-proceed
			handlerErr = ctx.Err()
			publishErr = s.Publish(ctx, &event.Record{Type: "other"}) // a handler may finish its work
			return nil
		}, append(opts, event.Types("t"))...)
		publishN(t, s, 1)
		<-began
		closed := make(chan error)
		go func() { closed <- s.Close(context.Background()) }()
		eventually(t, "publishing is refused from outside", func() bool {
			return errors.Is(s.Publish(context.Background(), &event.Record{Type: "x"}), event.ErrClosed)
		})
		select {
		case <-closed:
			t.Fatal("Close returned while a handler ran")
		default:
		}
		close(proceed)
		if err := <-closed; err != nil {
			t.Errorf("Close = %v", err)
		}
		if handlerErr != nil || publishErr != nil {
			t.Errorf("during Close the handler's context was %v and its Publish %v, want both nil", handlerErr, publishErr)
		}
		if s.Features().Durable || s.Features().Shared {
			s := b.openIn(t, b.ns+fmt.Sprint(len(opts)))
			if n := len(all(t, s, event.Types("other"))); n != 1 {
				t.Errorf("what the handler published during Close is there %d times, want once", n)
			}
			if len(opts) > 0 {
				var g got
				subscribe(t, s, g.handle, append(opts, event.Types("t"))...)
				quiet()
				if g.len() != 0 {
					t.Error("a record handled during Close was handed out again")
				}
			}
		}
	}
}

func closeGivesUp(t *testing.T, b *bench) {
	s := b.open(t)
	proceed := make(chan struct{})
	began := make(chan struct{}, 2)
	live := make(chan error, 2)
	sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		began <- struct{}{}
		<-proceed
		live <- ctx.Err()
		return nil
	}, event.Group("g"), event.Concurrency(2))
	publishN(t, s, 2)
	<-began
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for what, err := range map[string]error{"Subscription.Close": sub.Close(ctx), "Close": s.Close(ctx)} {
		wantErr(t, what, err, event.ErrTimeout)
		wantErr(t, what, err, context.DeadlineExceeded)
		if err != nil && !strings.Contains(err.Error(), "2 handlers") {
			t.Errorf("%s: error %q does not count the handlers", what, err)
		}
	}
	close(proceed)
	for range 2 {
		if err := <-live; err != nil {
			t.Errorf("a handler's context ended before it returned: %v", err)
		}
	}
	shut(t, s) // now it ends
}

func closeReleases(t *testing.T, b *bench) {
	s := b.open(t)
	var one, two got
	proceed, began := make(chan struct{}), make(chan struct{})
	var once sync.Once
	sub := subscribe(t, s, func(ctx context.Context, r *event.Record) error {
		once.Do(func() { close(began) })
		<-proceed
		return one.handle(ctx, r)
	}, event.Group("g"), event.AckWait(time.Minute)) // only a release is faster
	publishN(t, s, 10)
	<-began
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Close that does not wait", sub.Close(ended), event.ErrTimeout) // from here on none begins
	close(proceed)
	closeSub(t, sub)
	if got := one.subjects(); !slices.Equal(got, numbers(1)) {
		t.Errorf("handled %v, want only the one that ran when Close was called", got)
	}
	subscribe(t, s, two.handle, event.Group("g"))
	eventually(t, "the other member has the rest", func() bool { return two.len() >= 9 })
	got := two.subjects()
	slices.Sort(got)
	if !slices.Equal(got, numbers(10)[1:]) {
		t.Errorf("the other member handled %v, want the nine others", got)
	}
}

func afterClose(t *testing.T, b *bench) {
	s := b.open(t)
	sub := subscribe(t, s, ignore, event.Group("g"))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { closeSub(t, sub) })
		wg.Go(func() { shut(t, s) })
	}
	wg.Wait()
	shut(t, s)
	wantErr(t, "Publish", s.Publish(t.Context(), &event.Record{Type: "t"}), event.ErrClosed)
	_, err := s.Subscribe(t.Context(), ignore)
	wantErr(t, "Subscribe", err, event.ErrClosed)
	for _, err := range s.Query(t.Context()) {
		wantErr(t, "Query", err, event.ErrClosed)
	}
	_, err = s.Aggregate(t.Context(), event.Aggregation{})
	wantErr(t, "Aggregate", err, event.ErrClosed)
	_, err = s.Groups(t.Context())
	wantErr(t, "Groups", err, event.ErrClosed)
	wantErr(t, "DeleteGroup", s.DeleteGroup(t.Context(), "g"), event.ErrClosed)
	_, err = sub.Lag(t.Context())
	wantErr(t, "Lag", err, event.ErrClosed)
	sub.Stats()
}

func cancelled(t *testing.T, b *bench) {
	s := b.open(t)
	publishN(t, s, 1)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantErr(t, "Publish", s.Publish(ctx, &event.Record{Type: "t"}), context.Canceled)
	for _, err := range s.Query(ctx) {
		wantErr(t, "Query", err, context.Canceled)
	}
	if n := len(all(t, s)); n != 1 {
		t.Errorf("a cancelled Publish stored something: %d records", n)
	}
	ctx, cancel = context.WithCancel(t.Context())
	var g got
	sub, err := s.Subscribe(ctx, g.handle)
	if err != nil {
		t.Fatal(err)
	}
	cancel() // bounds the opening only
	publishN(t, s, 1)
	eventually(t, "the subscription goes on", func() bool { return g.len() == 1 })
	closeSub(t, sub)
}
