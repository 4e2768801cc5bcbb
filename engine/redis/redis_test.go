package redis_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/event"
	eventredis "github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
	dsync "github.com/micro/go-platform/sync"
	syncredis "github.com/micro/go-platform/sync/redis"
	goredis "github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) { leak.Main(m) }

// program is one that uses four packages.
type program struct {
	store    kv.KV
	stream   event.Stream
	registry discovery.Discovery
	locks    dsync.Sync
}

func open(t *testing.T, stands func() (kv.Option, event.Option, discovery.Option, dsync.Option)) (p program) {
	t.Helper()
	onKV, onEvent, onDiscovery, onSync := stands()
	var errs [4]error
	p.store, errs[0] = kv.New(onKV)
	p.stream, errs[1] = event.New(onEvent)
	p.registry, errs[2] = discovery.New(onDiscovery)
	p.locks, errs[3] = dsync.New(onSync)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

func (p program) close() {
	p.store.Close()
	p.stream.Close(context.Background())
	p.registry.Close()
	p.locks.Close()
}

// work does something with each package.
func (p program) work(ctx context.Context) error {
	_, errKV := p.store.Put(ctx, "k", []byte("v"))
	return errors.Join(errKV, p.others(ctx))
}

// others is work without kv.
func (p program) others(ctx context.Context) error {
	errEvent := p.stream.Publish(ctx, &event.Record{Type: "t"})
	r, errDiscovery := p.registry.Register(ctx, discovery.Instance{Service: "s", Address: "127.0.0.1:1"})
	if errDiscovery == nil {
		errDiscovery = r.Deregister(ctx)
	}
	l, errSync := p.locks.Lock(ctx, "x")
	if errSync == nil {
		errSync = l.Unlock(ctx)
	}
	return errors.Join(errEvent, errDiscovery, errSync)
}

// connections counts the server's, without the one that asks.
func connections(t *testing.T, admin *goredis.Client) int {
	t.Helper()
	list, err := admin.ClientList(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(list, " name=go-platform ")
}

// none waits until the server has noticed that connections are closed.
func none(t *testing.T, admin *goredis.Client) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(5 * time.Millisecond) {
		n := connections(t, admin)
		if n == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d connections after Close, want none", n)
		}
	}
}

// The four packages use one connection where each had at least one of its own.
func TestPackagesOnOneEngineShareItsConnections(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()

	apart := open(t, func() (kv.Option, event.Option, discovery.Option, dsync.Option) {
		a := server.Addr()
		return kvredis.Backend(a), eventredis.Backend(a), discoveryredis.Backend(a), syncredis.Backend(a)
	})
	if err := apart.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := connections(t, admin); n < 4 {
		t.Errorf("four packages with addresses have %d connections, want at least 4", n)
	}
	apart.close()
	none(t, admin)

	e, err := redis.Open(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	together := open(t, func() (kv.Option, event.Option, discovery.Option, dsync.Option) {
		return kvredis.On(e), eventredis.On(e), discoveryredis.On(e), syncredis.On(e)
	})
	if err := together.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := connections(t, admin); n != 1 {
		t.Errorf("four packages on one engine have %d connections, want 1", n)
	}

	// Close of one leaves the others working.
	if err := together.store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := together.others(t.Context()); err != nil {
		t.Errorf("after the store is closed: %v", err)
	}
	together.close()
	if err := e.Ping(t.Context()); err != nil {
		t.Errorf("the engine, after what stood on it: %v", err)
	}
	if n := connections(t, admin); n != 1 {
		t.Errorf("%d connections before the engine is closed, want 1", n)
	}
	if err := errors.Join(e.Close(), e.Close()); err != nil {
		t.Error(err)
	}
	none(t, admin)
}

// Subscriptions wait on connections of their own: any number of them leaves a
// pool of one free.
func TestWhatWaitsTakesNoConnectionOfThePool(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	e, err := redis.Open(server.Addr(), redis.WithMaxConns(1))
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	store, err := kv.New(kvredis.On(e))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	stream, err := event.New(eventredis.On(e))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close(context.Background())
	handled := make(chan string, 10)
	for _, group := range []string{"a", "b", "c"} {
		if _, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { handled <- group; return nil }, event.Group(group)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if _, err := store.Put(ctx, "k", nil); err != nil {
			t.Errorf("Put beside subscriptions that wait: %v", err)
		}
		cancel()
	}
	if err := stream.Publish(t.Context(), &event.Record{Type: "t"}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-handled
	}
}

// An engine that is closed under what stands on it gives errors that say so,
// and nothing hangs.
func TestAClosedEngine(t *testing.T) {
	leak.Check(t)
	server := servertest.Redis(t)
	e, err := redis.Open(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	p := open(t, func() (kv.Option, event.Option, discovery.Option, dsync.Option) {
		return kvredis.On(e), eventredis.On(e), discoveryredis.On(e), syncredis.On(e)
	})
	if err := p.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	held, err := p.locks.Lock(t.Context(), "held")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, event.Group("g")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"kv":      {func() error { _, err := p.store.Put(ctx, "k", nil); return err }, kv.ErrUnavailable},
		"get":     {func() error { _, err := p.store.Get(ctx, "k"); return err }, kv.ErrUnavailable},
		"event":   {func() error { return p.stream.Publish(ctx, &event.Record{Type: "t"}) }, event.ErrUnavailable},
		"sync":    {func() error { _, err := p.locks.TryLock(ctx, "y"); return err }, dsync.ErrUnavailable},
		"new":     {func() error { _, err := kv.New(kvredis.On(e)); return err }, kv.ErrUnavailable},
		"Ping":    {func() error { return e.Ping(ctx) }, engine.ErrUnavailable},
		"release": {func() error { return held.Unlock(ctx) }, dsync.ErrUnavailable},
	} {
		err := c.do()
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "the connection to Redis was closed") {
			t.Errorf("%s: %v, want unavailable because the connection was closed", name, err)
		}
	}
}

