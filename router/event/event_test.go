package event_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	routerevent "github.com/micro/go-platform/router/event"
)

func TestMain(m *testing.M) { leak.Main(m) }

// client is a router over a stream, on three instances.
func client(t testing.TB, stream event.Stream) router.Router {
	t.Helper()
	x, err := routerevent.Exchange(stream)
	if err != nil {
		t.Fatal(err)
	}
	var all []discovery.Instance
	for i := range 3 {
		all = append(all, discovery.Instance{ID: fmt.Sprint("n", i), Service: "greeter", Address: fmt.Sprintf("10.0.0.1:%d", 1000+i)})
	}
	d, err := discovery.New(static.Backend(all...))
	if err != nil {
		t.Fatal(err)
	}
	ro, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()),
		router.WithSharing(x, router.Sharing{Interval: 100 * time.Millisecond}),
		router.WithEjection(router.Ejection{Base: time.Hour, Max: time.Hour}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(ro.Close(context.Background()), d.Close()); err != nil {
			t.Error(err)
		}
	})
	return ro
}

func TestClientsLearnFromEachOtherOverAStream(t *testing.T) {
	for name, open := range map[string]func(t *testing.T) []event.Option{
		"memory": func(*testing.T) []event.Option { return nil },
		"redis": func(t *testing.T) []event.Option {
			return []event.Option{redis.Backend(servertest.SharedRedis(t).Addr()), event.WithNamespace(servertest.Namespace(t))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := open(t)
			// On a shared backend each has a stream of its own.
			a, err := event.New(opts...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { a.Close(context.Background()) })
			b := a
			if len(opts) > 0 {
				if b, err = event.New(opts...); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { b.Close(context.Background()) })
			}
			sees, hears := client(t, a), client(t, b)
			if p, err := hears.Pick(t.Context(), "greeter"); err != nil {
				t.Fatal(err)
			} else {
				p.Done(router.Outcome{Class: router.Cancelled})
			}
			for end := time.Now().Add(30 * time.Second); ; time.Sleep(time.Millisecond) {
				p, err := sees.Pick(t.Context(), "greeter")
				if err != nil {
					t.Fatal(err)
				}
				o := router.Outcome{Latency: time.Millisecond}
				if p.Instance.ID == "n1" {
					o.Class = router.ServerError
				}
				p.Done(o)
				if hears.Stats("greeter")[1].Ejected {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("the other did not hear of it within 30 s: %+v", hears.Stats("greeter"))
				}
			}
		})
	}
}

func TestBadStreamIsRefused(t *testing.T) {
	if _, err := routerevent.Exchange(nil); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("got %v, want ErrInvalid", err)
	}
}

func ExampleExchange() {
	ctx := context.Background()
	stream, err := event.New()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer stream.Close(ctx)
	exchange, err := routerevent.Exchange(stream)
	if err != nil {
		fmt.Println(err)
		return
	}
	d, err := discovery.New(static.Backend(discovery.Instance{ID: "a", Service: "greeter", Address: "10.0.0.1:80"}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	ro, err := router.New(router.WithDiscovery(d), router.WithSharing(exchange, router.Sharing{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer ro.Close(ctx)
	pick, err := ro.Pick(ctx, "greeter")
	fmt.Println(pick.Instance.ID, err)
	// Output: a <nil>
}
