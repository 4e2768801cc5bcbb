package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

func TestBadConfigurationIsAnErrorOfNew(t *testing.T) {
	for name, opt := range map[string]event.Option{
		"empty": nats.Backend(""), "scheme": nats.Backend("http://u:s3cret@h"), "path": nats.Backend("nats://u:s3cret@h/x"), "nil connection": nats.On(engine.FromClient(nil)), "nil engine": nats.On(nil),
		"nil option": nats.Backend("h", nil), "replicas": nats.Backend("h", nats.WithReplicas(2)),
	} {
		_, err := event.New(opt)
		if !errors.Is(err, event.ErrInvalid) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: got %v, want ErrInvalid without the password", name, err)
		}
	}
	_, err := event.New(nats.Backend("nats://u:s3cret@127.0.0.1:1"), event.WithDialTimeout(500*time.Millisecond))
	if !errors.Is(err, event.ErrUnavailable) || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("no server: got %v, want ErrUnavailable that names the address", err)
	}
}

func ExampleBackend() {
	s, err := event.New(nats.Backend("nats://127.0.0.1:4222"), event.WithNamespace("shop"), event.WithLazy()) // does not need the server yet
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close(context.Background())
	fmt.Println(s.Features().Backend)
	// Output: nats
}

func proxied(t *testing.T) (*netfault.Proxy, event.Stream) {
	t.Helper()
	p := netfault.New(t, servertest.SharedNATS(t).Addr())
	s, err := event.New(nats.Backend(p.Addr()), event.WithNamespace(servertest.Namespace(t)), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return p, s
}

func TestIdleSubscriptionsCostLittle(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Idle(t, p, s, 60)
}

func TestNothingIsMissedOverABadLink(t *testing.T) {
	leak.Check(t)
	p, s := proxied(t)
	links.Cut(t, p, s)
}

func TestOneCallDoesNotHoldUpAnother(t *testing.T) {
	leak.Check(t)
	p := netfault.New(t, servertest.SharedNATS(t).Addr())
	s, err := event.New(nats.Backend(p.Addr()), event.WithNamespace(servertest.Namespace(t)), event.WithTimeout(time.Minute), event.WithDialTimeout(time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	links.Apart(t, p, s)
}

// A stream that somebody deletes is made again, and groups are handed what it has then,
// also where its positions are below those of the former one.
func TestADeletedStreamIsMadeAgain(t *testing.T) {
	for name, opts := range map[string][]event.SubscribeOption{"shared": nil, "ordered": {event.Ordered(event.BySubject)}} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			server, ns := servertest.SharedNATS(t), servertest.Namespace(t)
			s, err := event.New(patient(nats.Backend(server.Addr()), event.WithNamespace(ns))...)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(t.Context())
			for _, id := range []string{"1", "2", "3", "4", "5"} { // before the group
				links.Publish(t, s, id)
			}
			got := make(chan string, 100)
			if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.ID; return nil }, append(opts, event.Group("g"))...); err != nil {
				t.Fatal(err)
			}
			alone := links.Follow(t, s)
			expect := func(want string) {
				t.Helper()
				select {
				case id := <-got:
					if id != want {
						t.Fatalf("the group was handed %q, want %q", id, want)
					}
				case <-time.After(60 * time.Second):
					t.Fatalf("the group was not handed %q", want)
				}
			}
			links.Publish(t, s, "6")
			expect("6")
			c, err := gonats.Connect(server.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			js, err := jetstream.New(c)
			if err != nil {
				t.Fatal(err)
			}
			if err := js.DeleteStream(t.Context(), "events-"+ns); err != nil {
				t.Fatal(err)
			}
			for until := time.Now().Add(60 * time.Second); ; {
				err := s.Publish(t.Context(), &event.Record{ID: "7", Type: "t"})
				if err == nil {
					break
				}
				if !errors.Is(err, event.ErrUnavailable) || time.Now().After(until) {
					t.Fatalf("publish into a stream that was deleted: %v, want ErrUnavailable and then success", err)
				}
			}
			expect("7")
			links.Publish(t, s, "8")
			expect("8")
			if n := len(got); n > 0 {
				t.Errorf("%d records came twice", n)
			}
			alone()
		})
	}
}

func ExampleOn() {
	e, err := engine.Open("nats://127.0.0.1:1") // for several packages
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close()
	s, err := event.New(nats.On(e), event.WithNamespace("shop"), event.WithLazy())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Close(context.Background()))
	// Output: <nil>
}
