package ring

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/cache"
)

// record is one version of one key.
type record struct {
	value   []byte
	version uint64
	expires int64 // Unix milliseconds; 0: never
	shadow  int64 // until when an older version, that this one replaced, may live elsewhere; 0: there is none
	dead    bool  // a tombstone
}

func (r record) over(now time.Time) bool { return r.expires != 0 && r.expires <= now.UnixMilli() }

// buries reports that the end of the record has to be remembered as a delete
// is: what it replaced lives longer, perhaps on a node that is out of reach.
func (r record) buries(now time.Time) bool { return r.dead || r.shadow > now.UnixMilli() }

// never is the end of a life that has none.
const never = math.MaxInt64

// shadowOn is the shadow of a record that replaces r. A delete is remembered
// for life.
func (r record) shadowOn(life time.Duration) int64 {
	switch {
	case r.version == 0:
		return 0
	case r.dead:
		return timeOf(r.version).Add(life).UnixMilli()
	case r.expires == 0:
		return never
	}
	return max(r.expires, r.shadow)
}

// recordOverhead is what a record takes in the cache besides its value.
const recordOverhead = 56

// store holds a node's records within a bound of bytes. Tombstones are kept
// apart, so that values do not push them out before their time.
type store struct {
	items   *cache.Cache[record]
	tombs   *cache.Cache[uint64] // versions
	life    time.Duration        // of a tombstone
	stripes [256]sync.Mutex      // held over a change of both caches
	digests [partitions]atomic.Uint64
	counts  [partitions]atomic.Int64
}

func newStore(maxBytes int64, life time.Duration) *store {
	s := &store{life: life}
	s.items = cache.New(cache.Config[record]{MaxBytes: maxBytes / 16 * 15, Removed: func(key string, r record, why cache.Reason) {
		s.count(key, r.version, -1)
		if now := time.Now(); why == cache.Expired && r.buries(now) {
			s.bury(key, r.version, now)
		}
	}})
	s.tombs = cache.New(cache.Config[uint64]{MaxBytes: maxBytes / 16, Removed: func(key string, v uint64, _ cache.Reason) {
		s.count(key, v, -1)
	}})
	return s
}

func (s *store) close() {
	s.items.Close()
	s.tombs.Close()
}

// count keeps a partition's digest: the exclusive or of what identifies each of
// its records, so that equal contents have equal digests in any order.
func (s *store) count(key string, version uint64, by int64) {
	h := hash(key)
	p := partition(h)
	x := mix(h ^ mix(version))
	for {
		old := s.digests[p].Load()
		if s.digests[p].CompareAndSwap(old, old^x) {
			break
		}
	}
	s.counts[p].Add(by)
}

// get returns the record at key, if it is there and alive.
func (s *store) get(key string, now time.Time) (record, bool) {
	r, _, ok := s.items.Get(key)
	if !ok || r.over(now) {
		return record{}, false
	}
	return r, true
}

// latest returns what is known of key, also that it is dead. The version is 0
// if nothing is.
func (s *store) latest(key string) record {
	mu := s.stripe(key)
	mu.Lock()
	defer mu.Unlock()
	if r, _, ok := s.items.Get(key); ok {
		return r
	}
	if v, _, ok := s.tombs.Get(key); ok {
		return record{version: v, dead: true}
	}
	return record{}
}

func (s *store) stripe(key string) *sync.Mutex { return &s.stripes[hash(key)>>16&255] }

// merge takes in a record that is newer than what is there. The value is kept.
func (s *store) merge(key string, r record) {
	now := time.Now()
	mu := s.stripe(key)
	mu.Lock()
	defer mu.Unlock()
	tomb, _, buried := s.tombs.Get(key)
	if buried && tomb >= r.version {
		return
	}
	older := false
	s.items.Update(key, func(old record, _ time.Duration, ok bool) (ch cache.Change[record]) {
		if ok && old.version >= r.version {
			older = true
			return ch
		}
		gone := r.dead || r.over(now)
		if ok {
			s.count(key, old.version, -1)
			ch.Op = cache.Remove
		}
		if !gone {
			s.count(key, r.version, 1)
			ch = cache.Change[record]{Op: cache.Set, Value: r, Size: len(r.value) + recordOverhead}
			if r.expires != 0 {
				ch.Life = max(time.Until(time.UnixMilli(r.expires)), time.Millisecond)
			}
		}
		return ch
	})
	if older {
		return
	}
	if r.buries(now) && (r.dead || r.over(now)) {
		s.bury(key, r.version, now)
	} else if buried {
		s.unbury(key)
	}
}

