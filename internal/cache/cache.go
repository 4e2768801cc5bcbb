// Package cache is a map bounded in bytes whose entries may have a life. It is
// what the embedded key-value store and the ring stand on.
//
// The map is cut into shards, each with its own lock, queues and timer wheel,
// so that calls about different keys seldom meet; a read takes its shard's
// lock shared and writes nothing but a use count. What goes when the bound is
// reached is decided by S3-FIFO (Yang et al., "FIFO queues are all you need
// for cache eviction", SOSP 2023): see queue.go. Lives end by a hierarchical
// timer wheel (Varghese and Lauck, 1987): see wheel.go.
package cache

import (
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Overhead is how many bytes an entry is counted for besides its size: the
// entry, its place in the table, and its share of the ghosts.
const Overhead = 224

// Reason says why an entry was removed without being asked for.
type Reason uint8

// The reasons.
const (
	Evicted Reason = iota + 1 // to stay within the bound
	Expired                   // its life was over
)

// Config says how a cache is made.
type Config[V any] struct {
	MaxBytes int64 // of sizes and overheads together; 0: no bound

	// Removed, if not nil, is told of every entry that was evicted or has
	// expired. It is called under the shard's lock: it must return at once and
	// not call the cache.
	Removed func(key string, v V, why Reason)
}

// Cache is made by New. Its methods may be called concurrently.
type Cache[V any] struct {
	Config[V]
	seed   maphash.Seed
	shards []shard[V]
	mask   uint64
	bytes  atomic.Int64
	start  time.Time // entries' lives are counted from here, monotonically
	sweeper
}

type shard[V any] struct {
	mu    sync.RWMutex
	items table[V]
	queues[V]
	wheel *wheel[V]    // nil until an entry has a life
	next  atomic.Int64 // when the wheel has to be looked at; 0: never
	_     [64]byte     // keeps neighbours' locks off this cache line
}

type entry[V any] struct {
	key     string // what a look-up needs stands first, in one cache line
	value   V
	expires int64 // nanoseconds after start; 0: never
	uses    atomic.Uint32
	where   uint8 // small or main
	at      int16 // place in the wheel, -1: none
	hash    uint64
	size    int64 // with the overhead

	prev, next   *entry[V] // in its queue
	wprev, wnext *entry[V] // in its slot of the wheel
}

// New returns an empty cache.
func New[V any](c Config[V]) *Cache[V] {
	n := 256
	if c.MaxBytes > 0 {
		// A shard of a small cache would hold too few entries to choose from.
		for n > 1 && c.MaxBytes/int64(n) < 256<<10 {
			n /= 2
		}
	}
	m := &Cache[V]{Config: c, seed: maphash.MakeSeed(), shards: make([]shard[V], n), mask: uint64(n - 1), start: time.Now()}
	m.init()
	return m
}

// MaxSize returns the size of the largest entry that the cache takes, its key
// included: an eighth of the bound.
func (c *Cache[V]) MaxSize() int64 {
	if c.MaxBytes <= 0 {
		return 1 << 62
	}
	return max(c.MaxBytes/8-Overhead, 0)
}

// Bytes returns what the entries are counted for.
func (c *Cache[V]) Bytes() int64 { return c.bytes.Load() }

// Len returns the number of entries, also of those whose life is over but that
// were not removed yet.
func (c *Cache[V]) Len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += s.items.n
		s.mu.RUnlock()
	}
	return n
}

func (c *Cache[V]) now() int64 { return int64(time.Since(c.start)) }

func (c *Cache[V]) shard(key string) (*shard[V], uint64) {
	h := maphash.String(c.seed, key)
	return &c.shards[h&c.mask], h
}

// Get returns the value at key and how long it still lives, 0 if for ever.
func (c *Cache[V]) Get(key string) (v V, life time.Duration, ok bool) {
	s, h := c.shard(key)
	s.mu.RLock()
	e := s.items.find(h, key)
	if e == nil {
		s.mu.RUnlock()
		return v, 0, false
	}
	value, expires := e.value, e.expires
	e.used()
	s.mu.RUnlock()
	if expires != 0 {
		left := expires - c.now()
		if left <= 0 {
			return v, 0, false
		}
		return value, time.Duration(left), true
	}
	return value, 0, true
}

// Change is what Update does to an entry. The zero value leaves it as it is.
type Change[V any] struct {
	Op    Op
	Value V
	Size  int           // in bytes, without the key
	Life  time.Duration // 0: for ever; less than 0: as long as before
}

