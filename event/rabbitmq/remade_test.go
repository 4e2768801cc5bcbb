package rabbitmq_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/links"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// A group that was handed nothing yet has only the position where it began. It is handed
// all that a stream has which was made again meanwhile, and of the same stream what came
// after that position.
func TestAGroupThatWasHandedNothingBeginsInTheNewStream(t *testing.T) {
	for name, deleted := range map[string]bool{"made again": true, "the same": false} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			server, ns := servertest.SharedRabbitMQ(t), servertest.Namespace(t)
			got := make(chan string, 100)
			join := func(s event.Stream) {
				t.Helper()
				if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { got <- r.ID; return nil }, event.Group("g")); err != nil {
					t.Fatal(err)
				}
			}
			s := open(t, server.DSN(), event.WithNamespace(ns))
			for i := range 3 {
				links.Publish(t, s, fmt.Sprint("before", i))
			}
			join(s)
			if err := s.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			if deleted {
				c, ch := raw(t, server)
				defer c.Close()
				if _, err := ch.QueueDelete("events/"+ns, false, false, false); err != nil {
					t.Fatal(err)
				}
			}
			s = open(t, server.DSN(), event.WithNamespace(ns))
			for i := range 5 {
				links.Publish(t, s, fmt.Sprint("new", i))
			}
			join(s)
			for i := range 5 {
				select {
				case id := <-got:
					if want := fmt.Sprint("new", i); id != want {
						t.Fatalf("the group was handed %q, want %q", id, want)
					}
				case <-time.After(60 * time.Second):
					t.Fatalf("the group was not handed record %d of 5", i)
				}
			}
		})
	}
}
