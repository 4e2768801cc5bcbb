package cache

import (
	"math"
	"math/bits"
	"sync"
	"time"
)

// The wheel has levels of 64 slots. A slot of level 0 is one tick, about a
// millisecond; one of each further level is a turn of the level below. An
// entry is put where its end is less than a turn away and goes down a level
// when its slot's time comes, so adding and removing cost the same however
// many entries there are. Seven levels reach 146 years; a longer life ends then.
const (
	tickBits = 20 // a tick is 2²⁰ ns
	slotBits = 6
	slots    = 1 << slotBits
	levels   = 7
	maxLife  = math.MaxInt64 / 4 // 73 years: sums with it do not overflow
)

type wheel[V any] struct {
	tick  int64 // up to which entries have been expired
	slots [levels][slots]*entry[V]
	used  [levels]uint64 // a bit for each slot that is not empty
}

func tickOf(t int64) int64 { return (t + 1<<tickBits - 1) >> tickBits } // late, never early

func (w *wheel[V]) add(e *entry[V], expires int64) {
	at := max(tickOf(expires), w.tick+1)
	delta, level := at-w.tick, 0
	for level < levels-1 && delta >= 1<<(slotBits*(level+1)) {
		level++
	}
	slot := int(at >> (slotBits * level) & (slots - 1))
	e.at = int16(level*slots + slot)
	e.wprev, e.wnext = nil, w.slots[level][slot]
	if e.wnext != nil {
		e.wnext.wprev = e
	}
	w.slots[level][slot] = e
	w.used[level] |= 1 << slot
}

func (w *wheel[V]) remove(e *entry[V]) {
	level, slot := int(e.at)/slots, int(e.at)%slots
	if e.wprev != nil {
		e.wprev.wnext = e.wnext
	} else {
		w.slots[level][slot] = e.wnext
	}
	if w.slots[level][slot] == nil {
		w.used[level] &^= 1 << slot
	}
	if e.wnext != nil {
		e.wnext.wprev = e.wprev
	}
	e.wprev, e.wnext, e.at = nil, nil, -1
}

// advance goes to time now and calls expired for each entry whose life is
// over, which is out of the wheel by then.
func (w *wheel[V]) advance(now int64, expired func(*entry[V])) {
	from, to := w.tick, now>>tickBits
	if to <= from {
		return
	}
	w.tick = to
	for level := range levels {
		a, b := from>>(slotBits*level), to>>(slotBits*level)
		if a == b {
			return
		}
		for n := a; n <= min(b, a+slots-1); n++ {
			slot := n & (slots - 1)
			e := w.slots[level][slot]
			w.slots[level][slot] = nil
			w.used[level] &^= 1 << slot
			for e != nil {
				next := e.wnext
				e.wprev, e.wnext, e.at = nil, nil, -1
				if at := e.life.expires(); at <= now {
					expired(e)
				} else {
					w.add(e, at)
				}
				e = next
			}
		}
	}
}

// next returns when advance has something to do, 0 if never.
func (w *wheel[V]) next() int64 {
	best := int64(0)
	for level, used := range w.used {
		if used == 0 {
			continue
		}
		shift := slotBits * level
		here := w.tick >> shift
		// The first used slot after this one, around to this one again.
		ahead := int64(bits.TrailingZeros64(bits.RotateLeft64(used, -int(here+1)&(slots-1)))) + 1
		at := (here + ahead) << shift << tickBits
		if best == 0 || at < best {
			best = at
		}
	}
	return best
}

// schedule has e looked at when its life ends, and reports whether that makes
// its shard to be looked at earlier than before.
func (c *Cache[V]) schedule(s *shard[V], e *entry[V], expires int64) bool {
	if s.wheel == nil {
		s.wheel = &wheel[V]{tick: c.now() >> tickBits}
	}
	s.wheel.add(e, expires)
	at := s.wheel.next()
	if before := s.next.Load(); before != 0 && before <= at {
		return false
	}
	s.next.Store(at)
	return true
}

// sweep removes what has expired and returns when to come again, 0 if nothing
// has a life.
func (c *Cache[V]) sweep() (next int64) {
	for i := range c.shards {
		s := &c.shards[i]
		at := s.next.Load()
		if now := c.now(); at != 0 && at <= now {
			s.mu.Lock()
			s.wheel.advance(now, func(e *entry[V]) { c.drop(s, e, Expired) })
			at = s.wheel.next()
			s.next.Store(at)
			s.mu.Unlock()
		}
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	return next
}

// sweeper is the goroutine that sweeps. It runs from the first entry with a
// life until Close, and sleeps until something ends.
type sweeper struct {
	mu      sync.Mutex
	running bool
	closed  bool
	at      int64 // when it will wake by itself; 0: never
	wake    chan struct{}
	done    sync.WaitGroup
}

// wakeAt makes the sweeper come at time at or before.
func (c *Cache[V]) wakeAt(at int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if at == 0 || c.closed || (c.at != 0 && c.at <= at) {
		return
	}
	c.at = at
	if !c.running {
		c.running = true
		c.done.Go(c.sweepUntilClosed)
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *Cache[V]) sweepUntilClosed() {
	t := time.NewTimer(time.Hour)
	defer t.Stop()
	for {
		c.mu.Lock()
		c.at = math.MaxInt64 // who has something to say while we sweep has to wake us
		closed := c.closed
		c.mu.Unlock()
		if closed {
			return
		}
		next := c.sweep()
		c.mu.Lock()
		c.at = next
		c.mu.Unlock()
		if next == 0 {
			t.Reset(time.Hour)
		} else {
			t.Reset(time.Duration(next - c.now()))
		}
		select {
		case <-t.C:
		case <-c.wake:
		}
	}
}

// Close stops the goroutine that ends lives. The cache can still be used;
// entries whose life is over are still not found.
func (c *Cache[V]) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	c.done.Wait()
}
