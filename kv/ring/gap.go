package ring

import (
	"context"
	"slices"
	"sync"
	"time"
)

// reachedByOthers asks the peers whether one of them reaches this one. If one
// does, only the way between the two of us is broken, and the others will not
// leave it out: to do so alone would be to go by other members than they do,
// with whom then nothing can be compared (the indirect probe of SWIM: Das, Gupta
// and Motivala, 2002).
func (l *link) reachedByOthers(ctx context.Context) bool {
	v := l.n.v.Load()
	if v == nil {
		return false
	}
	return slices.ContainsFunc(v.askAll(ctx, l.n.o.detection/4, opReach, putBytes(nil, l.id)), func(a answer) bool {
		return a.err == nil && a.status == stOK
	})
}

// reaches reports that a peer has answered just now. A peer that died is not
// reached any more when the first who misses it asks: the pings of all are a quarter
// of the time of detection apart.
func (n *Node) reaches(id string) bool {
	n.mu.RLock()
	l := n.links[id]
	n.mu.RUnlock()
	return l != nil && l.conn.Load() != nil && time.Now().UnixMilli()-l.heard.Load() <= n.o.detection.Milliseconds()/2
}

// A node has to know whether others may have deleted, and forgotten, what it still
// has. That they are not registered any more says nothing: a registry may have lost
// them because it is cut off together with this node. So a node remembers its
// company: who was up when it last compared with most of its company. It has heard of
// every delete as long as it compares with most of them, since of two sides only one
// has most (dynamic voting: Jajodia and Mutchler, 1990; of two halves it is the one
// with the first name).
//
// A node that was left by its company serves, as the registry says. When it meets
// those that went on without it, after more than half the life of tombstones, it drops what
// it had from before, as a node of Cassandra has to that was unavailable for longer than
// gc_grace_seconds. What it wrote since then they never had: that stays.

// most reports that those in are more than half of all, who are in order; of two
// halves, that with the first.
func most(all []string, in func(string) bool) bool {
	count := 0
	for _, id := range all {
		if in(id) {
			count++
		}
	}
	return 2*count > len(all) || 2*count == len(all) && count > 0 && in(all[0])
}

// leftBy reports that those who are up are a part of this node's company, and not most
// of it. Somebody new might know what the others did. Called with mu held.
func (n *Node) leftBy(up []string) bool {
	for _, id := range up {
		if !slices.Contains(n.company, id) {
			return false
		}
	}
	return !most(n.company, func(id string) bool { return slices.Contains(up, id) })
}

// met notes that this node compared with those that answered, who are most of the
// registered ones. If they are most of its company too, it has heard of every
// delete. So it has if all answered and some of them are new: the registry has
// filled the places of those that left.
func (n *Node) met(v *view, at time.Time, answered []string) {
	n.recent.Store(at.UnixMilli())
	n.mu.Lock()
	defer n.mu.Unlock()
	inTouch := most(n.company, func(id string) bool { return id == n.self || slices.Contains(answered, id) })
	if n.heard.Load() != 0 && !inTouch && (v.deserted || len(answered) < len(v.peers)) {
		return
	}
	n.accompany(v)
	now, last := at.UnixMilli(), n.heard.Load()
	if last == 0 || now-last > n.lapse() {
		n.resume(last, now)
	}
	n.heard.Store(now)
}

// accompany makes those of a view this node's company, unless there is another view by
// now, which was compared with the company as it is. Called with mu held.
func (n *Node) accompany(v *view) {
	if n.v.Load() == v {
		n.company = v.up
		n.deserted.Store(0)
	}
}

// resume notes that a gap ends, which began at last. It comes before heard is set: who
// asks in between is not to hear that there was none.
func (n *Node) resume(last, now int64) {
	n.broke.Store(last)
	n.since.Store(now)
}

// lapse is how long a node that is in touch may be without comparing with most others: more than
// the interval, and less than what makes it cut off.
func (n *Node) lapse() int64 { return n.o.tombs.Milliseconds() * 3 / 8 }

// spread is how far apart the last comparisons of two nodes may be that were cut off
// at the same time.
func (n *Node) spread() int64 {
	return min(n.lapse(), 2*(n.o.interval+n.o.detection).Milliseconds())
}

// What a node was while another one was cut off.
const (
	wasInTouch byte = iota + 1 // with most, for some of the time, and may have forgotten what was deleted then
	wasCutOff                  // as well, for as long or until lately
	wasElse                    // it began lately
)

