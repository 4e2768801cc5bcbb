package router

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Ejection says when an instance is taken out of rotation. The zero value of a
// field means its default.
type Ejection struct {
	Consecutive int           // failures in a row; default 5
	Share       float64       // share of failures, of 10 outcomes or more in 10 s; default 0.5
	Slower      float64       // times the median latency of its peers, of 5 or more; default 3
	Base        time.Duration // how long, for the first time; each time after is longer by as much; default 2 s
	Max         time.Duration // how long at the most; default 5 min
	Cap         float64       // share of the instances that may be out, but always one of two or more; default 0.3
}

func (e Ejection) withDefaults() Ejection {
	def(&e.Consecutive, 5)
	def(&e.Share, 0.5)
	def(&e.Slower, 3)
	def(&e.Base, 2*time.Second)
	def(&e.Max, 5*time.Minute)
	def(&e.Cap, 0.3)
	return e
}

func def[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// health is what ejection keeps of a node.
type health struct {
	until atomic.Int64 // 0: in rotation; else out until then; monotonic
	row   atomic.Int32 // failures in a row
	own   atomic.Bool  // it was ejected by what this client saw

	ejections atomic.Uint64

	mu     sync.Mutex // of what follows, which only failures and ticks touch
	times  int        // how often it was ejected, less the times it has done well since
	reason string
	window window
}

// out reports whether the node is ejected at now.
func (n *Node) out(now time.Duration) bool { return time.Duration(n.health.until.Load()) > now }

// onTrial reports whether it came back and has not yet done well.
func (n *Node) onTrial(now time.Duration) bool {
	u := time.Duration(n.health.until.Load())
	return u != 0 && u <= now
}

// judge notes an outcome and returns why the node should be ejected, or "".
func (n *Node) judge(sv *service, c Class) string {
	e, now := &sv.o.eject, sv.o.now
	if c == Cancelled {
		return ""
	}
	if !c.Failed() {
		if n.health.row.Load() != 0 {
			n.health.row.Store(0)
		}
		if n.health.until.Load() != 0 && n.onTrial(now()) {
			n.readmit(now())
			n.crowds(sv, now())
			n.rate(sv)
		}
		return ""
	}
	row := n.health.row.Add(1)
	switch at := now(); {
	case n.out(at):
		return "" // sent before it was ejected
	case n.onTrial(at):
		return "failed its trial"
	case int(row) >= e.Consecutive:
		return fmt.Sprintf("%d failures in a row", row)
	default:
		if share, all := n.share(at); all >= 10 && share > e.Share {
			return fmt.Sprintf("%.0f %% of %d calls failed", 100*share, all)
		}
	}
	return ""
}

// share returns the share of failures among the outcomes of the last one to
// two windows, and their number.
func (n *Node) share(now time.Duration) (share float64, all uint64) {
	var total, failed uint64
	for c := range classes {
		if c == Cancelled {
			continue
		}
		v := n.learnt.outcomes[c].Load()
		total += v
		if c.Failed() {
			failed += v
		}
	}
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	return n.health.window.share(now, total, failed)
}

// readmit takes the node back after a trial that went well.
func (n *Node) readmit(now time.Duration) {
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	if n.health.until.Swap(0) != 0 {
		n.health.reason = ""
		n.since.Store(int64(now)) // slowly, as if it were new
		n.learnt.success.set(max(n.learnt.success.value(), 0.9))
		n.learnt.observed.set(max(n.learnt.observed.value(), 0.5))
	}
}

// eject takes the node out of rotation.
func (n *Node) eject(o *options, reason string, now time.Duration, own bool) time.Duration {
	e := o.eject
	n.health.mu.Lock()
	defer n.health.mu.Unlock()
	n.health.times++
	n.health.ejections.Add(1)
	d := min(time.Duration(n.health.times)*e.Base, e.Max)
	d += time.Duration((o.chance() - 0.5) * 0.2 * float64(d))
	n.health.reason = reason
	n.health.row.Store(0)
	n.health.own.Store(own)
	n.health.until.Store(int64(now + d))
	return d
}

// forgive makes the next ejection shorter, for a node that has done well for a while.
func (n *Node) forgive() {
	n.health.mu.Lock()
	if n.health.times > 0 && n.health.until.Load() == 0 {
		n.health.times--
	}
	n.health.mu.Unlock()
}

// slow returns the nodes whose latency is far above that of their peers.
func slow(nodes []*Node, times float64, now time.Duration) []*Node {
	var lats []float64
	for _, n := range nodes {
		if l := n.learnt.latency.value(); l > 0 && !n.out(now) && n.learnt.outcomes[OK].Load() >= 20 {
			lats = append(lats, l)
		}
	}
	if len(lats) < 5 {
		return nil
	}
	slices.Sort(lats)
	limit := times * lats[len(lats)/2]
	var out []*Node
	for _, n := range nodes {
		if n.learnt.latency.value() > limit && !n.out(now) && n.learnt.outcomes[OK].Load() >= 20 {
			out = append(out, n)
		}
	}
	return out
}
