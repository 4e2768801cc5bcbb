// Package cache is a map bounded in bytes whose entries may have a life. It is
// what the embedded key-value store and the ring stand on.
//
// The map is cut into shards, each with its own lock, queues and timer wheel,
// so that writes of different keys seldom meet. A read takes no lock: what it
// finds never changes, and it writes nothing but a use count, and that not once
// it is full: see table.go. What goes when the bound
// is reached is decided by S3-FIFO (Yang et al., "FIFO queues are all you need
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

	// Removed, if not nil, is notified of every entry that was evicted or has
	// expired. It is called under the shard's lock: it must return at once and
	// not call the cache.
	Removed func(key string, v V, why Reason)
}

// Cache is made by New. Its methods may be called concurrently.
type Cache[V any] struct {
	Config[V]
	seed   maphash.Seed
	tables []atomic.Pointer[table[V]] // one for each shard, for reads
	shards []shard[V]
	bytes  atomic.Int64
	start  time.Time // entries' lives are counted from here, monotonically
	sweeper
}

type shard[V any] struct {
	mu    sync.Mutex // held to change anything
	table *atomic.Pointer[table[V]]
	n     int // entries
	queues[V]
	wheel *wheel[V]    // nil until an entry has a life
	next  atomic.Int64 // when the wheel has to be looked at; 0: never
	_     [64]byte
}

// entry is a key's place in the queues and the wheel, for who holds the lock.
type entry[V any] struct {
	*item[V]       // as it is now
	size     int64 // with the overhead
	hash     uint64

	prev, next   *entry[V] // in its queue
	wprev, wnext *entry[V] // in its slot of the wheel

	where uint8 // small or main
	at    int16 // place in the wheel, -1: none
}

// item is what readers see of an entry: all of it in one cache line, if V is
// small. But for the use count it never changes: a new value is a new item.
type item[V any] struct {
	key   string
	value V
	life  lifeAndUses
	entry *entry[V]
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
	m := &Cache[V]{
		Config: c, seed: maphash.MakeSeed(), tables: make([]atomic.Pointer[table[V]], n), shards: make([]shard[V], n), start: time.Now(),
		sweeper: sweeper{wake: make(chan struct{}, 1)},
	}
	for i := range m.shards {
		m.tables[i].Store(&table[V]{buckets: make([]bucket[V], 1)})
		m.shards[i].table = &m.tables[i]
	}
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
		s.mu.Lock()
		n += s.n
		s.mu.Unlock()
	}
	return n
}

func (c *Cache[V]) now() int64 { return int64(time.Since(c.start)) }

func (c *Cache[V]) hash(key string) uint64 { return maphash.String(c.seed, key) }

// Get returns the value at key and how long it still lives, 0 if it has no end.
func (c *Cache[V]) Get(key string) (v V, life time.Duration, ok bool) {
	h := c.hash(key)
	it := c.tables[h&uint64(len(c.tables)-1)].Load().find(h, key)
	if it == nil {
		return v, 0, false
	}
	if expires := it.life.use(); expires != 0 {
		life = time.Duration(expires - c.now())
		if life <= 0 {
			return v, 0, false
		}
	}
	return it.value, life, true
}

// Change is what Update does to an entry. The zero value leaves it as it is.
type Change[V any] struct {
	Op    Op
	Value V
	Size  int           // in bytes, without the key
	Life  time.Duration // 0: no end; less than 0: as long as before

	// Then, if not nil, is called once the change can be read, before anybody
	// makes another one to the entry. The rules of Update's f are its rules.
	Then func()
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
// ever, and makes the change that f returns, in one step: nobody changes the
// entry in between. f must return at once and not call the cache.
func (c *Cache[V]) Update(key string, f func(v V, life time.Duration, ok bool) Change[V]) {
	h := c.hash(key)
	s := &c.shards[h&uint64(len(c.shards)-1)]
	s.mu.Lock()
	var e *entry[V]
	var life time.Duration
	if it := s.table.Load().find(h, key); it != nil {
		e = it.entry
		if expires := it.life.expires(); expires != 0 {
			life = time.Duration(expires - c.now())
			if life <= 0 {
				c.drop(s, e, Expired)
				e = nil
			}
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
	if ch.Then != nil {
		ch.Then()
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

// set writes a value, to e if that is not nil, and makes room in its shard. It
// reports whether the wheel has to be looked at earlier than before.
func (c *Cache[V]) set(s *shard[V], h uint64, key string, e *entry[V], ch Change[V]) (earlier bool) {
	it := &item[V]{key: key, value: ch.Value}
	size := int64(len(key)+ch.Size) + Overhead
	expires := int64(0)
	if ch.Life > 0 {
		expires = c.now() + min(int64(ch.Life), maxLife)
	}
	if e != nil {
		old := e.item
		if ch.Life < 0 {
			expires = old.life.expires()
		}
		it.life.set(expires, old.life.uses())
		it.life.use()
		if size != e.size {
			c.bytes.Add(size - e.size)
			s.resize(e, size)
		}
		it.entry, e.item = e, it
		s.table.Load().replace(h, old, it)
		if e.at >= 0 {
			s.wheel.remove(e)
		}
	} else {
		it.life.set(expires, 0)
		e = &entry[V]{item: it, size: size, hash: h, at: -1}
		it.entry = e
		c.bytes.Add(size)
		s.admit(e)
		s.n++
		if s.table.Load().full(s.n) {
			s.table.Store(s.table.Load().larger())
		}
		s.table.Load().insert(h, it)
	}
	if expires != 0 {
		earlier = c.schedule(s, e, expires)
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
	s.n--
	s.table.Load().remove(e.hash, e.item)
	s.queues.remove(e)
	if e.at >= 0 {
		s.wheel.remove(e)
	}
	c.bytes.Add(-e.size)
}

// drop removes e without being asked for.
func (c *Cache[V]) drop(s *shard[V], e *entry[V], why Reason) {
	c.remove(s, e)
	if c.Removed != nil {
		c.Removed(e.key, e.value, why)
	}
}

// evict removes one entry, but not keep, and reports whether it could.
func (c *Cache[V]) evict(s *shard[V], keep *entry[V]) bool {
	e := s.victim(keep)
	if e == nil {
		return false
	}
	if e.where == inSmall {
		s.ghosts.add(e.hash, s.n)
	}
	c.drop(s, e, Evicted)
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
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.table.Load().each(func(it *item[V]) bool {
		life := time.Duration(0)
		if expires := it.life.expires(); expires != 0 {
			life = time.Duration(expires - now)
			if life <= 0 {
				return true
			}
		}
		return f(it.key, it.value, life)
	})
}
