package cache

import "sync/atomic"

// S3-FIFO keeps three queues, each first in, first out. A new entry goes to
// the small one, a tenth of the shard. At its end it goes on to main if it was
// used at least twice, else it is evicted and leaves a ghost: its hash. What comes back
// while its ghost is there goes to main directly. At the end of main, an entry
// that was used goes back to the front, one use poorer. So what is asked for
// once passes through the small queue and never disturbs main.

const (
	inSmall = iota
	inMain
)

// maxUses is where an entry's use count stops: so many rounds of main it
// stays without another use.
const maxUses = 3

// lifeAndUses is when an entry's life ends, in nanoseconds after the cache's
// start and rounded up by the lowest bits, 0 for never; and in those bits how
// often it was used. So a read needs one word for both.
type lifeAndUses struct{ bits atomic.Int64 }

func (l *lifeAndUses) expires() int64 { return l.bits.Load() &^ maxUses }

func (l *lifeAndUses) uses() int64 { return l.bits.Load() & maxUses }

func (l *lifeAndUses) set(expires, uses int64) { l.bits.Store((expires+maxUses)&^maxUses | uses) }

// use counts a use and returns expires. Of two at once one may not count, which
// does no harm.
func (l *lifeAndUses) use() (expires int64) {
	bits := l.bits.Load()
	if bits&maxUses < maxUses {
		l.bits.CompareAndSwap(bits, bits+1)
	}
	return bits &^ maxUses
}

type queues[V any] struct {
	small, main fifo[V]
	ghosts      ghosts
}

// admit puts a new entry into its queue.
func (q *queues[V]) admit(e *entry[V]) {
	if q.ghosts.take(e.hash) {
		e.where = inMain
		q.main.push(e)
	} else {
		e.where = inSmall
		q.small.push(e)
	}
}

func (q *queues[V]) of(e *entry[V]) *fifo[V] {
	if e.where == inSmall {
		return &q.small
	}
	return &q.main
}

func (q *queues[V]) remove(e *entry[V]) { q.of(e).remove(e) }

func (q *queues[V]) resize(e *entry[V], size int64) {
	q.of(e).bytes += size - e.size
	e.size = size
}

// victim returns the entry to evict next, which is still in its queue, or nil
// if there is none but keep.
func (q *queues[V]) victim(keep *entry[V]) *entry[V] {
	if q.small.bytes*10 >= q.small.bytes+q.main.bytes {
		if e := q.smallVictim(keep); e != nil {
			return e
		}
	}
	if e := q.mainVictim(keep); e != nil {
		return e
	}
	return q.smallVictim(keep)
}

// smallVictim passes on what was used until it finds an entry that was not.
func (q *queues[V]) smallVictim(keep *entry[V]) *entry[V] {
	for e := q.small.last; e != nil; e = q.small.last {
		switch {
		case e == keep && q.small.first == e:
			return nil
		case e == keep:
			q.small.remove(e)
			q.small.push(e)
		case e.life.uses() > 1:
			q.small.remove(e)
			e.where = inMain
			e.life.set(e.life.expires(), 0)
			q.main.push(e)
		default:
			return e
		}
	}
	return nil
}

// mainVictim goes around main until it finds an entry without uses.
func (q *queues[V]) mainVictim(keep *entry[V]) *entry[V] {
	for e := q.main.last; e != nil; e = q.main.last {
		if e == keep {
			if q.main.first == e {
				return nil
			}
		} else if n := e.life.uses(); n == 0 {
			return e
		} else {
			e.life.set(e.life.expires(), n-1)
		}
		q.main.remove(e)
		q.main.push(e)
	}
	return nil
}

// fifo is a queue of entries: in at first, out at last.
type fifo[V any] struct {
	first, last *entry[V]
	bytes       int64
}

func (q *fifo[V]) push(e *entry[V]) {
	e.prev, e.next = nil, q.first
	if q.first != nil {
		q.first.prev = e
	} else {
		q.last = e
	}
	q.first = e
	q.bytes += e.size
}

func (q *fifo[V]) remove(e *entry[V]) {
	if e.prev != nil {
		e.prev.next = e.next
	} else {
		q.first = e.next
	}
	if e.next != nil {
		e.next.prev = e.prev
	} else {
		q.last = e.prev
	}
	e.prev, e.next = nil, nil
	q.bytes -= e.size
}

// ghosts are the hashes of entries that were evicted from small, at most as
// many as there are entries.
type ghosts struct {
	order []uint64 // those of the set, oldest first, and places of some that have left it
	first int
	set   map[uint64]struct{}
}

func (g *ghosts) add(hash uint64, limit int) {
	if g.set == nil {
		g.set = map[uint64]struct{}{}
	}
	g.set[hash] = struct{}{}
	g.order = append(g.order, hash)
	for len(g.set) > limit {
		delete(g.set, g.order[g.first])
		g.first++
	}
	if len(g.order) > 2*len(g.set)+64 {
		g.compact()
	}
}

// compact leaves one place to each of the set, the newest.
func (g *ghosts) compact() {
	at := len(g.order)
	for i := at - 1; i >= g.first; i-- {
		if hash := g.order[i]; g.take(hash) {
			at--
			g.order[at] = hash
		}
	}
	g.order, g.first = append(g.order[:0], g.order[at:]...), 0
	for _, hash := range g.order {
		g.set[hash] = struct{}{}
	}
}

// take removes a ghost and reports whether it was there. Its place in the
// order stays for a while.
func (g *ghosts) take(hash uint64) bool {
	_, ok := g.set[hash]
	delete(g.set, hash)
	return ok
}
