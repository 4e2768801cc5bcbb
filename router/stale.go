package router

import (
	"sync/atomic"
	"time"
)

// What is known of an instance that is not chosen grows stale, and may have been
// bad luck. So a few calls ask again those that took long, and failures of idle
// ones fade.
const (
	staleAfter   = 2 * time.Second // how long a node must be idle, at the least,
	staleTurns   = 10              // and how many calls of each node must pass
	renewAfter   = 5 * time.Second // how long after another a call asks again, at the least:
	renewals     = 500             // one call in so many does,
	renewTurns   = 100             // or one in so many of each node, if there are few
	worthwhile   = 1.2             // times what is usual that a node must cost to be asked again
	fade         = 0.05            // of the failures of an idle node, in a second
	fadeRefusals = 0.3             // of any node
)

// staleness is when what is known of a service's nodes is renewed.
type staleness struct {
	after atomic.Int64 // how long a node must be idle
	pause atomic.Int64 // between two calls that ask again
	last  atomic.Int64 // when a call last did; monotonic
}

// refresh works out after and pause for so many nodes and calls a second.
func (s *staleness) refresh(nodes int, rate float64) {
	last := func(calls int) time.Duration {
		if rate <= 0 {
			return 0
		}
		return time.Duration(float64(calls) / rate * float64(time.Second))
	}
	s.after.Store(int64(max(staleAfter, last(staleTurns*nodes))))
	s.pause.Store(int64(max(renewAfter, last(min(renewals, renewTurns*nodes)))))
}

// renews reports whether a call is spent on a node that is idle and costs base:
// one that costs about what is usual is chosen anyway.
func (r *Request) renews(n *Node, base float64) bool {
	s := &r.service.stale
	if base < worthwhile*r.service.usual.value() || !r.Usable(n) {
		return false
	}
	last := s.last.Load()
	return int64(r.now)-last > s.pause.Load() && s.last.CompareAndSwap(last, int64(r.now))
}

// forgetFailures lets the failures of a node fade that has long been idle, and
// refusals of any: what was full has room again soon.
func (n *Node) forgetFailures(sv *service, now time.Duration) {
	l := &n.learnt
	if l.accepted.value() < 1 {
		l.accepted.move(1, fadeRefusals)
	}
	if l.success.value() < 1 && l.idle(now) > time.Duration(sv.stale.after.Load()) && !n.out(now) {
		l.success.move(1, fade)
	}
}

// idle is how long ago the node was last chosen.
func (l *learnt) idle(now time.Duration) time.Duration { return now - time.Duration(l.lastPick.Load()) }