// Op is the kind of a Change.
type Op uint8

// The kinds of changes.
const (
	Keep Op = iota
	Set
	Remove
)

// Update calls f with the value at key and how long it still lives, 0 if for
// ever, and makes the change that f returns, in one step: nobody sees or
// changes the entry in between. f must return at once and not call the cache.
func (c *Cache[V]) Update(key string, f func(v V, life time.Duration, ok bool) Change[V]) {
	s, h := c.shard(key)
	s.mu.Lock()
	e := s.items.find(h, key)
	var life time.Duration
	if e != nil && e.expires != 0 {
		if life = time.Duration(e.expires - c.now()); life <= 0 {
			c.remove(s, e)
			if c.Removed != nil {
				c.Removed(key, e.value, Expired)
			}
			e = nil
		}
	}
	var ch Change[V]
	if e != nil {
		ch = f(e.value, life, true)
	} else {
		var none V
		ch = f(none, 0, false)
	}
	wake := false
	switch {
	case ch.Op == Remove && e != nil:
		c.remove(s, e)
	case ch.Op == Set:
		wake = c.set(s, h, key, e, ch)
	}
	over := c.MaxBytes > 0 && c.bytes.Load() > c.MaxBytes
	s.mu.Unlock()
	if wake {
		c.wakeAt(s.next.Load())
	}
	if over {
		c.evictElsewhere(s)
	}
}

// set writes the entry and makes room in its shard. It reports whether the
// wheel has to be looked at earlier than before.
func (c *Cache[V]) set(s *shard[V], h uint64, key string, e *entry[V], ch Change[V]) (earlier bool) {
	size := int64(len(key)+ch.Size) + Overhead
	if e == nil {
		e = &entry[V]{key: key, value: ch.Value, hash: h, size: size, at: -1}
		s.items.insert(e)
		s.admit(e, h)
		c.bytes.Add(size)
	} else {
		e.used()
		c.bytes.Add(size - e.size)
		s.resize(e, size)
		e.value = ch.Value
	}
	if ch.Life >= 0 {
		if e.at >= 0 {
			s.wheel.remove(e)
		}
		e.expires = 0
		if ch.Life > 0 {
			earlier = c.schedule(s, e, ch.Life)
		}
	}
	for c.MaxBytes > 0 && c.bytes.Load() > c.MaxBytes {
		if !c.evict(s, e) {
			break
		}
	}
	return earlier
}

// remove takes e out of its shard, whose lock is held.
func (c *Cache[V]) remove(s *shard[V], e *entry[V]) {
	s.items.remove(e)
	s.queues.remove(e)
	if e.at >= 0 {
		s.wheel.remove(e)
	}
	c.bytes.Add(-e.size)
}

// evict removes one entry, but not keep, and reports whether it could.
func (c *Cache[V]) evict(s *shard[V], keep *entry[V]) bool {
	e := s.victim(keep)
	if e == nil {
		return false
	}
	if e.where == inSmall {
		s.ghosts.add(e.hash, s.items.n)
	}
	c.remove(s, e)
	if c.Removed != nil {
		c.Removed(e.key, e.value, Evicted)
	}
	return true
}

// evictElsewhere makes room in other shards, for a write whose own shard had
// nothing left to give but what was written.
func (c *Cache[V]) evictElsewhere(own *shard[V]) {
	first := rand.IntN(len(c.shards))
	for i := 0; i < 2*len(c.shards) && c.bytes.Load() > c.MaxBytes; i++ {
		s := &c.shards[(first+i)%len(c.shards)]
		if s == own {
			continue
		}
		s.mu.Lock()
		for n := 0; n < 16 && c.bytes.Load() > c.MaxBytes && c.evict(s, nil); n++ {
		}
		s.mu.Unlock()
	}
}

// Range calls f for every entry whose life is not over, shard by shard under
// the shard's lock, in no order, until f returns false. f must return at once
// and not call the cache.
func (c *Cache[V]) Range(f func(key string, v V, life time.Duration) bool) {
	now := c.now()
	for i := range c.shards {
		if !c.rangeShard(&c.shards[i], now, f) {
			return
		}
	}
}

func (c *Cache[V]) rangeShard(s *shard[V], now int64, f func(string, V, time.Duration) bool) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.items.each(func(e *entry[V]) bool {
		life := time.Duration(0)
		if e.expires != 0 {
			if life = time.Duration(e.expires - now); life <= 0 {
				return true
			}
		}
		return f(e.key, e.value, life)
	})
}
