package ring

import (
	"context"
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
	answers := v.askAll(ctx, l.n.o.detection/4, opReach, putBytes(nil, l.id))
	for _, a := range answers {
		if a.err == nil && a.status == stOK {
			return true
		}
	}
	return false
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

// met notes that this node compared with most others.
func (n *Node) met(at time.Time) {
	now, last := at.UnixMilli(), n.heard.Load()
	if last == 0 || now-last > n.lapse() {
		n.resume(last, now)
	}
	n.heard.Store(now)
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
// others did meanwhile. If one was in touch with most others, they may have deleted what is
// here, and forgotten that: it goes. If most nodes were cut off there was
// no majority to do that, and nobody else may have what is here: it stays.
func (n *Node) endGap(ctx context.Context, v *view) {
	gap := time.Now().UnixMilli() - n.heard.Load()
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
	switch {
	case touched:
		n.forget()
	case 2*same > v.all:
		n.o.logger.Warn("kv/ring: most nodes were cut off from each other, keeping what is here")
	case answered == len(v.peers):
		n.forget()
	default:
		return
	}
	now := time.Now().UnixMilli()
	n.resume(n.heard.Load(), now)
	n.heard.Store(now)
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
