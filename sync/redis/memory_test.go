package redis_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
	goredis "github.com/redis/go-redis/v9"
)

// TestFullMemory: a server that evicts nothing refuses new locks, and leaves
// those that are held with their holders, who can renew and release them. One
// that evicts takes all locks, New warns about it, and the holders lose theirs
// in time.
func TestFullMemory(t *testing.T) {
	t.Parallel()
	for version, opts := range map[string][]servertest.Option{
		"Redis 7": nil, "Redis 6.2": {servertest.WithRedis(servertest.Redis62)},
		"Redis 8": {servertest.WithRedis(servertest.Redis8)}, "Valkey 9": {servertest.WithRedis(servertest.Valkey9)},
	} {
		for _, policy := range []string{
			"noeviction", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl", "allkeys-lru", "allkeys-lfu", "allkeys-random",
		} {
			t.Run(version+"/"+policy, func(t *testing.T) {
				t.Parallel()
				fillMemory(t, servertest.Redis(t, append(opts, servertest.WithArgs("--maxmemory", "1gb", "--maxmemory-policy", policy))...), policy)
			})
		}
	}
}

func fillMemory(t *testing.T, server *servertest.Server, policy string) {
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
	defer admin.Close()
	limit := func(to string) {
		t.Helper()
		if err := admin.ConfigSet(ctx, "maxmemory", to).Err(); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	s := open(t, redis.Backend(server.Addr()), dsync.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	if warned := strings.Contains(log.String(), policy); warned != (policy != "noeviction") {
		t.Errorf("the log is %q: a warning: %v", log.String(), warned)
	}
	ttl := time.Second
	if policy == "noeviction" { // a busy machine has to renew them all in time
		ttl = 4 * time.Second
	}
	lock, err := s.Lock(ctx, "lock", dsync.TTL(ttl))
	if err != nil {
		t.Fatal(err)
	}
	permit, err := s.Semaphore(ctx, "permit", 2, dsync.TTL(ttl))
	if err != nil {
		t.Fatal(err)
	}
	leader, err := s.Leader("leader", dsync.TTL(ttl))
	if err != nil {
		t.Fatal(err)
	}
	defer leader.Close()
	term, err := leader.Elect(ctx)
	if err != nil {
		t.Fatal(err)
	}
	limit("1")
	held := map[string]context.Context{"the lock": lock.Context(), "the permit": permit.Context(), "the term": term.Context()}
	if policy == "noeviction" {
		for name, take := range map[string]func() error{
			"TryLock":   func() error { _, err := s.TryLock(ctx, "new"); return err },
			"Lock":      func() error { _, err := s.Lock(ctx, "new"); return err },
			"Semaphore": func() error { _, err := s.Semaphore(ctx, "new", 2); return err },
			"Elect":     func() error { return elect(ctx, s, "new") },
		} {
			if err := take(); !errors.Is(err, dsync.ErrUnavailable) {
				t.Errorf("%s with a full memory: %v, want ErrUnavailable", name, err)
			}
		}
		over, stop := context.WithTimeout(ctx, 2*ttl) // each is renewed more than once
		defer stop()
		for name, ctx := range held {
			select {
			case <-ctx.Done():
				t.Errorf("%s is lost, though nothing was evicted: %v", name, context.Cause(ctx))
			case <-over.Done():
			}
		}
		for name, release := range map[string]func(context.Context) error{"the lock": lock.Unlock, "the permit": permit.Unlock, "the term": term.Resign} {
			if err := release(ctx); err != nil {
				t.Errorf("releasing %s with a full memory: %v", name, err)
			}
		}
	} else {
		for name, ctx := range held {
			select {
			case <-ctx.Done():
			case <-time.After(10 * ttl):
			}
			if !errors.Is(context.Cause(ctx), dsync.ErrLost) {
				t.Errorf("%s was evicted: its context is %v, want ErrLost", name, context.Cause(ctx))
			}
		}
	}
	limit("0")
	for id, before := range map[string]uint64{"lock": lock.Token(), "new": 0} {
		next, err := s.TryLock(ctx, id)
		if err != nil {
			t.Fatalf("TryLock(%q) with room again: %v", id, err)
		}
		if next.Token() <= before {
			t.Errorf("token %d after %d", next.Token(), before)
		}
		if err := next.Unlock(ctx); err != nil {
			t.Error(err)
		}
	}
}
