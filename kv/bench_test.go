package kv_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/micro/go-platform/kv"
)

func BenchmarkMemoryGet(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			ctx := context.Background()
			store := newStore(b, kv.Memory(kv.Unbounded()))
			keys := make([]string, n)
			for i := range keys {
				keys[i] = fmt.Sprint("user:", i)
				_, _ = store.Put(ctx, keys[i], make([]byte, 100))
			}
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				z := rand.NewZipf(rand.New(rand.NewPCG(1, 2)), 1.01, 1, uint64(n-1))
				order := make([]int32, 1<<16)
				for i := range order {
					order[i] = int32(z.Uint64())
				}
				for i := 0; pb.Next(); i++ {
					if _, err := store.Get(ctx, keys[order[i&(1<<16-1)]]); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
