package cache

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func set[V any](c *Cache[V], key string, v V, size int, life time.Duration) {
	c.Update(key, func(V, time.Duration, bool) Change[V] { return Change[V]{Op: Set, Value: v, Size: size, Life: life} })
}

func remove[V any](c *Cache[V], key string) {
	c.Update(key, func(V, time.Duration, bool) Change[V] { return Change[V]{Op: Remove} })
}

// TestAgainstAMap does the same at random to a cache and to a map.
func TestAgainstAMap(t *testing.T) {
	c := New(Config[int]{})
	defer c.Close()
	want := map[string]int{}
	random := rand.New(rand.NewPCG(1, 1))
	for n := range 200000 {
		key := fmt.Sprint(random.IntN(3000))
		switch random.IntN(3) {
		case 0:
			set(c, key, n, 0, 0)
			want[key] = n
		case 1:
			remove(c, key)
			delete(want, key)
		case 2:
			v, _, ok := c.Get(key)
			if w, there := want[key]; ok != there || v != w {
				t.Fatalf("step %d: %q is %d, %v, want %d, %v", n, key, v, ok, w, there)
			}
		}
	}
	if c.Len() != len(want) {
		t.Fatalf("%d entries, want %d", c.Len(), len(want))
	}
	seen := 0
	c.Range(func(key string, v int, _ time.Duration) bool {
		if want[key] != v {
			t.Errorf("Range says %q is %d, want %d", key, v, want[key])
		}
		seen++
		return true
	})
	if seen != len(want) {
		t.Fatalf("Range says %d entries, want %d", seen, len(want))
	}
	bytes := int64(0)
	for key := range want {
		bytes += int64(len(key)) + Overhead
	}
	if c.Bytes() != bytes {
		t.Fatalf("counted %d bytes, want %d", c.Bytes(), bytes)
	}
}

func TestBoundHoldsUnderConcurrentWrites(t *testing.T) {
	for _, bound := range []int64{64 << 10, 8 << 20, 200 << 20} {
		c := New(Config[int]{MaxBytes: bound})
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 5000 {
					set(c, fmt.Sprint(g, "/", i), i, rand.IntN(int(min(c.MaxSize(), 64<<10)-32)), 0)
				}
			})
		}
		wg.Wait()
		if c.Bytes() > bound {
			t.Errorf("bound %d: %d bytes", bound, c.Bytes())
		}
		if c.Bytes() < bound/4 && bound < 200<<20 {
			t.Errorf("bound %d: only %d bytes are used", bound, c.Bytes())
		}
		set(c, "last", 1, int(c.MaxSize())-4, 0)
		if _, _, ok := c.Get("last"); !ok || c.Bytes() > bound {
			t.Errorf("bound %d: the largest entry is there: %v; %d bytes", bound, ok, c.Bytes())
		}
	}
}

// TestCountIsHonest compares what is counted with what the heap grows by.
func TestCountIsHonest(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	c := New(Config[[]byte]{MaxBytes: 16 << 20})
	for i := range 200000 {
		set(c, fmt.Sprint("key:", i), make([]byte, 100), 100, 0)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > c.Bytes()*13/10 {
		t.Errorf("the heap grew by %d bytes for %d counted", grown, c.Bytes())
	}
	runtime.KeepAlive(c)
}

// TestScanDoesNotDisturb: what is asked for once passes by what is asked for
// often.
func TestScanDoesNotDisturb(t *testing.T) {
	c := New(Config[int]{MaxBytes: 256 << 10})
	const hot = 200
	read := func(key string) bool {
		_, _, ok := c.Get(key)
		if !ok {
			set(c, key, 1, 100, 0)
		}
		return ok
	}
	for range 5 {
		for i := range hot {
			read(fmt.Sprint("hot", i))
		}
	}
	for i := range 20000 {
		read(fmt.Sprint("once", i))
		if i%10 == 0 {
			read(fmt.Sprint("hot", i/10%hot))
		}
	}
	stayed := 0
	for i := range hot {
		if _, _, ok := c.Get(fmt.Sprint("hot", i)); ok {
			stayed++
		}
	}
	if stayed < hot*9/10 {
		t.Errorf("%d of %d that are used often stayed", stayed, hot)
	}
}

func TestLivesEndOnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ends := map[string]time.Time{}
		var worst time.Duration
		c := New(Config[int]{Removed: func(key string, _ int, why Reason) {
			mu.Lock()
			defer mu.Unlock()
			late := time.Since(ends[key])
			if why != Expired || late < 0 {
				t.Errorf("%q: reason %d, %v late", key, why, late)
			}
			worst = max(worst, late)
			delete(ends, key)
		}})
		defer c.Close()
		random := rand.New(rand.NewPCG(3, 3))
		for i := range 1000 {
			life := time.Duration(random.Float64() * float64(time.Millisecond) * float64(int64(1)<<random.IntN(33)))
			life = max(life, time.Millisecond)
			key := fmt.Sprint(i)
			mu.Lock()
			ends[key] = time.Now().Add(life)
			mu.Unlock()
			set(c, key, i, 0, life)
		}
		time.Sleep(60 * 24 * time.Hour)
		mu.Lock()
		defer mu.Unlock()
		if len(ends) != 0 || c.Len() != 0 {
			t.Errorf("%d lives have not ended, %d entries are there", len(ends), c.Len())
		}
		if worst > 5*time.Millisecond {
			t.Errorf("one ended %v late", worst)
		}
	})
}

func TestLifeIsToldKeptAndTakenAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config[int]{})
		defer c.Close()
		set(c, "k", 1, 0, time.Minute)
		time.Sleep(20 * time.Second)
		if _, life, ok := c.Get("k"); !ok || life != 40*time.Second {
			t.Fatalf("%v left, %v", life, ok)
		}
		set(c, "k", 2, 0, -1)
		if _, life, _ := c.Get("k"); life != 40*time.Second {
			t.Fatalf("%v left after a change that keeps it", life)
		}
		set(c, "k", 3, 0, 0)
		time.Sleep(time.Hour)
		if v, life, ok := c.Get("k"); !ok || v != 3 || life != 0 {
			t.Fatalf("got %d, %v, %v", v, life, ok)
		}
	})
}

func TestReadsDoNotAllocate(t *testing.T) {
	c := New(Config[int]{})
	set(c, "k", 1, 0, 0)
	if n := testing.AllocsPerRun(100, func() { c.Get("k") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
