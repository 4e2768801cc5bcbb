package cache

import (
	"fmt"
	"strings"
	"testing"
)

// Each shard has at least 256 KiB.
func TestASmallCacheHasFewShards(t *testing.T) {
	for most, want := range map[int64]int{
		0: 256, 64 << 20: 256, 64<<20 - 1: 128, 512 << 10: 2, 512<<10 - 1: 1, 1: 1,
	} {
		if got := New(Config[int]{MaxBytes: most}).Shards(); got != want {
			t.Errorf("of %d bytes: %d shards, want %d", most, got, want)
		}
	}
}

// What fills the bound just so stays; of a byte more one goes, and no more than one.
func TestAFullCacheLosesWhatItMust(t *testing.T) {
	for more, want := range map[int]int{0: 10, 1: 9} {
		c := New(Config[int]{MaxBytes: 10 * (Overhead + 102)})
		for i := range 10 {
			size := 100
			if i == 9 {
				size += more
			}
			set(c, fmt.Sprintf("%02d", i), i, size, 0)
		}
		if n := c.Len(); n != want {
			t.Errorf("%d bytes more than the bound: %d entries, want %d", more, n, want)
		}
		if _, _, ok := c.Get("09"); !ok {
			t.Errorf("%d bytes more: what was written last is gone", more)
		}
	}
}

// A shard that has nothing to give but what is written makes room in another one, and
// no more of it than it must.
func TestAnotherShardMakesRoom(t *testing.T) {
	const bound, small, large = 512 << 10, 100, 8 << 10
	for round := range 30 {
		c := New(Config[int]{MaxBytes: bound})
		other := 1 // the shard that is filled; the hashes are other ones each time
		for i := 0; c.Bytes() <= bound-small-Overhead-20; i++ {
			if key := fmt.Sprint("key", i); c.hash(key)&1 == uint64(other) {
				set(c, key, i, small, 0)
			}
		}
		key := "x"
		for c.hash(key)&1 == uint64(other) {
			key += "x"
		}
		set(c, key, 1, large, 0)
		if _, _, ok := c.Get(key); !ok {
			t.Fatalf("round %d: what was written is gone", round)
		}
		if b := c.Bytes(); b > bound || b < bound-2*(small+Overhead+20) {
			t.Fatalf("round %d: %d bytes of %d", round, b, bound)
		}
	}
}

// Entries that many others had to pass are found, also when those are gone: the count
// of who passed a bucket stops where it can go no further.
func TestMoreThanABucketCanCount(t *testing.T) {
	tb := &table[int]{buckets: make([]bucket[int], 64)}
	var all []*item[int]
	const hash = 5 << 16
	for i := range 400 { // of which 393 pass the first bucket
		it := &item[int]{key: strings.Repeat("k", i), entry: &entry[int]{hash: hash}}
		all = append(all, it)
		tb.insert(hash, it)
	}
	for i, it := range all {
		if tb.find(hash, it.key) != it {
			t.Fatalf("entry %d is not found", i)
		}
	}
	for len(all) > 1 {
		tb.remove(hash, all[0])
		all = all[1:]
		last := all[len(all)-1]
		if tb.find(hash, last.key) != last || tb.find(hash, all[0].key) != all[0] {
			t.Fatalf("with %d left one is not found", len(all))
		}
	}
}