// was says what this node was from a moment on.
func (n *Node) was(from time.Time) byte {
	now, begin, since, until := time.Now().UnixMilli(), from.UnixMilli(), n.since.Load(), n.heard.Load()
	over := now-until > n.lapse()
	if since > begin && now-since <= n.o.tombs.Milliseconds()/2 {
		until, over = n.broke.Load(), true // what was deleted since is still remembered: what counts is what was before
	}
	switch {
	case until == 0:
		return wasElse
	case over && until <= begin+n.spread():
		return wasCutOff
	}
	return wasInTouch
}

// endGap ends the time that this node was cut off, if it can be known what the
// others did meanwhile:
//
//   - One was in touch with most others: they may have deleted what is here, and
//     forgotten that. It goes.
//   - Most nodes were cut off: no majority was there to delete it, and nobody else may
//     have it. It stays.
//   - This node was left by its company, and those that are here now are new. If they go
//     by the same members, they know nobody who was elsewhere. It stays.
func (n *Node) endGap(ctx context.Context, v *view) {
	gap := time.Now().UnixMilli() - n.heard.Load()
	n.mu.RLock()
	all := max(v.all, len(n.company)) // the registry may show them one after the other
	n.mu.RUnlock()
	same, answered, touched := 1, 0, false
	for _, a := range v.askAll(ctx, n.o.detection, opGap, putU64(nil, uint64(gap))) {
		if a.err != nil || a.status != stOK || len(a.body) != 1 {
			continue
		}
		answered++
		touched = touched || a.body[0] == wasInTouch
		if a.body[0] == wasCutOff {
			same++
		}
	}
	switch whole := answered == len(v.peers); {
	case touched:
		n.forget()
	case 2*same > all:
		n.o.logger.Warn("kv/ring: most nodes were cut off from each other, keeping what is here")
	case whole && n.deserted.Load() == 0:
		n.forget()
	case whole && v.agreed.Load():
		n.o.logger.Warn("kv/ring: the others are new, keeping what is here")
	default:
		return
	}
	now := time.Now().UnixMilli()
	n.recent.Store(now)
	n.mu.Lock()
	defer n.mu.Unlock()
	if v.deserted {
		return // its company is not there yet
	}
	n.accompany(v)
	n.resume(n.heard.Load(), now)
	n.heard.Store(now)
}

// forget drops what is so old that the tombstone of its delete may be gone. Of
// what is younger every delete is still remembered; and what was written after
// the registry dropped the others, they never had.
func (n *Node) forget() {
	n.o.logger.Warn("kv/ring: cut off for too long, dropping what may have been deleted")
	n.mu.Lock()
	n.doubt()
	n.mu.Unlock()
	since := time.Now().Add(-n.o.tombs / 2)
	if left := n.deserted.Load(); left != 0 && left < since.UnixMilli() {
		since = time.UnixMilli(left)
	}
	n.store.drop(func(_ uint16, version uint64) bool { return timeOf(version).After(since) })
}

// cutOff reports that this node has not compared with most others for so long
// that tombstones of what was deleted meanwhile may be gone. It then answers
// nothing from what it has, unless the registry shows none of those that may
// know more. The time is a time of day, which goes on also while the machine
// sleeps.
func (n *Node) cutOff(now time.Time) bool {
	if !n.late(now) {
		return false
	}
	return now.UnixMilli()-n.recent.Load() > n.o.tombs.Milliseconds()/2 || !n.v.Load().deserted
}

// late reports that this node has not heard of its company for as long.
func (n *Node) late(now time.Time) bool {
	heard := n.heard.Load()
	return heard != 0 && now.UnixMilli()-heard > n.o.tombs.Milliseconds()/2
}

// withholds reports that this node does not tell a peer what it has: the peer goes by
// other members, and may be one of those that have deleted it.
func (n *Node) withholds(epoch uint64, now time.Time) bool {
	return n.late(now) && (n.cutOff(now) || n.v.Load().epoch != epoch)
}

// askAll asks all peers the same.
func (v *view) askAll(ctx context.Context, within time.Duration, op byte, body []byte) []answer {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	answers := make([]answer, len(v.peers))
	var wg sync.WaitGroup
	for i, id := range v.peers {
		wg.Go(func() { answers[i], answers[i].err = v.call(ctx, id, op, body) })
	}
	wg.Wait()
	return answers
}
