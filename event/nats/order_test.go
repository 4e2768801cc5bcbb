package nats_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/event/nats"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	gonats "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What a connection that broke has lost is handed out before what follows. It used to
// come again after AckWait, when others had been handled.
func TestOrderHoldsOverALostDelivery(t *testing.T) {
	for name, lost := range map[string]bool{"lost": true, "all comes": false} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			server, ns := servertest.SharedNATS(t), servertest.Namespace(t)
			p := netfault.New(t, server.Addr())
			open := func(addr string) event.Stream {
				s, err := event.New(nats.Backend(addr), event.WithNamespace(ns), event.WithDialTimeout(time.Minute))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close(context.Background()) })
				return s
			}
			publisher := open(server.Addr())
			var mu sync.Mutex
			var handled []string
			err := subscribe(t, open(p.Addr()), func(r *event.Record) error {
				mu.Lock()
				defer mu.Unlock()
				handled = append(handled, r.ID)
				return nil
			}, event.Group("g"), event.Ordered(event.BySubject))
			if err != nil {
				t.Fatal(err)
			}
			has := func(want ...string) func() bool {
				return func() bool {
					mu.Lock()
					defer mu.Unlock()
					got := slices.Clone(handled)
					if lost { // some may come again
						slices.Sort(got)
						got = slices.Compact(got)
					}
					return slices.Equal(got, want)
				}
			}
			links.Publish(t, publisher, "1")
			until(t, "the first is handled", has("1"))
			if lost {
				p.Drop(netfault.Replies)
			}
			links.Publish(t, publisher, "2")
			if lost {
				c, err := gonats.Connect(server.Addr())
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				js, err := jetstream.New(c)
				if err != nil {
					t.Fatal(err)
				}
				until(t, "the second is on its way", func() bool {
					i, err := js.Consumer(t.Context(), "events-"+ns, "g")
					return err == nil && i.CachedInfo().NumAckPending > 0
				})
				p.Heal()
			}
			links.Publish(t, publisher, "3")
			until(t, "all are handled", has("1", "2", "3"))
			mu.Lock()
			defer mu.Unlock()
			if slices.Index(handled, "3") < slices.Index(handled, "2") {
				t.Errorf("handled %q", handled)
			}
		})
	}
}
