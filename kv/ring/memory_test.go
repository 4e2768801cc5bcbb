package ring

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// raceEnabled is set by race_test.go.
var raceEnabled bool

// TestAProcessStaysWithinItsBound writes more than fits into two processes of
// a ring, small values and larger ones, some of them again and again, some
// deleted. What a process has on its heap above what it had when it was empty
// is then at most 1.3 times its bound, and so is what it has resident, where
// the collector is told a limit as one does in a container: without one it
// lets the heap grow to twice what lives, whatever lives there.
func TestAProcessStaysWithinItsBound(t *testing.T) {
	t.Parallel()
	bound := int64(32 << 20)
	if raceEnabled { // which needs several times the memory, and the time
		bound = 4 << 20
	}
	f := startFleet(t, fleetConfig{detection: 10 * time.Second, bound: bound, limit: bound * 5 / 4}, "a", "b")
	empty, err := f.state("a", "heap=1")
	if err != nil {
		t.Fatal(err)
	}
	var written atomic.Int64
	var wg sync.WaitGroup
	for w := range 32 {
		wg.Go(func() {
			dice := rand.New(rand.NewPCG(1, uint64(w)))
			for n := 0; written.Load() < bound*3/2 && !t.Failed(); n++ {
				key := fmt.Sprintf("of %d/%d", w, n)
				if n%10 == 0 {
					key = fmt.Sprintf("again/%d", n%1000)
				}
				value := bytes.Repeat([]byte("v"), 20+dice.IntN(800))
				if _, err := f.client.Put(t.Context(), key, value); err != nil {
					t.Errorf("Put: %v", err)
				}
				if n%20 == 7 {
					if err := f.client.Delete(t.Context(), key); err != nil {
						t.Errorf("Delete: %v", err)
					}
				}
				written.Add(int64(len(key) + len(value) + 224))
			}
		})
	}
	wg.Wait()
	full, err := f.state("a", "heap=1")
	if err != nil {
		t.Fatal(err)
	}
	heap := int64(full.Heap) - int64(empty.Heap)
	t.Logf("bound %d MiB: counted %.2f, heap %.2f, resident %.2f (empty: %d MiB) of it",
		bound>>20, float64(full.Bytes)/float64(bound), float64(heap)/float64(bound), float64(full.RSS-empty.RSS)/float64(bound), empty.RSS>>20)
	if full.Bytes < bound*8/10 {
		t.Errorf("only %d bytes of %d are used: nothing is shown", full.Bytes, bound)
	}
	if most := bound * 13 / 10; heap > most {
		t.Errorf("the heap grew by %d bytes, want at most %d", heap, most)
	} else if grown := full.RSS - empty.RSS; !raceEnabled && grown > most {
		t.Errorf("the resident memory grew by %d bytes, want at most %d", grown, most)
	}
}
