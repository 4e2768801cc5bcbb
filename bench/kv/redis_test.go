package kv_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

const keyCount = 1000

var value = make([]byte, 100)

func keyOf(i int) string { return keys[i%keyCount] }

var keys = func() []string {
	keys := make([]string, keyCount)
	for i := range keys {
		keys[i] = "key:" + strconv.Itoa(i)
	}
	return keys
}()

func open(b *testing.B, backend kv.Option) kv.KV {
	b.Helper()
	store, err := kv.New(backend)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	for _, key := range keys {
		if _, err := store.Put(context.Background(), key, value); err != nil {
			b.Fatal(err)
		}
	}
	return store
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func BenchmarkRedis(b *testing.B) {
	addr := servertest.Redis(b).Addr()
	store := open(b, redis.Backend(addr))
	raw := goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true})
	defer raw.Close()
	ctx := context.Background()
	for _, callers := range []int{1, 8, 64} {
		get := contender{"kv", func(i int) { _, err := store.Get(ctx, keyOf(i)); must(err) }}
		b.Run(fmt.Sprintf("Get/%d", callers), func(b *testing.B) {
			compare(b, callers, get,
				contender{"go-redis", func(i int) { _, err := raw.Get(ctx, keyOf(i)).Bytes(); must(err) }})
		})
		b.Run(fmt.Sprintf("Put/%d", callers), func(b *testing.B) {
			compare(b, callers,
				contender{"kv", func(i int) { _, err := store.Put(ctx, keyOf(i), value); must(err) }},
				contender{"go-redis", func(i int) { must(raw.Set(ctx, keyOf(i), value, 0).Err()) }})
		})
		b.Run(fmt.Sprintf("CAS/%d", callers), func(b *testing.B) {
			rev, err := store.Put(ctx, keys[0], value)
			must(err)
			for _, key := range keys {
				_, err := store.Put(ctx, key, value)
				must(err)
			}
			compare(b, callers,
				contender{"kv-CAS", func(i int) { _, err := store.Put(ctx, keyOf(i), value, kv.IfRevision(rev)); must(err) }},
				contender{"kv-Get", get.op})
		})
	}
}

func BenchmarkMemcached(b *testing.B) {
	addr := servertest.Memcached(b).Addr()
	store := open(b, memcached.Backend(addr))
	raw := memcache.New(addr)
	raw.MaxIdleConns = 100
	defer raw.Close()
	ctx := context.Background()
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("Get/%d", callers), func(b *testing.B) {
			compare(b, callers,
				contender{"kv", func(i int) { _, err := store.Get(ctx, keyOf(i)); must(err) }},
				contender{"gomemcache", func(i int) { _, err := raw.Get(keyOf(i)); must(err) }})
		})
		b.Run(fmt.Sprintf("Put/%d", callers), func(b *testing.B) {
			compare(b, callers,
				contender{"kv", func(i int) { _, err := store.Put(ctx, keyOf(i), value); must(err) }},
				contender{"gomemcache", func(i int) { must(raw.Set(&memcache.Item{Key: keyOf(i), Value: value})) }})
		})
	}
}
