package router

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// attempt is the open end of a Pick. It is used again for other picks once it
// is done, which its generation tells apart.
type attempt struct {
	gen     atomic.Uint32
	seed    uint64 // of the numbers that choices are made by
	node    *Node
	epoch   uint64
	trial   Trial   // of the node's breaker
	request Request // what was chosen by
}

// attempts is shared by all routers: an attempt belongs to none between uses.
var attempts = sync.Pool{New: func() any { return &attempt{seed: rand.Uint64()} }}

// number returns a random number. Each attempt has its own generator
// (SplitMix64): it belongs to one goroutine at a time.
func (a *attempt) number(o *options) uint64 {
	if o.seeded {
		return o.rand()
	}
	a.seed += 0x9e3779b97f4a7c15
	return mix(a.seed)
}

// open makes the attempt one on n.
func (a *attempt) open(n *Node) {
	a.node, a.epoch = n, a.request.service.epoch.Load()
	n.inFlight[a.epoch&1].Add(1)
	if n.learnt.idle(a.request.now) > staleAfter/20 { // each time would cost more than it tells
		n.learnt.lastPick.Store(int64(a.request.now))
	}
}

// discard gives back an attempt that was not opened.
func (a *attempt) discard() {
	a.request.service, a.request.exclude = nil, nil
	attempts.Put(a)
}

// close ends the attempt and returns what it was of; ok is false if somebody
// else ended it.
func (p Pick) close(c Class) (s *service, n *Node, at time.Duration, again, ok bool) {
	a := p.a
	if a == nil || !a.gen.CompareAndSwap(p.gen, p.gen+1) {
		return nil, nil, 0, false, false
	}
	s, n, epoch, start, again := a.request.service, a.node, a.epoch, a.request.now, a.request.again // ours alone from here on
	if a.trial.b != nil {
		a.trial.b.done(a.trial, c)
		a.trial = Trial{}
	}
	a.node, a.request.service, a.request.exclude = nil, nil, nil
	attempts.Put(a)
	if s.epoch.Load()-epoch < 2 { // else its lease is over, and nobody counts it
		n.inFlight[epoch&1].Add(-1)
	}
	return s, n, start, again, true
}

// Done says how the attempt went. Only the first call counts, from whichever
// goroutine.
func (p Pick) Done(o Outcome) {
	s, n, start, again, ok := p.close(o.Class)
	if !ok {
		return
	}
	if o.Latency <= 0 && o.Class != Cancelled && o.Class != Unsent {
		o.Latency = s.o.now() - start
	}
	s.done(n, o, again)
}
