package event_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/router"
	routerevent "github.com/micro/go-platform/router/event"
)

// broken is a stream whose subscriptions can't be made, or closed.
type broken struct {
	event.Stream
	subscribe, close error
}

type subscription struct {
	event.Subscription
	err error
}

func (b broken) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	if b.subscribe != nil {
		return nil, b.subscribe
	}
	s, err := b.Stream.Subscribe(ctx, h, opts...)
	return subscription{s, b.close}, err
}

func (s subscription) Close(ctx context.Context) error {
	return errors.Join(s.Subscription.Close(ctx), s.err)
}

func stream(t *testing.T) event.Stream {
	t.Helper()
	s, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func exchange(t *testing.T, s event.Stream) router.Exchange {
	t.Helper()
	x, err := routerevent.Exchange(s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// What is of another service, of another kind, or no report at all does not
// reach who follows the reports of one service.
func TestReportsOfOneService(t *testing.T) {
	for _, c := range []struct {
		service string
		want    []string // clients, in their order
	}{{"a", []string{"1", "3"}}, {"", []string{"1", "2", "3"}}, {"c", []string{"3"}}} {
		s := stream(t)
		x := exchange(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		got := make(chan router.Report, 10)
		ended := make(chan error, 1)
		go func() { ended <- x.Reports(ctx, c.service, func(r router.Report) { got <- r }) }()
		first := c.service // the last one is of the service that is followed
		if first == "" {
			first = "a"
		}
		// A subscription begins some time later: the first report is repeated.
		for sent := false; !sent; {
			if err := x.Publish(ctx, router.Report{Service: first, Client: "hello"}); err != nil {
				t.Fatal(err)
			}
			select {
			case <-got:
				sent = true
			default:
			}
		}
		for _, err := range []error{
			x.Publish(ctx, router.Report{Service: "a", Client: "1"}),
			x.Publish(ctx, router.Report{Service: "b", Client: "2"}),
			s.Publish(ctx, &event.Record{Type: routerevent.TypeReport, Subject: first, Data: []byte("{")}),
			x.PublishView(ctx, router.View{Service: first, By: "view"}),
			x.Publish(ctx, router.Report{Service: first, Client: "3"}),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range c.want {
			r := <-got
			for r.Client == "hello" {
				r = <-got
			}
			if r.Client != want || c.service != "" && r.Service != c.service {
				t.Errorf("of %q: %+v, want client %s", c.service, r, want)
			}
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("Reports = %v, want the end of the context", err)
		}
	}
}

func TestViewsOfOneService(t *testing.T) {
	x := exchange(t, stream(t))
	ctx, cancel := context.WithCancel(t.Context())
	got := make(chan router.View, 1)
	ended := make(chan error, 1)
	go func() {
		ended <- x.Views(ctx, "a", func(v router.View) {
			select {
			case got <- v:
			default:
			}
		})
	}()
	for seen := false; !seen; {
		for _, service := range []string{"b", "a"} {
			if err := x.PublishView(ctx, router.View{Service: service, By: "me", Clients: 3}); err != nil {
				t.Fatal(err)
			}
		}
		select {
		case v := <-got:
			if v.Service != "a" || v.By != "me" || v.Clients != 3 {
				t.Errorf("got %+v", v)
			}
			seen = true
		default:
		}
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Views = %v, want the end of the context", err)
	}
}

func TestErrorsOfTheStreamAreSaid(t *testing.T) {
	sorry := errors.New("sorry")
	for _, b := range []broken{{subscribe: sorry}, {close: sorry}} {
		b.Stream = stream(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if b.subscribe != nil {
			ctx = t.Context()
		}
		if err := exchange(t, b).Reports(ctx, "a", func(router.Report) {}); !errors.Is(err, sorry) {
			t.Errorf("subscribe %v, close %v: %v", b.subscribe, b.close, err)
		}
	}
	s := stream(t)
	x := exchange(t, s)
	if err := x.Publish(t.Context(), router.Report{Service: "a", Nodes: []router.NodeReport{{ID: "n", Success: math.NaN()}}}); err == nil {
		t.Error("a report that is no JSON was published")
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := x.Publish(t.Context(), router.Report{Service: "a"}); !errors.Is(err, event.ErrClosed) {
		t.Errorf("publish on a closed stream: %v", err)
	}
}
