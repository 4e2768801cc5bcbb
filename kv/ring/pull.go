package ring

import (
	"bytes"
	"context"
	"fmt"
	"time"
)

// cursor is a place in a node's records: a shard of its store, or if that has
// too much for a page, a slice of its hashes. A page ends where one of them
// does, so a listing costs one walk however many pages it has.
type cursor struct {
	shard, slices, slice uint32
}

func (c cursor) put(b []byte) []byte { return putU32(putU32(putU32(b, c.shard), c.slices), c.slice) }

func (r *reader) cursor() cursor { return cursor{r.u32(), r.u32(), r.u32()} }

// has reports that a hash is in the slice: from slice/slices to the next of all
// that there are, so that half the slice is one of twice as many.
func (c cursor) has(h uint64) bool { return uint32(h>>32*uint64(c.slices)>>32) == c.slice }

// next is what follows c.
func (c cursor) next() cursor {
	c.slice++
	if c.slice < c.slices {
		return c
	}
	return cursor{shard: c.shard + 1, slices: 1}
}

// after reports that c begins where b or what follows it ends.
func (c cursor) after(b cursor) bool {
	return c.shard > b.shard || c.shard == b.shard && uint64(c.slice)*uint64(b.slices) > uint64(b.slice)*uint64(c.slices)
}

// valid reports that a store may have such a place.
func (c cursor) valid() bool {
	return c.shard <= maxShards && c.slices > 0 && c.slices <= maxSlices && c.slices&(c.slices-1) == 0 && c.slice < c.slices
}

const (
	maxSlices = 1 << 16 // what a shard is cut into, at most: a power of two
	maxShards = 1 << 16 // more than any peer has

	// moreWalks bounds what a page costs: one walk of each shard, and as many more as
	// this. Each slice takes a walk, and a peer may ask for thousands of empty ones.
	moreWalks = 64

	// shortPages bounds a peer's listing: so many of its pages may have less than an
	// eighth of pageSize. Each eighth of a page that it sends beyond that earns one more.
	shortPages = 64

	// pullWithin bounds the comparison with one peer, so that a slow one does not keep
	// this node from noting that it met the others. Where tombstones live for long the
	// bound is an eighth of their life. The next comparison takes what is still missing.
	pullWithin = 10 * time.Second
)

// listing names what is here in the partitions whose digests differ, from a
// cursor on, if the peer goes by the same members: only then is every write
// that was acknowledged under older ones here to be named. A page is of about
// size bytes.
func (n *Node) listing(r *reader, size int) (byte, []byte) {
	epoch, at := r.u64(), r.cursor()
	var want [partitions]bool
	any := false
	for r.more() {
		p, digest := r.partition(), r.u64()
		if !r.bad && n.store.digests[p].Load() != digest {
			want[p], any = true, true
		}
	}
	if r.bad || !at.valid() {
		return stInvalid, nil
	}
	n.mu.RLock()
	v := n.v.Load()
	same, whole := v != nil && v.epoch == epoch, n.missing == 0
	n.mu.RUnlock()
	if !same {
		return stMoved, nil
	}
	const head = 14 // whole, more, the next cursor
	reply := make([]byte, head, 1024)
	more := false
	for walks := n.store.shards() + moreWalks; any && at.shard < uint32(n.store.shards()); walks-- {
		if walks == 0 {
			more = true
			break
		}
		from, fits := len(reply), true
		n.store.walk(int(at.shard), func(e entry) bool {
			if want[e.part] && (at.slices == 1 || at.has(hash(e.key))) {
				reply = putU64(putBytes(reply, e.key), e.version)
				fits = len(reply) <= size
			}
			return fits || at.slices == maxSlices
		})
		if !fits && at.slices < maxSlices {
			reply = reply[:from]
			if from > head {
				more = true
				break
			}
			at.slices, at.slice = 2*at.slices, 2*at.slice
			continue
		}
		at = at.next()
	}
	putBool(putBool(reply[:0], whole), more)
	at.put(reply[:2])
	return stOK, reply
}

// pull takes from a peer what is newer there in the partitions whose digests are given,
// and reports whether the peer has all that it owns. In partitions that this node
// does not own it takes no new keys.
func (n *Node) pull(ctx context.Context, v *view, id string, digests []byte, handoff bool) (whole bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, max(pullWithin, n.o.tombs/8))
	defer cancel()
	credit := shortPages
	for at, more := (cursor{slices: 1}), true; more; {
		a, err := v.askPage(ctx, id, opSync, append(at.put(putU64(nil, v.epoch)), digests...))
		if err != nil {
			return false, err
		}
		credit += len(a.body)/(pageSize/8) - 1
		if credit < 0 {
			return false, fmt.Errorf("%s: its pages do not end: %w", id, errFrame)
		}
		r := &reader{b: a.body}
		last := at
		whole, more, at = r.bool(), r.bool(), r.cursor()
		if more && !(at.valid() && at.after(last)) {
			return false, fmt.Errorf("%s: the page that follows %+v is %+v: %w", id, last, at, errFrame)
		}
		var wanted []string
		for r.more() {
			key, version := r.text(), r.u64()
			if r.bad || key == "" {
				break
			}
			mine := n.store.latest(key).version
			// What was evicted here stays away, unless it was never here.
			fits := v.mine[partition(hash(key))] >= 0 && (handoff || !n.store.full())
			if mine < version && (mine != 0 || fits) {
				wanted = append(wanted, key)
			}
		}
		if r.bad {
			return false, fmt.Errorf("%s: %w", id, errFrame)
		}
		if err := n.fetch(ctx, v, id, wanted); err != nil {
			return false, err
		}
	}
	return whole, nil
}

// fetch takes keys' records from a peer, which answers as many as have room in
// a page: the next request names about as many.
func (n *Node) fetch(ctx context.Context, v *view, id string, keys []string) error {
	for ask := 512; len(keys) > 0; {
		var body []byte
		for _, key := range keys[:min(ask, len(keys))] {
			body = putBytes(body, key)
		}
		a, err := v.askPage(ctx, id, opFetch, body)
		if err != nil {
			return err
		}
		r := &reader{b: a.body}
		got := 0
		for r.more() && got < min(ask, len(keys)) {
			rec := r.record()
			if r.bad {
				break
			}
			if rec.version != 0 {
				rec.value = bytes.Clone(rec.value) // the page is not kept for it
				n.clock.seen(rec.version)
				n.store.merge(keys[got], rec)
			}
			got++
		}
		if r.bad || got == 0 {
			return fmt.Errorf("%s: %w", id, errFrame)
		}
		keys = keys[got:]
		ask = min(2*got, 2048)
	}
	return nil
}

func (v *view) askPage(ctx context.Context, id string, op byte, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, err := v.call(ctx, id, op, body)
	if err == nil && a.status != stOK {
		err = fmt.Errorf("status %d", a.status)
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w", id, err)
	}
	return a, nil
}
