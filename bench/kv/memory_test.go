package kv_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"

	"github.com/dgraph-io/ristretto/v2"
	"github.com/maypok86/otter/v2"
	"github.com/micro/go-platform/kv"
)

// many keys, asked for as zipf's law says.
const population = 1 << 20

var (
	names = sync.OnceValue(func() []string {
		names := make([]string, population)
		for i := range names {
			names[i] = "user:" + strconv.Itoa(i)
		}
		return names
	})
	zipf = sync.OnceValue(func() []int32 {
		z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, population-1)
		order := make([]int32, 1<<22)
		for i := range order {
			order[i] = int32(z.Uint64())
		}
		return order
	})
)

// absent are names that nothing is stored under.
var absent = sync.OnceValue(func() []string {
	names := make([]string, 1<<16)
	for i := range names {
		names[i] = "nobody:" + strconv.Itoa(i)
	}
	return names
})

func name(i int) string { return names()[zipf()[i&(1<<22-1)]] }

// sharded is what one would write by hand: 256 maps with a lock each.
type sharded struct {
	seed   maphash.Seed
	shards [256]struct {
		sync.RWMutex
		m map[string][]byte
		_ [32]byte
	}
}

func newSharded() *sharded {
	s := &sharded{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].m = map[string][]byte{}
	}
	return s
}

func (s *sharded) get(key string) []byte {
	p := &s.shards[maphash.String(s.seed, key)&255]
	p.RLock()
	defer p.RUnlock()
	return p.m[key]
}

func (s *sharded) put(key string, v []byte) {
	p := &s.shards[maphash.String(s.seed, key)&255]
	p.Lock()
	p.m[key] = v
	p.Unlock()
}

func BenchmarkMemory(b *testing.B) {
	ctx := context.Background()
	store, err := kv.New(kv.Memory(kv.MaxBytes(1 << 30)))
	must(err)
	defer store.Close()
	byHand := newSharded()
	ot := otter.Must(&otter.Options[string, []byte]{MaximumSize: 2 * population})
	ri, err := ristretto.NewCache(&ristretto.Config[string, []byte]{NumCounters: 10 * population, MaxCost: 2 * population, BufferItems: 64})
	must(err)
	defer ri.Close()
	for _, key := range names() {
		_, err := store.Put(ctx, key, value)
		must(err)
		byHand.put(key, value)
		ot.Set(key, value)
		ri.Set(key, value, 1)
	}
	ri.Wait()
	zipf()
	for _, callers := range []int{1, 2, 8} {
		b.Run(fmt.Sprintf("Get/%d", callers), func(b *testing.B) {
			compare(b, callers,
				contender{"kv", func(i int) { _, err := store.Get(ctx, name(i)); must(err) }},
				contender{"sharded", func(i int) { byHand.get(name(i)) }},
				contender{"otter", func(i int) { ot.GetIfPresent(name(i)) }},
				contender{"ristretto", func(i int) { ri.Get(name(i)) }},
			)
		})
		// What is not there, which kv says by an error.
		b.Run(fmt.Sprintf("Missing/%d", callers), func(b *testing.B) {
			compare(b, callers,
				contender{"kv", func(i int) {
					if _, err := store.Get(ctx, absent()[i&0xffff]); !errors.Is(err, kv.ErrNotFound) {
						panic(err)
					}
				}},
				contender{"sharded", func(i int) { byHand.get(absent()[i&0xffff]) }},
				contender{"otter", func(i int) { ot.GetIfPresent(absent()[i&0xffff]) }},
				contender{"ristretto", func(i int) { ri.Get(absent()[i&0xffff]) }},
			)
		})
		b.Run(fmt.Sprintf("Put/%d", callers), func(b *testing.B) {
			compare(b, callers,
				contender{"kv", func(i int) { _, err := store.Put(ctx, name(i), value); must(err) }},
				contender{"sharded", func(i int) { byHand.put(name(i), value) }},
				contender{"otter", func(i int) { ot.Set(name(i), value) }},
				contender{"otter-copying", func(i int) { ot.Set(name(i), bytes.Clone(value)) }}, // as Put does
				contender{"ristretto", func(i int) { ri.Set(name(i), value, 1) }},
			)
		})
	}
}

// BenchmarkHitRatio reads through caches that hold a hundredth and a tenth of
// the keys.
func BenchmarkHitRatio(b *testing.B) {
	ctx := context.Background()
	for _, part := range []int{100, 10} {
		b.Run(fmt.Sprintf("1of%d", part), func(b *testing.B) {
			const perItem = 224 + 100 + 11 // what the store counts for one
			store, err := kv.New(kv.Memory(kv.MaxBytes(int64(population / part * perItem))))
			must(err)
			defer store.Close()
			ot := otter.Must(&otter.Options[string, []byte]{MaximumSize: population / part})
			var ours, theirs, n float64
			for i := range 1 << 22 {
				key := name(i)
				if _, err := store.Get(ctx, key); err == nil {
					ours++
				} else {
					_, err := store.Put(ctx, key, value)
					must(err)
				}
				if _, ok := ot.GetIfPresent(key); ok {
					theirs++
				} else {
					ot.Set(key, value)
				}
				n++
			}
			b.ReportMetric(100*ours/n, "kv-%")
			b.ReportMetric(100*theirs/n, "otter-%")
			b.Logf("a cache of 1/%d: kv hits %.1f %%, otter %.1f %%", part, 100*ours/n, 100*theirs/n)
		})
	}
}
