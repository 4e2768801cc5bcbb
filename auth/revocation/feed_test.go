package revocation_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/revocation"
	"github.com/micro/go-platform/event"
)

// What is on the stream and no revocation is passed over; one that is older than the
// feed looks back is not heard.
func TestWhatAFeedHears(t *testing.T) {
	for name, c := range map[string]struct {
		opts []revocation.Option
		want string // the subjects that are heard
	}{
		"an hour back":   {nil, "half just new"},
		"the zero one":   {[]revocation.Option{{}}, "half just new"},
		"a day back":     {[]revocation.Option{revocation.WithLookback(24 * time.Hour)}, "old half just new"},
		"from now on":    {[]revocation.Option{revocation.WithLookback(0)}, "new"},
		"less than that": {[]revocation.Option{revocation.WithLookback(-time.Hour)}, "new"},
	} {
		synctest.Test(t, func(t *testing.T) {
			stream, err := event.New()
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close(context.WithoutCancel(t.Context()))
			seen := &watched{Stream: stream}
			feed := revocation.Feed(seen, c.opts...)
			publish := func(id string) {
				t.Helper()
				err := feed.Publish(t.Context(), auth.Revocation{ID: id})
				if err != nil {
					t.Fatal(err)
				}
			}
			publish("old")
			time.Sleep(2 * time.Hour)
			publish("half")
			time.Sleep(30 * time.Minute)
			publish("just") // at the moment at which the feed begins

			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			heard, ended := "", make(chan error, 1)
			go func() { ended <- feed.Subscribe(ctx, func(r auth.Revocation) { heard += " " + r.ID }) }()
			synctest.Wait()
			for _, r := range []*event.Record{
				{Type: revocation.Type, Data: []byte(`{"id":7}`)},
				{Type: revocation.Type},
				{Type: "another", Data: must(json.Marshal(auth.Revocation{ID: "another"}))},
			} {
				err := stream.Publish(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
			}
			publish("new")
			time.Sleep(time.Minute)
			if st := seen.sub.Stats(); st.Failed != 2 || st.Retrying != 0 {
				t.Errorf("%s: %d records failed and %d are tried again, want those 2 that are no revocations, once", name, st.Failed, st.Retrying)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Errorf("%s: Subscribe: %v", name, err)
			}
			if heard != " "+c.want {
				t.Errorf("%s: heard%s, want %s", name, heard, c.want)
			}
		})
	}
}

// watched notes the subscription that is made of a stream, and closes it with an error.
type watched struct {
	event.Stream
	sub  event.Subscription
	err  error
	then func() // called when there is one
}

func (w *watched) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	sub, err := w.Stream.Subscribe(ctx, h, opts...)
	w.sub = sub
	if w.then != nil {
		w.then()
	}
	return closing{sub, w.err}, err
}

type closing struct {
	event.Subscription
	err error
}

func (c closing) Close(ctx context.Context) error {
	return errors.Join(c.Subscription.Close(ctx), c.err)
}

func must(b []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return b
}

// A stream that takes no subscription ends Subscribe with its error; one that is nil
// makes no feed.
func TestStreamsThatCarryNothing(t *testing.T) {
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	err = stream.Close(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	feed := revocation.Feed(stream)
	if err := feed.Subscribe(t.Context(), func(auth.Revocation) {}); !errors.Is(err, event.ErrClosed) {
		t.Errorf("Subscribe: %v, want %v", err, event.ErrClosed)
	}
	if err := feed.Publish(t.Context(), auth.Revocation{ID: "a"}); !errors.Is(err, event.ErrClosed) {
		t.Errorf("Publish: %v, want %v", err, event.ErrClosed)
	}
	var none *odd
	for name, stream := range map[string]event.Stream{"nil": nil, "a nil pointer": none} {
		if _, err := auth.New(auth.WithRevocations(revocation.Feed(stream))); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v, want %v", name, err, auth.ErrInvalid)
		}
	}
}

// What ends badly says so: a subscription that can't be closed, and a revocation that has
// no form as JSON, which is not published.
func TestWhatAFeedCannotDo(t *testing.T) {
	stream, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.WithoutCancel(t.Context()))
	for _, want := range []error{nil, errors.New("stuck")} {
		ctx, cancel := context.WithCancel(t.Context())
		feed := revocation.Feed(&watched{Stream: stream, err: want, then: cancel})
		if err := feed.Subscribe(ctx, func(auth.Revocation) {}); !errors.Is(err, want) {
			t.Errorf("Subscribe: %v, want %v", err, want)
		}
	}
	feed := revocation.Feed(stream)
	for year, well := range map[int]bool{9999: true, 10000: false} {
		err := feed.Publish(t.Context(), auth.Revocation{ID: "a", Expires: time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC)})
		if (err == nil) != well {
			t.Errorf("the year %d: %v", year, err)
		}
	}
}

// odd is a stream of a user's own.
type odd struct{ event.Stream }
