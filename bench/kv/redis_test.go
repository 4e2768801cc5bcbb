package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	engine "github.com/micro/go-platform/engine/redis"
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

// BenchmarkRedis compares with go-redis alone, which is the best at one caller,
// and with its AutoPipeline, which is at several. WithClient is the store through
// a client of the user's. The CAS of the others is a script that compares the
// value, which they have to have; ours compares a revision.
func BenchmarkRedis(b *testing.B) {
	addr := servertest.Redis(b).Addr()
	store := open(b, redis.Backend(addr))
	raw := goredis.NewClient(&goredis.Options{Addr: addr, ContextTimeoutEnabled: true, Protocol: 2})
	defer raw.Close()
	given := open(b, redis.On(engine.FromClient(raw)))
	auto, err := raw.AutoPipelineWithOptions(&goredis.AutoPipelineOptions{MaxConcurrentBatches: 16, Unordered: true})
	must(err)
	defer auto.Close()
	ctx := context.Background()
	swap := goredis.NewScript("if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end redis.call('SET', KEYS[1], ARGV[2]) return 1")
	must(swap.Load(ctx, raw).Err())
	sizes := map[int]string{100: "", 64 << 10: "64KiB/", 1 << 20: "1MiB/"}
	for _, size := range []int{100, 64 << 10, 1 << 20} {
		value := make([]byte, size)
		callers := []int{1, 8, 64}
		if size > 100 {
			callers = []int{1, 8}
		}
		rev, err := store.Put(ctx, keys[0], value)
		must(err)
		few := func(i int) string { // large values need not be many
			if size > 100 {
				i %= 16
			}
			return keyOf(i)
		}
		for i := range keys {
			_, err := store.Put(ctx, few(i), value)
			must(err)
		}
		for _, n := range callers {
			b.Run(fmt.Sprintf("%sGet/%d", sizes[size], n), func(b *testing.B) {
				compare(b, n,
					contender{"kv", func(i int) { _, err := store.Get(ctx, few(i)); must(err) }},
					contender{"WithClient", func(i int) { _, err := given.Get(ctx, few(i)); must(err) }},
					contender{"go-redis", func(i int) { _, err := raw.Get(ctx, few(i)).Bytes(); must(err) }},
					contender{"AutoPipeline", func(i int) { _, err := auto.Get(ctx, few(i)).Bytes(); must(err) }})
			})
			b.Run(fmt.Sprintf("%sPut/%d", sizes[size], n), func(b *testing.B) {
				compare(b, n,
					contender{"kv", func(i int) { _, err := store.Put(ctx, few(i), value); must(err) }},
					contender{"WithClient", func(i int) { _, err := given.Put(ctx, few(i), value); must(err) }},
					contender{"go-redis", func(i int) { must(raw.Set(ctx, few(i), value, 0).Err()) }},
					contender{"AutoPipeline", func(i int) { must(auto.Set(ctx, few(i), value, 0).Err()) }})
			})
			b.Run(fmt.Sprintf("%sCAS/%d", sizes[size], n), func(b *testing.B) {
				own := func(i int) string { return few(i) } // the value stays the same, so the revision does
				compare(b, n,
					contender{"kv", func(i int) { _, err := store.Put(ctx, own(i), value, kv.IfRevision(rev)); casDone(err) }},
					contender{"go-redis", func(i int) { must(swap.EvalSha(ctx, raw, []string{own(i)}, value, value).Err()) }},
					contender{"AutoPipeline", func(i int) { must(swap.EvalSha(ctx, auto, []string{own(i)}, value, value).Err()) }})
			})
		}
	}
}

// casDone allows for a transaction that met others on its few keys.
func casDone(err error) {
	if !errors.Is(err, kv.ErrUnavailable) {
		must(err)
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
