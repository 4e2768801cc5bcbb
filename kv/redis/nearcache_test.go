package redis_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

// near opens a near cache that only the server's messages keep fresh.
func near(t *testing.T, store kv.KV) kv.KV {
	t.Helper()
	c, err := cache.New(store, cache.WithFollow(""), cache.WithMaxAge(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// calls returns how often each command was called on the server.
func calls(t *testing.T, admin *goredis.Client) map[string]int {
	t.Helper()
	info, err := admin.Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	n := map[string]int{}
	for _, m := range regexp.MustCompile(`cmdstat_([^:]+):calls=(\d+)`).FindAllStringSubmatch(info, -1) {
		n[m[1]], _ = strconv.Atoi(m[2])
	}
	return n
}

// reads polls until key has the value, or is missing if that is "-", for as long
// as a message may take.
func reads(t *testing.T, store kv.KV, key, want string) {
	t.Helper()
	const bound = 5 * time.Second
	start := time.Now()
	for {
		item, err := store.Get(t.Context(), key)
		got := string(item.Value)
		if errors.Is(err, kv.ErrNotFound) {
			got = "-"
		} else if err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		if time.Since(start) > bound {
			t.Fatalf("%s is %q %v after it changed to %q", key, got, bound, want)
		}
		time.Sleep(time.Millisecond)
	}
}

// TestNearCache: nothing is read that nobody asks for, a hit is no command, and
// what anybody changes is seen.
func TestNearCache(t *testing.T) {
	eachServer(t, func(t *testing.T, server *servertest.Server, admin *goredis.Client) {
		ctx := t.Context()
		for i := range 500 {
			if err := admin.Set(ctx, fmt.Sprint("shop/old/", i), "x", 0).Err(); err != nil {
				t.Fatal(err)
			}
		}
		admin.Set(ctx, "shop/k", "1", 0)
		store := near(t, opener(redis.Backend(server.Addr()))(t, kv.WithNamespace("shop")))
		listening(t, admin)
		before := calls(t, admin)
		for { // until it is told, items age
			reads(t, store, "k", "1")
			reads(t, store, "none", "-")
			now := calls(t, admin)
			if now["get"] == before["get"] {
				break
			}
			before = now
		}
		for range 1000 {
			if item, err := store.Get(ctx, "k"); err != nil || string(item.Value) != "1" {
				t.Fatalf("%q, %v", item.Value, err)
			}
			if _, err := store.Get(ctx, "none"); !errors.Is(err, kv.ErrNotFound) {
				t.Fatal(err)
			}
		}
		after := calls(t, admin)
		if n := after["get"] - before["get"]; n != 0 {
			t.Errorf("%d GETs for 2000 hits", n)
		}
		if after["mget"] != 0 || after["scan"] != 0 {
			t.Errorf("the near cache read what nobody asked for: %v", after)
		}

		for _, step := range []struct {
			name, want string
			do         func() error
		}{
			{"SET", "2", func() error { return admin.Set(ctx, "shop/k", "2", 0).Err() }},
			{"APPEND", "23", func() error { return admin.Append(ctx, "shop/k", "3").Err() }},
			{"DEL", "-", func() error { return admin.Del(ctx, "shop/k").Err() }},
			{"MSET", "4", func() error { return admin.MSet(ctx, "shop/k", "4", "other/k", "5").Err() }},
			{"RENAME", "5", func() error { return admin.Rename(ctx, "other/k", "shop/k").Err() }},
			{"a script", "6", func() error {
				return admin.Eval(ctx, `redis.call('SET', KEYS[1], '6') return 1`, []string{"shop/k"}).Err()
			}},
			{"the end of a short life", "-", func() error { return admin.PExpire(ctx, "shop/k", 20*time.Millisecond).Err() }},
			{"a life", "7", func() error { return admin.Set(ctx, "shop/k", "7", time.Hour).Err() }},
			{"FLUSHALL", "-", func() error { return admin.FlushAll(ctx).Err() }},
			{"a write after it", "8", func() error { return admin.Set(ctx, "shop/k", "8", 0).Err() }},
		} {
			if err := step.do(); err != nil {
				t.Fatal(step.name, err)
			}
			reads(t, store, "k", step.want)
		}

		// A value that comes back is another change, though its revision is the same.
		for i := range 100 {
			admin.Set(ctx, "shop/k", "a", 0)
			if i%2 == 0 {
				_, _ = store.Get(ctx, "k")
			}
			admin.Set(ctx, "shop/k", "b", 0)
			_, _ = store.Get(ctx, "k")
			admin.Set(ctx, "shop/k", "a", 0)
			reads(t, store, "k", "a")
		}
	})
}

// listening waits until a client has asked to be told.
func listening(t *testing.T, admin *goredis.Client) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for calls(t, admin)["client|tracking"] == 0 && !tracked(t, admin) {
		if time.Now().After(deadline) {
			t.Fatal("nobody asks to be notified of changes")
		}
		time.Sleep(time.Millisecond)
	}
}

// tracked asks servers that don't count subcommands.
func tracked(t *testing.T, admin *goredis.Client) bool {
	t.Helper()
	info, err := admin.Info(t.Context(), "clients").Result()
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(info, "tracking_clients:1")
}

// TestNearCacheDropsAllWithTheConnection: what changes while nobody tells is not
// served when somebody tells again.
func TestNearCacheDropsAllWithTheConnection(t *testing.T) {
	for name, lose := range map[string]func(t *testing.T, server *servertest.Server, admin *goredis.Client, p *netfault.Proxy){
		"reset": func(_ *testing.T, _ *servertest.Server, _ *goredis.Client, p *netfault.Proxy) { p.Reset() },
		"killed by the server": func(t *testing.T, _ *servertest.Server, admin *goredis.Client, _ *netfault.Proxy) {
			if err := admin.Do(t.Context(), "client", "kill", "type", "pubsub").Err(); err != nil {
				t.Fatal(err)
			}
			admin.Do(t.Context(), "client", "kill", "type", "normal", "skipme", "yes")
		},
		"silent": func(_ *testing.T, _ *servertest.Server, _ *goredis.Client, p *netfault.Proxy) {
			p.Drop(netfault.Replies)
			time.AfterFunc(12*time.Second, p.Heal)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servertest.Redis(t)
			admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
			defer admin.Close()
			p := netfault.New(t, server.Addr())
			var log bytes.Buffer
			store := near(t, opener(redis.Backend(p.Addr()))(t, kv.WithLogger(slog.New(slog.NewTextHandler(&log, nil)))))
			listening(t, admin)
			admin.Set(t.Context(), "k", "1", 0)
			reads(t, store, "k", "1")
			lose(t, server, admin, p)
			admin.Set(t.Context(), "k", "2", 0)
			deadline := time.Now().Add(30 * time.Second)
			for {
				item, err := store.Get(t.Context(), "k")
				if err == nil && string(item.Value) == "2" {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("still %q, %v", item.Value, err)
				}
				time.Sleep(10 * time.Millisecond)
			}
			admin.Set(t.Context(), "k", "3", 0)
			reads(t, store, "k", "3")
		})
	}
}

// TestNearCacheWithoutTheRight ages, and says why.
func TestNearCacheWithoutTheRight(t *testing.T) {
	eachServer(t, func(t *testing.T, server *servertest.Server, admin *goredis.Client) {
		if err := admin.Do(t.Context(), "acl", "setuser", "app", "on", ">secret", "~*", "+@all", "-client").Err(); err != nil {
			t.Fatal(err)
		}
		log := &lockedBuffer{}
		store := opener(redis.Backend("redis://app:secret@"+server.Addr()))(t, kv.WithLogger(slog.New(slog.NewTextHandler(log, nil))))
		const age = 200 * time.Millisecond
		c, err := cache.New(store, cache.WithFollow(""), cache.WithMaxAge(age))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		admin.Set(t.Context(), "k", "1", 0)
		reads(t, c, "k", "1")
		admin.Set(t.Context(), "k", "2", 0)
		reads(t, c, "k", "2")
		deadline := time.Now().Add(30 * time.Second)
		for !strings.Contains(log.String(), "NOPERM") {
			if time.Now().After(deadline) {
				t.Fatalf("the log is %q, want the refusal", log.String())
			}
			time.Sleep(time.Millisecond)
		}
		if n := strings.Count(log.String(), "near cache"); n != 1 {
			t.Errorf("%d lines, want one:\n%s", n, log)
		}
	})
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestNearCacheOfACluster is told by all its primaries.
func TestNearCacheOfACluster(t *testing.T) {
	cluster := servertest.RedisCluster(t)
	other := opener(redis.Backend(strings.Join(cluster.Addrs(), ",")))(t)
	defer other.Close()
	store := near(t, opener(redis.Backend(strings.Join(cluster.Addrs(), ",")))(t))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, s := range cluster.Members {
		admin := goredis.NewClient(&goredis.Options{Addr: s.Addr()})
		defer admin.Close()
		listening(t, admin)
	}
	for _, value := range []string{"1", "2", "3"} {
		for i := range 50 {
			if _, err := other.Put(ctx, fmt.Sprint("k", i), []byte(value)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 50 {
			reads(t, store, fmt.Sprint("k", i), value)
		}
	}
}
