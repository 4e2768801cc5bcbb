package ring

import (
	"fmt"
	"testing"
)

// BenchmarkGet reads keys of another node with 64 callers on two processors.
func BenchmarkGet(b *testing.B) {
	c := newCluster(b, "a", "b")
	client := c.start("client")
	value := make([]byte, 100)
	keys := make([]string, 1000)
	for i := range keys {
		keys[i] = fmt.Sprint("key/", i)
		if _, err := client.Put(b.Context(), keys[i], value); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			if _, err := client.Get(b.Context(), keys[i%len(keys)]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
