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
	now := at.UnixMilli()
	switch last := n.heard.Swap(now); {
	case last == 0:
		n.since.Store(now)
	case now-last > n.lapse():
		n.endedGap(now)
	}
}

func (n *Node) endedGap(now int64) {
	n.since.Store(now)
	n.resumed.Store(now)
}

// lapse is how long a node that is in touch may be without comparing with most others: more than
// the interval, and less than what makes it cut off.
func (n *Node) lapse() int64 { return n.o.tombs.Milliseconds() * 3 / 8 }

// What a node was while another one was cut off.
const (
	wasInTouch byte = iota + 1 // with most, all the time
	wasCutOff                  // as well, perhaps not for quite as long
	wasElse                    // it began meanwhile
)

// was says what this node was from a moment on.
func (n *Node) was(from time.Time) byte {
	heard, since := n.heard.Load(), n.since.Load()
	switch {
	case heard == 0:
		return wasElse
	case time.Now().UnixMilli()-heard > n.lapse() || n.resumed.Load() > from.UnixMilli():
		return wasCutOff
	case since <= from.UnixMilli():
		return wasInTouch
	}
	return wasElse
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
	case 2*same > v.up:
		n.o.logger.Warn("kv/ring: most nodes were cut off from each other, keeping what is here")
	case answered == len(v.peers):
		n.forget()
	default:
		return
	}
	now := time.Now().UnixMilli()
	n.heard.Store(now)
	n.endedGap(now)
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
