package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
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
		s, err := event.New(patient(append(opts, redis.Backend(server.Addr()), event.WithNamespace(servertest.Namespace(t)))...)...)
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
			s, err := event.New(patient(redis.Backend(server.Addr()), event.WithNamespace(ns))...)
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
	s, err := event.New(patient(redis.Backend(servertest.SharedRedis(t).Addr()), event.WithNamespace(servertest.Namespace(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	began, proceed := make(chan struct{}), make(chan struct{})
	begin := sync.OnceFunc(func() { close(began) }) // a handler that fails is run again until Close
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error {
		begin()
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

// A member gives its connections back when it is closed.
func TestClosedMembersKeepNoConnection(t *testing.T) {
	leak.Check(t)
	client := goredis.NewClient(&goredis.Options{Addr: servertest.SharedRedis(t).Addr()})
	defer client.Close()
	s, err := event.New(patient(redis.On(engine.FromClient(client)), event.WithNamespace(servertest.Namespace(t)))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	for _, opts := range [][]event.SubscribeOption{{event.Group("g")}, {event.Group("o"), event.Ordered(event.BySubject)}, nil} {
		handled := make(chan string, 10)
		sub, err := s.Subscribe(t.Context(), func(_ context.Context, r *event.Record) error { handled <- r.ID; return nil }, opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
			t.Fatal(err)
		}
		<-handled
		if err := sub.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(5 * time.Millisecond) {
		stats := client.PoolStats()
		if stats.TotalConns == stats.IdleConns {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d connections are in use", stats.TotalConns-stats.IdleConns, stats.TotalConns)
		}
	}
}

// What others have written where a group's types should be is an error, not a group of
// all types.
func TestAGroupThatCannotBeReadIsAnError(t *testing.T) {
	leak.Check(t)
	client := goredis.NewClient(&goredis.Options{Addr: servertest.SharedRedis(t).Addr()})
	defer client.Close()
	ns := servertest.Namespace(t)
	s, err := event.New(patient(redis.On(engine.FromClient(client)), event.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close(context.Background())
	h := func(context.Context, *event.Record) error { return nil }
	for note, ok := range map[string]bool{`{}`: true, `nonsense`: false} {
		if err := client.HSet(t.Context(), "{event:"+ns+"}:groups", "g", note).Err(); err != nil {
			t.Fatal(err)
		}
		_, err := s.Subscribe(t.Context(), h, event.Group("g"))
		if (err == nil) != ok || errors.Is(err, event.ErrConflict) {
			t.Errorf("%s: %v", note, err)
		}
	}
	_, err = s.Subscribe(t.Context(), h, event.Group("new"), event.From(event.After("x")))
	if !errors.Is(err, event.ErrInvalid) || !strings.Contains(err.Error(), `position "x"`) {
		t.Errorf("a place that is none: %v, want ErrInvalid", err)
	}
}
