package cache

import (
	"math/bits"
	"sync/atomic"
)

// table finds entries by key. Readers take no lock; who writes holds the
// shard's. A bucket is one cache line: seven entries, and for each a tag of
// seven bits of its hash, so that a look-up touches one bucket and one entry
// (after Abseil's Swiss tables and Folly's F14). An entry whose bucket is full
// goes to the next one that is not, and every bucket on its way counts it: a
// look-up goes on only behind a bucket that was passed.
//
// An entry never changes its place. A new value takes the place of
// what was there in one step, and a table that is too small is replaced as a
// whole. So a reader finds every entry that was there all the time, and what
// it returns or misses was so at some moment of its look-up.
type table[V any] struct {
	buckets []bucket[V] // a power of two
}

const (
	perBucket = 7
	lowBits   = 0x00_01_01_01_01_01_01_01 // the lowest bit of every tag
	usedBits  = 0x00_80_80_80_80_80_80_80 // the highest: set in the tag of an entry
	passed    = 1 << 56                   // one entry that had to go on
	passedMax = 0xff                      // where that count stops, for good
)

type bucket[V any] struct {
	tags  atomic.Uint64 // a byte for each entry, 0: free; the top one counts who passed
	items [perBucket]atomic.Pointer[item[V]]
}

// at returns the n-th bucket of those where an entry with the hash may be. The
// low bits of the hash have chosen the shard, the high ones are the tag.
func (t *table[V]) at(hash, n uint64) *bucket[V] {
	return &t.buckets[(hash>>16+n)&uint64(len(t.buckets)-1)]
}

func tag(hash uint64) uint64 { return hash>>57 | 0x80 }

// find returns the item at key, or nil.
func (t *table[V]) find(hash uint64, key string) *item[V] {
	want := tag(hash) * lowBits
	for n := range uint64(len(t.buckets)) {
		b := t.at(hash, n)
		tags := b.tags.Load()
		differ := tags ^ want
		// A byte that is 0 leaves its highest bit here; one above it may, too.
		for m := (differ - lowBits) &^ differ & usedBits; m != 0; m &= m - 1 {
			if it := b.items[bits.TrailingZeros64(m)/8].Load(); it != nil && it.key == key {
				return it
			}
		}
		if tags < passed {
			break
		}
	}
	return nil
}

// insert adds an item whose key is not there; there must be a free place.
func (t *table[V]) insert(hash uint64, it *item[V]) {
	for n := uint64(0); ; n++ {
		b := t.at(hash, n)
		tags := b.tags.Load()
		if free := ^tags & usedBits; free != 0 {
			i := bits.TrailingZeros64(free) / 8
			b.items[i].Store(it)
			b.tags.Store(tags | tag(hash)<<(8*i))
			return
		}
		if tags/passed < passedMax {
			b.tags.Store(tags + passed)
		}
	}
}

// replace puts it in the place of old, which has the same key.
func (t *table[V]) replace(hash uint64, old, it *item[V]) {
	for n := uint64(0); ; n++ {
		b := t.at(hash, n)
		if i := b.index(old); i >= 0 {
			b.items[i].Store(it)
			return
		}
	}
}

// remove takes out an item that is there.
func (t *table[V]) remove(hash uint64, it *item[V]) {
	for n := uint64(0); ; n++ {
		b := t.at(hash, n)
		tags := b.tags.Load()
		if i := b.index(it); i >= 0 {
			b.tags.Store(tags &^ (0xff << (8 * i)))
			b.items[i].Store(nil)
			return
		}
		if tags/passed < passedMax {
			b.tags.Store(tags - passed)
		}
	}
}

func (b *bucket[V]) index(it *item[V]) int {
	for i := range b.items {
		if b.items[i].Load() == it {
			return i
		}
	}
	return -1
}

// full reports whether a table for n entries should be larger.
func (t *table[V]) full(n int) bool { return 4*n > 3*perBucket*len(t.buckets) }

// larger returns a table of twice the size with the same entries.
func (t *table[V]) larger() *table[V] {
	next := &table[V]{buckets: make([]bucket[V], 2*len(t.buckets))}
	t.each(func(it *item[V]) bool { next.insert(it.entry.hash, it); return true })
	return next
}

// each calls f for every entry until it returns false.
func (t *table[V]) each(f func(*item[V]) bool) bool {
	for i := range t.buckets {
		for j := range t.buckets[i].items {
			if it := t.buckets[i].items[j].Load(); it != nil && !f(it) {
				return false
			}
		}
	}
	return true
}
