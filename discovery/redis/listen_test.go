package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// listening is a server, and what it knows of who listens.
type listening struct {
	t     *testing.T
	addr  string
	admin *goredis.Client
}

func newListening(t *testing.T) *listening {
	t.Helper()
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	t.Cleanup(func() { admin.Close() })
	return &listening{t, server.Addr(), admin}
}

// connections are those that listen, as lines of "id=7 … cmd=subscribe …".
func (l *listening) connections() []string {
	l.t.Helper()
	text, err := l.admin.Do(context.Background(), "client", "list", "type", "pubsub").Text()
	if err != nil {
		l.t.Fatal(err)
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

// id is that of the one connection that listens.
func (l *listening) id() string {
	l.t.Helper()
	all := l.connections()
	if len(all) != 1 {
		l.t.Fatalf("%d connections listen, want 1: %q", len(all), all)
	}
	id, _, _ := strings.Cut(all[0], " ")
	return id
}

// to awaits those services, alone, to be listened to.
func (l *listening) to(services ...string) {
	l.t.Helper()
	l.eventually("listening to "+strings.Join(services, " "), func() bool {
		all, err := l.admin.PubSubChannels(context.Background(), "*").Result()
		if err != nil {
			l.t.Fatal(err)
		}
		text := strings.Join(all, " ")
		for _, s := range services {
			if !strings.Contains(text, "{"+s+"}") {
				return false
			}
		}
		return len(all) == len(services)
	})
}

func (l *listening) eventually(what string, ok func() bool) {
	l.t.Helper()
	for end := time.Now().Add(2 * backendtest.Patience); !ok(); <-time.After(20 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("not in time: %s", what)
		}
	}
}

// follow follows a service until the function that it returns is called.
func (l *listening) follow(d discovery.Discovery, service string) (stop func()) {
	l.t.Helper()
	ctx, cancel := context.WithCancel(l.t.Context())
	first, over := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(over)
		for s, err := range d.Watch(ctx, service) {
			if err == nil && s.State == discovery.Live {
				select {
				case first <- true:
				default:
				}
			}
		}
	}()
	l.t.Cleanup(func() { cancel(); <-over })
	select {
	case <-first:
	case <-time.After(backendtest.Patience):
		l.t.Fatalf("%s is not followed", service)
	}
	return cancel
}

// All services that a process follows are listened to on one connection, those that
// it follows no longer are not, and without any there is no connection.
func TestOneConnectionListens(t *testing.T) {
	t.Parallel()
	l := newListening(t)
	d, err := discovery.New(redis.Backend(l.addr), discovery.WithIdle(50*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	a, b := l.follow(d, "a"), l.follow(d, "b")
	l.to("a", "b")
	id := l.id()
	b()
	l.to("a")
	c := l.follow(d, "c")
	l.to("a", "c")
	if got := l.id(); got != id {
		t.Errorf("another connection listens: %s, before %s", got, id)
	}
	a()
	c()
	l.eventually("nobody listens", func() bool { return len(l.connections()) == 0 })
	l.follow(d, "d")
	l.to("d")
}

// When the connection that listens is lost, something may have been missed: who follows
// is told so until the service was read again.
func TestTheLossOfTheConnectionThatListensIsSaid(t *testing.T) {
	t.Parallel()
	l := newListening(t)
	d, err := discovery.New(redis.Backend(l.addr), discovery.WithRetry(backendtest.Patience, time.Minute))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l.follow(d, "s")
	if err := l.admin.Do(t.Context(), "client", "kill", "type", "pubsub").Err(); err != nil {
		t.Fatal(err)
	}
	l.eventually("the loss is said", func() bool {
		s, _ := d.Lookup("s")
		return s.State == discovery.Stale && errors.Is(s.Err, discovery.ErrUnavailable)
	})
}

// A connection that says nothing for a while is asked whether it is there, and used
// on: with it all services would have to be read again.
func TestAQuietConnectionIsAsked(t *testing.T) {
	t.Parallel()
	l := newListening(t)
	d, err := discovery.New(redis.Polling(l.addr, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	l.follow(d, "s")
	id := l.id()
	l.eventually("a sign of life", func() bool {
		all := l.connections()
		if len(all) != 1 || !strings.HasPrefix(all[0], id+" ") {
			t.Fatalf("another connection listens: %q, before %s", all, id)
		}
		return strings.Contains(all[0], " cmd=ping ")
	})
	in := discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:1"}
	if _, err := d.Register(t.Context(), in, discovery.TTL(time.Minute)); err != nil {
		t.Fatal(err)
	}
	backendtest.Await(t, d, "a", backendtest.Patience, func(s discovery.Snapshot) bool { return backendtest.IDs(s) == "a" })
	if got := l.id(); got != id {
		t.Errorf("another connection listens: %s, before %s", got, id)
	}
}