// bury remembers that a version has ended, until a node that has not heard of
// it has dropped what it had.
func (s *store) bury(key string, version uint64, now time.Time) {
	s.tombs.Update(key, func(old uint64, _ time.Duration, ok bool) (ch cache.Change[uint64]) {
		if ok && old >= version {
			return ch
		}
		if ok {
			s.count(key, old, -1)
			ch.Op = cache.Remove
		}
		if life := s.life - now.Sub(timeOf(version)); life > 0 {
			s.count(key, version, 1)
			ch = cache.Change[uint64]{Op: cache.Set, Value: version, Life: min(life, s.life)}
		}
		return ch
	})
}

func (s *store) unbury(key string) {
	s.tombs.Update(key, func(old uint64, _ time.Duration, ok bool) (ch cache.Change[uint64]) {
		if ok {
			s.count(key, old, -1)
			ch.Op = cache.Remove
		}
		return ch
	})
}

// drop forgets what keep does not want, without a tombstone.
func (s *store) drop(keep func(part uint16, version uint64) bool) {
	var unwanted []entry
	for shard := range s.shards() {
		unwanted = unwanted[:0]
		s.walk(shard, func(e entry) bool {
			if !keep(e.part, e.version) {
				unwanted = append(unwanted, e)
			}
			return true
		})
		for _, e := range unwanted {
			s.forget(e)
		}
	}
}

func (s *store) forget(e entry) {
	mu := s.stripe(e.key)
	mu.Lock()
	defer mu.Unlock()
	s.items.Update(e.key, func(old record, _ time.Duration, ok bool) (ch cache.Change[record]) {
		if ok && old.version == e.version {
			s.count(e.key, old.version, -1)
			ch.Op = cache.Remove
		}
		return ch
	})
	s.tombs.Update(e.key, func(old uint64, _ time.Duration, ok bool) (ch cache.Change[uint64]) {
		if ok && old == e.version {
			s.count(e.key, old, -1)
			ch.Op = cache.Remove
		}
		return ch
	})
}

// entry names a record.
type entry struct {
	key     string
	part    uint16
	version uint64
}

// shards is how many shards walk knows: those of the items, then those of the
// tombstones. Who walks them all, one after the other, meets every key that was
// there all the time.
func (s *store) shards() int { return s.items.Shards() + s.tombs.Shards() }

// walk calls f with the records of one shard until it returns false. It must
// return at once and not use the store.
func (s *store) walk(shard int, f func(entry) bool) {
	if n := s.items.Shards(); shard >= n {
		s.tombs.RangeShard(shard-n, func(key string, v uint64, _ time.Duration) bool {
			return f(entry{key, partition(hash(key)), v})
		})
		return
	}
	s.items.RangeShard(shard, func(key string, r record, _ time.Duration) bool {
		return f(entry{key, partition(hash(key)), r.version})
	})
}

// full reports that there is no room to take in what was evicted here.
func (s *store) full() bool { return s.items.Bytes() > s.items.MaxBytes/8*7 }

// clock gives versions: hybrid logical time (Kulkarni et al., 2014), that is
// milliseconds since 2020 in 42 bits and a counter of 12, and 10 bits that
// differ between nodes. A version is greater than any that the node has seen.
type clock struct {
	last atomic.Uint64
	node uint64
}

var epoch2020 = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

func (c *clock) next(above uint64) uint64 {
	for {
		last := c.last.Load()
		now := max(time.Now().UnixMilli()-epoch2020, 0) // a clock that was never set counts from the others' versions
		n := max(uint64(now)<<12, last>>10+1, above>>10+1)
		v := n<<10 | c.node&1023
		if c.last.CompareAndSwap(last, v) {
			return v
		}
	}
}

func (c *clock) seen(v uint64) {
	for {
		last := c.last.Load()
		if v <= last || c.last.CompareAndSwap(last, v) {
			return
		}
	}
}

// timeOf is when a version was given, by the clock of its node.
func timeOf(v uint64) time.Time { return time.UnixMilli(int64(v>>22) + epoch2020) }
