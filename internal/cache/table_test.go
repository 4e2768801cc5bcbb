package cache

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestTableAgainstAMap puts items in and out of tables of all small sizes, with
// hashes so alike that buckets are passed, and around the end.
func TestTableAgainstAMap(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 5))
	for round := range 200 {
		tb := &table[int]{buckets: make([]bucket[int], 1)}
		there := map[string]*item[int]{}
		hashes := map[string]uint64{}
		for step := range 400 {
			key := fmt.Sprint(random.IntN(60))
			hash, ok := hashes[key]
			if !ok {
				hash = random.Uint64N(2)<<57 | random.Uint64N(3)<<16
				hashes[key] = hash
			}
			was := there[key]
			if got := tb.find(hash, key); got != was {
				t.Fatalf("round %d, step %d: found %v at %q, want %v", round, step, got, key, was)
			}
			it := &item[int]{key: key, entry: &entry[int]{hash: hash}}
			switch {
			case was == nil && random.IntN(3) > 0:
				if tb.full(len(there) + 1) {
					tb = tb.larger()
				}
				tb.insert(hash, it)
				there[key] = it
			case was != nil && random.IntN(3) == 0:
				tb.replace(hash, was, it)
				there[key] = it
			case was != nil:
				tb.remove(hash, was)
				delete(there, key)
			}
		}
		for key, it := range there {
			tb.remove(hashes[key], it)
		}
		for i := range tb.buckets {
			if tags := tb.buckets[i].tags.Load(); tags != 0 {
				t.Fatalf("round %d: the tags of an empty bucket are %#x", round, tags)
			}
		}
	}
}

// TestReadsBesideWrites: readers take no lock. What is there all the time they
// always find, of one key they never see an older value after a newer one, and
// what was written before a read began, it sees.
func TestReadsBesideWrites(t *testing.T) {
	type value struct{ n, copyOfN int }
	c := New(Config[value]{MaxBytes: 256 << 10}) // one shard: all meet
	const steady, rounds = 30, 20000
	name := func(i int) string { return fmt.Sprint("steady", i) }
	var written [steady]atomic.Int64
	for i := range steady {
		set(c, name(i), value{}, 0, 0)
	}
	var writers, readers sync.WaitGroup
	var stop atomic.Bool
	writers.Go(func() {
		random := rand.New(rand.NewPCG(1, 1))
		for n := 1; n <= rounds; n++ {
			i := random.IntN(steady)
			set(c, name(i), value{n, n}, 0, 0)
			written[i].Store(int64(n))
		}
	})
	writers.Go(func() { // the table grows, shrinks and has its buckets passed
		random := rand.New(rand.NewPCG(2, 2))
		for range rounds {
			if key := fmt.Sprint(random.IntN(600)); random.IntN(2) == 0 {
				set(c, key, value{}, 0, 0)
			} else {
				remove(c, key)
			}
		}
	})
	for g := range 2 {
		readers.Go(func() {
			random := rand.New(rand.NewPCG(3, uint64(g)))
			var seen [steady]int
			for !stop.Load() {
				i := random.IntN(steady)
				least := max(seen[i], int(written[i].Load()))
				v, _, ok := c.Get(name(i))
				if !ok || v.n < least || v.n != v.copyOfN {
					t.Errorf("%s is %+v, %v; %d was there before", name(i), v, ok, least)
					return
				}
				seen[i] = v.n
			}
		})
	}
	writers.Wait()
	stop.Store(true)
	readers.Wait()
}

// TestThenComesWhenTheChangeCanBeRead and before the next one.
func TestThenComesWhenTheChangeCanBeRead(t *testing.T) {
	c := New(Config[int]{})
	told := 0
	for n := 1; n <= 3; n++ {
		c.Update("k", func(int, time.Duration, bool) Change[int] {
			return Change[int]{Op: Set, Value: n, Then: func() {
				// Get takes no lock, so a test may call it here.
				if v, _, _ := c.Get("k"); v != n || told != n-1 {
					t.Errorf("notified of %d after %d, and %d is read", n, told, v)
				}
				told = n
			}}
		})
	}
	c.Update("k", func(int, time.Duration, bool) Change[int] {
		return Change[int]{Op: Remove, Then: func() {
			if _, _, ok := c.Get("k"); ok {
				t.Error("notified of a removal that can't be seen")
			}
			told = 0
		}}
	})
	if told != 0 {
		t.Error("a removal was not told")
	}
}
