package redis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
	goredis "github.com/redis/go-redis/v9"
)

func open(t *testing.T, backend dsync.Option, opts ...dsync.Option) dsync.Sync {
	t.Helper()
	s, err := dsync.New(append(opts, backend)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func elect(ctx context.Context, s dsync.Sync, id string) error {
	l, err := s.Leader(id)
	if err == nil {
		_, err = l.Elect(ctx)
	}
	return err
}

// TestSlotMigration: locks, semaphores and elections go on while a cluster moves
// the slot of their key, whether it has gone already or not.
func TestSlotMigration(t *testing.T) {
	t.Parallel()
	cluster := servertest.RedisCluster(t)
	ctx := t.Context()
	s := open(t, redis.Backend(strings.Join(cluster.Addrs(), ",")))
	const key = "sync/default/lock/moving"
	held, err := s.Lock(ctx, "moving", dsync.TTL(6*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	from := cluster.Owner(key)
	to := cluster.Members[0]
	if to == from {
		to = cluster.Members[1]
	}
	source, target := goredis.NewClient(&goredis.Options{Addr: from.Addr()}), goredis.NewClient(&goredis.Options{Addr: to.Addr()})
	defer source.Close()
	defer target.Close()
	if n := source.Exists(ctx, key).Val(); n != 1 {
		t.Fatalf("the lock's key is not %s", key)
	}
	slot := source.ClusterKeySlot(ctx, key).Val()
	id := func(c *goredis.Client) string { return c.Do(ctx, "cluster", "myid").Val().(string) }
	do := func(c *goredis.Client, words ...any) {
		t.Helper()
		if err := c.Do(ctx, words...).Err(); err != nil {
			t.Fatal(words, err)
		}
	}
	last := held.Token()
	turn := func(when string) {
		t.Helper()
		if err := held.Unlock(ctx); err != nil {
			t.Errorf("%s: Unlock: %v", when, err)
		}
		if held, err = s.Lock(ctx, "moving", dsync.TTL(6*time.Second)); err != nil {
			t.Fatalf("%s: Lock: %v", when, err)
		}
		if _, err := s.TryLock(ctx, "moving"); !errors.Is(err, dsync.ErrHeld) {
			t.Errorf("%s: a second TryLock: %v, want ErrHeld", when, err)
		}
		if held.Token() <= last {
			t.Errorf("%s: token %d after %d", when, held.Token(), last)
		}
		last = held.Token()
	}
	turn("before")
	do(target, "cluster", "setslot", slot, "importing", id(source))
	do(source, "cluster", "setslot", slot, "migrating", id(target))
	turn("begun")
	do(source, "migrate", "127.0.0.1", to.Port("redis"), key, 0, 5000)
	turn("gone")
	<-time.After(3 * time.Second) // it is renewed there
	if held.Context().Err() != nil {
		t.Errorf("lost while the slot moves: %v", context.Cause(held.Context()))
	}
	do(target, "cluster", "setslot", slot, "node", id(target))
	do(source, "cluster", "setslot", slot, "node", id(target))
	turn("done")
	if err := held.Unlock(ctx); err != nil {
		t.Error(err)
	}
}

// TestRefusedRightsLeaveNothing: a user without channels, which is the default of
// Redis 7, and one without a password.
func TestRefusedRightsLeaveNothing(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for _, words := range [][]any{
		{"acl", "setuser", "deaf", "on", ">secret", "~*", "+@all", "resetchannels"},
		{"acl", "setuser", "app", "on", ">secret", "~sync/*", "&sync/*", "+@all"},
	} {
		if err := admin.Do(ctx, words...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	app := open(t, redis.Backend("redis://app:secret@"+server.Addr()))
	deaf := open(t, redis.Backend("redis://deaf:secret@"+server.Addr()))
	for name, take := range map[string]func() error{
		"Lock":      func() error { _, err := deaf.Lock(ctx, "x"); return err },
		"TryLock":   func() error { _, err := deaf.TryLock(ctx, "x"); return err },
		"Semaphore": func() error { _, err := deaf.Semaphore(ctx, "x", 3); return err },
		"Elect":     func() error { return elect(ctx, deaf, "x") },
	} {
		if err := take(); !errors.Is(err, dsync.ErrDenied) || errors.Is(err, dsync.ErrUnavailable) {
			t.Errorf("%s without rights on channels: %v, want ErrDenied", name, err)
		}
	}
	if keys := admin.Keys(ctx, "*").Val(); len(keys) != 0 {
		t.Errorf("refused claims left %q", keys)
	}
	l, err := app.Lock(ctx, "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := deaf.Lock(ctx, "x"); !errors.Is(err, dsync.ErrDenied) {
		t.Errorf("waiting without rights: %v, want ErrDenied at once", err)
	}
	waited := make(chan error, 1)
	waiter := open(t, redis.Backend("redis://app:secret@"+server.Addr()))
	go func() { _, err := waiter.Lock(ctx, "x"); waited <- err }()
	<-time.After(300 * time.Millisecond)
	if err := admin.Do(ctx, "acl", "setuser", "app", "resetchannels").Err(); err != nil {
		t.Fatal(err)
	}
	if err := l.Unlock(ctx); err != nil {
		t.Errorf("Unlock after the rights on channels are gone: %v", err)
	}
	if err := <-waited; !errors.Is(err, dsync.ErrDenied) {
		t.Errorf("a wait whose rights are taken: %v, want ErrDenied", err)
	}
	if _, err := dsync.New(redis.Backend("redis://app:wrong@" + server.Addr())); !errors.Is(err, dsync.ErrDenied) || errors.Is(err, dsync.ErrUnavailable) {
		t.Errorf("a wrong password: %v, want ErrDenied", err)
	}
}

// TestHeldRepliesAreUnknown and nothing is left, though no reply comes back.
func TestHeldRepliesAreUnknown(t *testing.T) {
	t.Parallel()
	addr := servertest.SharedRedis(t).Addr()
	p := netfault.New(t, addr)
	s := open(t, redis.Backend(p.Addr()), dsync.WithNamespace(servertest.Namespace(t)), dsync.WithTimeout(2*time.Second))
	direct := open(t, redis.Backend(addr), dsync.WithNamespace(servertest.Namespace(t)))
	warm, err := s.Lock(t.Context(), "warm")
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Unlock(context.Background())
	for name, take := range map[string]func(ctx context.Context, id string) error{
		"Lock": func(ctx context.Context, id string) error {
			_, err := s.Lock(ctx, id, dsync.TTL(time.Hour))
			return err
		},
		"TryLock": func(ctx context.Context, id string) error {
			_, err := s.TryLock(ctx, id, dsync.TTL(time.Hour))
			return err
		},
		"Elect": func(ctx context.Context, id string) error { return elect(ctx, s, id) },
	} {
		p.Hold(netfault.Replies)
		var err error
		for before := p.Counts().Requests; p.Counts().Requests == before; { // until one was sent before its deadline
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			err = take(ctx, name)
			cancel()
		}
		if !errors.Is(err, dsync.ErrUnknownOutcome) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s whose reply is held: %v, want ErrUnknownOutcome with the context's error", name, err)
		}
		// The release gets to the server, though its reply does not come back.
		if l, err := direct.Lock(t.Context(), name, dsync.Wait(30*time.Second)); err != nil {
			t.Errorf("%s left something behind: %v", name, err)
		} else {
			l.Unlock(t.Context())
		}
		p.Heal()
	}
}

// TestClientThatRetriesReleases, though the reply to a release was lost: that a client
// of the user's own repeats it does not make a lost lock of it.
func TestClientThatRetriesReleases(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedRedis(t).Addr())
	client := goredis.NewClient(&goredis.Options{Addr: p.Addr(), MaxRetries: 3, ContextTimeoutEnabled: true})
	t.Cleanup(func() { client.Close() })
	s := open(t, redis.On(engine.FromClient(client)), dsync.WithNamespace(servertest.Namespace(t)))
	for _, lost := range []int{0, 1} { // the first one brings the scripts to the server
		l, err := s.TryLock(t.Context(), "x", dsync.TTL(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		p.CutReplies(lost)
		if err := l.Unlock(t.Context()); err != nil {
			t.Errorf("Unlock with %d lost replies: %v", lost, err)
		}
		p.Heal()
	}
	if _, err := s.TryLock(t.Context(), "x"); err != nil {
		t.Errorf("TryLock after it: %v", err)
	}
}

// TestNewWarnsOfEviction, where the server may evict at all.
func TestNewWarnsOfEviction(t *testing.T) {
	t.Parallel()
	server := servertest.Redis(t)
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	for _, c := range []struct {
		limit, policy string
		warns         bool
	}{
		{"0", "volatile-lru", false}, {"1gb", "noeviction", false},
		{"1gb", "volatile-lru", true}, {"1gb", "volatile-ttl", true}, {"1gb", "allkeys-lru", true},
	} {
		if err := admin.Do(t.Context(), "config", "set", "maxmemory", c.limit, "maxmemory-policy", c.policy).Err(); err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		s := open(t, redis.Backend(server.Addr()), dsync.WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
		s.Close()
		if got := strings.Contains(out.String(), c.policy); got != c.warns {
			t.Errorf("maxmemory %s, %s: the log is %q, a warning wanted: %v", c.limit, c.policy, out.String(), c.warns)
		}
	}
}
