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
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

// TestFullMemory: under each policy the server keeps what it says it keeps, what
// it drops a watch sees, and what it refuses changes nothing.
func TestFullMemory(t *testing.T) {
	eachServer(t, func(t *testing.T, server *servertest.Server, admin *goredis.Client) {
		for _, c := range []struct{ policy, lasting, brief, advice string }{
			{"noeviction", "kept", "kept", ""},
			{"volatile-lru", "kept", "dropped", "items that have a TTL"},
			{"volatile-lfu", "kept", "dropped", "items that have a TTL"},
			{"volatile-random", "kept", "dropped", "items that have a TTL"},
			{"volatile-ttl", "kept", "dropped", "items that have a TTL"},
			{"allkeys-lru", "dropped", "dropped", "any item"},
			{"allkeys-lfu", "dropped", "dropped", "any item"},
			{"allkeys-random", "dropped", "dropped", "any item"},
		} {
			t.Run(c.policy, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				set := func(limit, policy string) {
					t.Helper()
					if err := errors.Join(admin.ConfigSet(ctx, "maxmemory-policy", policy).Err(), admin.ConfigSet(ctx, "maxmemory", limit).Err()); err != nil {
						t.Fatal(err)
					}
				}
				set("1gb", c.policy)
				var log bytes.Buffer
				store := opener(redis.Backend(server.Addr()))(t, kv.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
				defer store.Close()
				if said := log.String(); (said == "") != (c.advice == "") || !strings.Contains(said, c.advice) {
					t.Errorf("the log is %q, want %q in it", said, c.advice)
				}
				rev, err := store.Put(ctx, "lasting", []byte("1"))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := store.Put(ctx, "brief", []byte("1"), kv.TTL(time.Hour)); err != nil {
					t.Fatal(err)
				}
				bigRev, err := store.Put(ctx, "big", make([]byte, 32<<10))
				if err != nil {
					t.Fatal(err)
				}
				if _, err := store.Add(ctx, "n", 7); err != nil {
					t.Fatal(err)
				}

				synced, watched := make(chan struct{}, 1), make(chan string, 16)
				go func() {
					defer close(watched)
					for e, err := range store.Watch(ctx, "") {
						switch {
						case err != nil:
							return
						case e.Kind == kv.EventSynced:
							select {
							case synced <- struct{}{}:
							default: // again, after a gap
							}
						case e.Kind == kv.EventDelete:
							watched <- e.Item.Key
						}
					}
				}()
				<-synced
				set("1", c.policy)
				for _, one := range []struct{ key, is string }{{"lasting", c.lasting}, {"brief", c.brief}} {
					for one.is == "dropped" {
						if _, err := store.Get(ctx, one.key); errors.Is(err, kv.ErrNotFound) {
							break
						}
						if ctx.Err() != nil {
							t.Fatalf("%s is never dropped", one.key)
						}
					}
					if _, err := store.Get(ctx, one.key); one.is == "kept" && err != nil {
						t.Errorf("%s: %v, want it kept", one.key, err)
					}
				}
				if c.brief == "dropped" { // deletes come in any order
					for key := range watched {
						if key == "brief" {
							break
						}
					}
					if ctx.Err() != nil {
						t.Error("the watch did not see that brief was dropped")
					}
				}

				for name, write := range map[string]func() error{
					"Put":            func() error { _, err := store.Put(ctx, "lasting", []byte("2")); return err },
					"IfAbsent":       func() error { _, err := store.Put(ctx, "new", []byte("2"), kv.IfAbsent()); return err },
					"Add":            func() error { _, err := store.Add(ctx, "n", 1); return err },
					"Add with a TTL": func() error { _, err := store.Add(ctx, "m", 1, kv.TTL(time.Hour)); return err },
					"PutMany":        func() error { return store.PutMany(ctx, map[string][]byte{"a": nil, "b": nil}, kv.TTL(time.Hour)) },
				} {
					if err := write(); !errors.Is(err, kv.ErrUnavailable) {
						t.Errorf("%s: %v, want ErrUnavailable", name, err)
					}
				}
				refused := kv.ErrUnavailable
				if c.lasting == "dropped" {
					refused = kv.ErrConflict // the condition comes first
				}
				if _, err := store.Put(ctx, "lasting", []byte("2"), kv.IfRevision(rev)); !errors.Is(err, refused) {
					t.Errorf("IfRevision: %v, want %v", err, refused)
				}
				if _, err := store.Put(ctx, "big", make([]byte, 33<<10), kv.IfRevision(bigRev)); !errors.Is(err, refused) {
					t.Errorf("large IfRevision: %v, want %v", err, refused)
				}

				set("0", c.policy)
				items, err := store.GetMany(ctx, "lasting", "brief", "big", "n", "new", "m", "a", "b")
				if err != nil {
					t.Fatal(err)
				}
				want := map[string]string{}
				if c.lasting == "kept" {
					want["lasting"], want["big"], want["n"] = "1", string(make([]byte, 32<<10)), "7"
				}
				if c.brief == "kept" {
					want["brief"] = "1"
				}
				for key, item := range items {
					if value, ok := want[key]; !ok || value != string(item.Value) {
						t.Errorf("%s is %.20q, want %.20q: something was half done", key, item.Value, value)
					}
				}
				if len(items) != len(want) {
					t.Errorf("%d items are left, want %d", len(items), len(want))
				}
				if _, err := store.Put(ctx, "lasting", []byte("2")); err != nil {
					t.Errorf("with room again: %v", err)
				}
				set("1", "noeviction")
				if err := store.Delete(ctx, "lasting"); err != nil {
					t.Errorf("Delete with a full memory: %v", err)
				}
				set("0", c.policy)
				if err := admin.FlushAll(ctx).Err(); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}
