package redis_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

func TestWhatTheServerWontTakeIsTooLargeBeforeAnythingIsSent(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t, servertest.WithArgs("--proto-max-bulk-len", "1048576"))
	for name, opts := range map[string][]event.Option{"asked by New": nil, "asked by the first Publish": {event.WithLazy()}} {
		s, err := event.New(append(opts, redis.Backend(server.Addr()), event.WithNamespace(servertest.Namespace(t)))...)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close(context.Background())
		data := func(n int) *event.Record { return &event.Record{Type: "t", Data: make([]byte, n)} }
		for what, rs := range map[string][]*event.Record{"alone": {data(1 << 20)}, "behind another": {data(1), data(1 << 20)}} {
			if err := s.Publish(t.Context(), rs...); !errors.Is(err, event.ErrTooLarge) {
				t.Errorf("%s, %s: Publish = %v, want ErrTooLarge", name, what, err)
			}
		}
		if err := s.Publish(t.Context(), data(1<<20-1000)); err != nil {
			t.Errorf("%s: a record below the server's limit: %v", name, err)
		}
		n := 0
		for range s.Query(t.Context()) {
			n++
		}
		if n != 1 {
			t.Errorf("%s: %d records stored, want the one below the limit", name, n)
		}
	}
}

// consumers returns the names that the server has of a group's.
func consumers(t *testing.T, c *goredis.Client, stream, group string) []string {
	t.Helper()
	infos, err := c.XInfoConsumers(t.Context(), stream, group).Result()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, i := range infos {
		names = append(names, i.Name)
	}
	return names
}

// A member that is killed leaves its consumer behind.
func TestConsumersOfDeadMembersAreRemoved(t *testing.T) {
	for name, opts := range map[string][]event.SubscribeOption{"shared": nil, "ordered": {event.Ordered(event.BySubject)}} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			server := servertest.SharedRedis(t)
			ns := servertest.Namespace(t)
			stream := "{event:" + ns + "}"
			s, err := event.New(redis.Backend(server.Addr()), event.WithNamespace(ns))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close(context.Background())
			handled := make(chan string, 10)
			opts := append(opts, event.Group("g"), event.Consumer("alive"), event.AckWait(50*time.Millisecond))
			if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { handled <- r.Subject; return nil }, opts...); err != nil {
				t.Fatal(err)
			}
			client := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
			defer client.Close()
			for _, dead := range []string{"dead 1", "dead 2", "dead 3"} {
				if err := client.XGroupCreateConsumer(t.Context(), stream, "g", dead).Err(); err != nil {
					t.Fatal(err)
				}
			}
			for deadline := time.Now().Add(60 * time.Second); ; {
				left := consumers(t, client, stream, "g")
				if !slices.ContainsFunc(left, func(n string) bool { return n[0] == 'd' }) {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("consumers are still %q, want only the live one", left)
				}
				<-time.After(10 * time.Millisecond)
			}
			if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: "after"}); err != nil {
				t.Fatal(err)
			}
			if got := <-handled; got != "after" {
				t.Errorf("handled %q", got)
			}
		})
	}
}

// A consumer that others know by the name of the one that had what closed
// members left lost everything when it was closed.
func TestAnyNameOfAConsumerIsSafe(t *testing.T) {
	leak.Check(t)
	s, err := event.New(redis.Backend(servertest.SharedRedis(t).Addr()), event.WithNamespace(servertest.Namespace(t)))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	began, proceed := make(chan struct{}), make(chan struct{})
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error {
		close(began)
		<-proceed
		return errors.New("not done")
	}, event.Group("g"), event.Consumer("-"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Publish(t.Context(), &event.Record{Type: "t", Subject: "kept"}); err != nil {
		t.Fatal(err)
	}
	<-began
	closed := make(chan error)
	go func() { closed <- sub.Close(context.Background()) }()
	close(proceed)
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	handled := make(chan string, 1)
	if _, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { handled <- r.Subject; return nil }, event.Group("g")); err != nil {
		t.Fatal(err)
	}
	select {
	case <-handled:
	case <-time.After(60 * time.Second):
		t.Error("a record that was not acknowledged is gone")
	}
}
