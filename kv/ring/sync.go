package ring

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
)

// keepSynced compares this node with its peers: at an interval, and until all
// is well after every change.
func (n *Node) keepSynced(ctx context.Context) {
	wait := backoff.Policy{Min: 10 * time.Millisecond, Max: time.Second}
	every := time.NewTimer(n.o.interval)
	defer every.Stop()
	for tries := 0; ; {
		select {
		case <-n.kick:
			tries = 0
		case <-every.C:
		case <-ctx.Done():
			return
		}
		next := n.o.interval
		if !n.compare(ctx) {
			next = min(next, wait.Wait(tries))
			tries++
		}
		every.Reset(next)
	}
}

// compare pulls from every peer what this node lacks, and reports whether all
// nodes then have all that they own and nothing else.
func (n *Node) compare(ctx context.Context) bool {
	n.mu.RLock()
	v, round, missing := n.v, n.round, n.missing
	n.mu.RUnlock()
	if v == nil {
		return true
	}
	if n.cutOff() && n.inTouch(v) {
		n.forget()
	}
	var mine []uint16
	for p := range v.owners {
		if v.owns(uint16(p), n.self) {
			mine = append(mine, uint16(p))
		}
	}
	started := time.Now()
	whole := make([]bool, len(v.peers))
	errs := make([]error, len(v.peers))
	var wg sync.WaitGroup
	for i, id := range v.peers {
		wg.Go(func() { whole[i], errs[i] = n.pull(ctx, v, id, mine, missing > 0) })
	}
	wg.Wait()
	answered := 0
	for _, err := range errs {
		if err == nil {
			answered++
		}
	}
	if 2*answered >= len(v.peers) && !n.cutOff() {
		n.heard.Store(started.UnixMilli())
	}
	if err := errors.Join(errs...); err != nil {
		n.o.logger.Debug("kv/ring: not compared with all", "error", err)
		return false
	}
	n.mu.Lock()
	if n.v != v || n.round != round {
		n.mu.Unlock()
		return false
	}
	for _, p := range mine {
		n.have[p] = true
	}
	n.recount()
	leftovers, member := n.leftovers(), n.member
	n.mu.Unlock()
	if slices.Contains(whole, false) {
		return !leftovers
	}
	if leftovers && member {
		// Every owner has compared with this node under this very view. While
		// it stays nobody writes here what is dropped.
		n.mu.RLock()
		if n.v == v {
			n.store.drop(func(p uint16, _ uint64) bool { return v.owns(p, n.self) })
		}
		n.mu.RUnlock()
		n.mu.Lock()
		n.recount()
		n.mu.Unlock()
	}
	return true
}

// cutOff reports that this node has not compared with most others for so long
// that tombstones of what was deleted meanwhile may be gone. It then answers
// nothing from what it has. The time is a time of day, which goes on also while
// the machine sleeps.
func (n *Node) cutOff() bool {
	heard := n.heard.Load()
	return heard != 0 && time.Now().UnixMilli()-heard > n.o.tombs.Milliseconds()/2
}

// forget drops what is so old that the tombstone of its delete may be gone. Of
// what is younger every delete is still remembered.
func (n *Node) forget() {
	n.o.logger.Warn("kv/ring: cut off for too long, dropping what may have been deleted")
	n.mu.Lock()
	n.have = [Partitions]bool{}
	n.recount()
	n.mu.Unlock()
	since := time.Now().Add(-n.o.tombs / 2)
	n.store.drop(func(_ uint16, version uint64) bool { return timeOf(version).After(since) })
	n.heard.Store(time.Now().UnixMilli())
}

// inTouch reports that a peer is connected.
func (n *Node) inTouch(v *view) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.ContainsFunc(v.peers, func(id string) bool { return n.links[id] != nil && n.links[id].conn.Load() != nil })
}

// pull takes from a peer what is newer there in the given partitions, and
// reports whether the peer has all that it owns.
func (n *Node) pull(ctx context.Context, v *view, id string, parts []uint16, handoff bool) (whole bool, err error) {
	digests := make([]byte, 0, 10*len(parts))
	for _, p := range parts {
		digests = putU64(putU16(digests, p), n.store.digests[p].Load())
	}
	var after entry
	for {
		body := putBytes(putU16(putU64(nil, v.epoch), after.part), after.key)
		a, err := n.askPage(ctx, id, opSync, append(body, digests...))
		if err != nil {
			return false, err
		}
		r := &reader{b: a.body}
		whole = r.bool()
		more := r.bool()
		var wanted []string
		for r.more() {
			e := entry{key: r.text(), version: r.u64()}
			if r.bad || e.key == "" {
				return false, fmt.Errorf("%s: %w", id, errFrame)
			}
			e.part = partition(hash(e.key))
			after = e
			mine := n.store.latest(e.key).version
			// What was evicted here stays away, unless it was never here.
			if mine < e.version && (mine != 0 || handoff || !n.store.full()) {
				wanted = append(wanted, e.key)
			}
		}
		if r.bad {
			return false, fmt.Errorf("%s: %w", id, errFrame)
		}
		if err := n.fetch(ctx, id, wanted); err != nil {
			return false, err
		}
		if !more {
			return whole, nil
		}
	}
}

// fetch takes keys' records from a peer.
func (n *Node) fetch(ctx context.Context, id string, keys []string) error {
	for len(keys) > 0 {
		var body []byte
		for _, key := range keys {
			if body = putBytes(body, key); len(body) > pageSize {
				break
			}
		}
		a, err := n.askPage(ctx, id, opFetch, body)
		if err != nil {
			return err
		}
		r := &reader{b: a.body}
		got := 0
		for r.more() && got < len(keys) {
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
	}
	return nil
}

func (n *Node) askPage(ctx context.Context, id string, op byte, body []byte) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	a, err := n.call(ctx, id, op, body)
	if err == nil && a.status != stOK {
		err = fmt.Errorf("status %d", a.status)
	}
	if err != nil {
		return a, fmt.Errorf("%s: %w", id, err)
	}
	return a, nil
}

// listing names what is here in the partitions whose digests differ, after a
// cursor, if the peer goes by the same members: only then is every write that
// was acknowledged under older ones here to be named.
func (n *Node) listing(r *reader) (byte, []byte) {
	epoch := r.u64()
	after := entry{part: r.partition(), key: r.text()}
	var want [Partitions]bool
	any := false
	for r.more() {
		p, digest := r.partition(), r.u64()
		if !r.bad && n.store.digests[p].Load() != digest {
			want[p], any = p >= after.part, true
		}
	}
	if r.bad {
		return stInvalid, nil
	}
	n.mu.RLock()
	same, whole := n.v != nil && n.v.epoch == epoch, n.missing == 0
	n.mu.RUnlock()
	if !same {
		return stMoved, nil
	}
	var all []entry
	if any {
		all = n.store.entries(func(p uint16) bool { return want[p] })
	}
	slices.SortFunc(all, entry.compare)
	reply := putBool(putBool(nil, whole), false)
	for _, e := range all {
		if e.compare(after) <= 0 {
			continue
		}
		if len(reply) > pageSize {
			reply[1] = 1
			break
		}
		reply = putU64(putBytes(reply, e.key), e.version)
	}
	return stOK, reply
}