// A client of the program's own stays open, whatever is closed.
func TestAGivenClientStaysOpen(t *testing.T) {
	leak.Check(t)
	client := goredis.NewClient(&goredis.Options{Addr: servertest.SharedRedis(t).Addr(), ContextTimeoutEnabled: true})
	defer client.Close()
	e := redis.FromClient(client)
	if e.Client() != goredis.UniversalClient(client) {
		t.Error("Client is not the one given")
	}
	p := open(t, func() (kv.Option, event.Option, discovery.Option, dsync.Option) {
		return kvredis.On(e), eventredis.On(e), discoveryredis.On(e), syncredis.On(e)
	})
	if err := p.work(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.close()
	if err := errors.Join(e.Close(), client.Ping(t.Context()).Err()); err != nil {
		t.Errorf("the client was closed: %v", err)
	}
}

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opt  redis.Option
	}{
		"empty address": {addr: ""}, "scheme": {addr: "http://u:s3cret@h"}, "port": {addr: "redis://u:s3cret@h:x"},
		"nil option": {"h", nil}, "TLS": {"h", redis.WithTLS(nil)}, "password": {"h", redis.WithAuth("u", "")}, "database": {"h", redis.WithDatabase(-1)},
		"database of a cluster": {"a,b", redis.WithDatabase(1)},
		"timeout":               {"h", redis.WithTimeout(0)}, "negative timeout": {"h", redis.WithTimeout(-1)}, "connections": {"h", redis.WithMaxConns(0)},
		"adjust": {"h", redis.WithClientOptions(nil)}, "hook": {"h", redis.WithHook(nil)},
	} {
		opts := []redis.Option{c.opt}
		if c.opt == nil && name != "nil option" {
			opts = nil
		}
		e, err := redis.Open(c.addr, opts...)
		if !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "engine/redis: open: ") || strings.Contains(err.Error(), "s3cret") || e != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid of engine/redis without the password", name, e, err)
		}
	}
	e, err := redis.Open("h", redis.WithDatabase(0), redis.WithMaxConns(1), redis.WithTimeout(1), redis.WithAuth("", "p"))
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	for name, none := range map[string]*redis.Engine{"nil engine": nil, "nil client": redis.FromClient(nil)} {
		_, err := kv.New(kvredis.On(none))
		_, errEvent := event.New(eventredis.On(none))
		_, errDiscovery := discovery.New(discoveryredis.On(none))
		_, errSync := dsync.New(syncredis.On(none))
		for want, err := range map[error]error{kv.ErrInvalid: err, event.ErrInvalid: errEvent, discovery.ErrInvalid: errDiscovery, dsync.ErrInvalid: errSync} {
			if !errors.Is(err, want) || !strings.HasSuffix(err.Error(), name) {
				t.Errorf("on a %s: %v, want ErrInvalid", name, err)
			}
		}
	}
	for _, client := range []goredis.UniversalClient{nil, (*goredis.Client)(nil), (*goredis.ClusterClient)(nil)} {
		none := redis.FromClient(client)
		if err := none.Ping(t.Context()); !errors.Is(err, engine.ErrInvalid) || none.Client() != nil || none.Close() != nil {
			t.Errorf("an engine of the client %#v: Ping %v, Client %v", client, err, none.Client())
		}
	}
}
