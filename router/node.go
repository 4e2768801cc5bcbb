package router

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
)

// Node is one instance and what is known of it: what this client has learnt
// from its own calls, what others told, and what follows for the next call. It
// lives as long as discovery knows the instance, and some time longer, so that
// an instance that comes back is not a stranger. Its methods are safe for
// concurrent use.
type Node struct {
	// What every choice reads comes first, to be in few lines of the cache.
	inFlight [2]atomic.Int32           // by the parity of the lease's epoch
	standing atomic.Uint32             // what discovery thinks of it, see standing
	away     atomic.Bool               // it is in another zone than this client
	cost     costing                   // what follows from the rest
	learnt   learnt                    // from this client's own calls
	health   health                    // whether it is in rotation
	breakers []atomic.Pointer[Breaker] // of each method, see service.method; none if there are to be none

	instance atomic.Pointer[discovery.Instance]
	id       string
	key      uint64        // the hash of its id
	since    atomic.Int64  // when it was first seen, or came back into rotation; monotonic
	gone     time.Duration // when discovery lost it; 0: it is there. Guarded by the service's lock

	told   told   // by the server and by other clients
	shared shared // with other clients
}

// average is an exponentially weighted moving average. Concurrent updates may
// lose one another, which an average does not mind.
type average struct{ bits atomic.Uint64 }

func (a *average) value() float64 { return math.Float64frombits(a.bits.Load()) }

func (a *average) set(v float64) { a.bits.Store(math.Float64bits(v)) }

func (a *average) move(v, alpha float64) {
	old := a.value()
	a.set(old + alpha*(v-old))
}

func newNode(s *service, in *discovery.Instance, now time.Duration) *Node {
	n := &Node{id: in.ID, key: hash(in.ID)}
	n.guard(s)
	n.instance.Store(in)
	n.since.Store(int64(now))
	n.learnt.success.set(1)
	n.learnt.observed.set(1)
	n.learnt.accepted.set(1)
	n.told.weight.set(1)
	n.told.slower.set(1)
	if s.o.share != nil {
		n.shared.sketch = &sketch{}
	}
	n.crowds(s, now)
	n.rate(s)
	return n
}

// Instance returns what discovery knows. It must not be changed.
func (n *Node) Instance() *discovery.Instance { return n.instance.Load() }

// InFlight is how many picks are open.
func (n *Node) InFlight() int {
	return int(max(n.inFlight[0].Load(), 0) + max(n.inFlight[1].Load(), 0))
}

// Latency is the average latency, 0 before the first answer.
func (n *Node) Latency() time.Duration { return time.Duration(n.learnt.latency.value()) }

// Success is the average success, from 0 to 1.
func (n *Node) Success() float64 { return n.learnt.success.value() }

// weight is the static weight, reduced while the node is new, and scaled by
// what others say.
func (n *Node) weight(now, slowStart time.Duration) float64 {
	w := 1.0
	if in := n.instance.Load(); in.Weight > 0 {
		w = float64(in.Weight)
	}
	w *= n.told.weight.value()
	if age := now - time.Duration(n.since.Load()); age < slowStart {
		w *= max(0.1, float64(age)/float64(slowStart))
	}
	return w
}

// done takes in an outcome. again says that it answers a call that was made
// because the node had not been asked for long.
func (n *Node) done(sv *service, o Outcome, again bool) {
	if o.Class >= classes {
		o.Class = ServerError
	}
	n.learnt.outcomes[o.Class].Add(1)
	changed := n.told.report(o.Load)
	if o.Class == Cancelled { // says nothing about the node
		return
	}
	if n.learnt.succeed(o.Class.Failed()) {
		changed = true
	}
	if n.learnt.accept(o.Class == Overload) {
		changed = true
	}
	if o.Latency > 0 {
		if n.shared.sketch != nil {
			n.shared.sketch[bucket(o.Latency)].Add(1)
		}
		n.learnt.took(sv, float64(o.Latency), o.Class.Failed(), again)
		changed = true
	}
	if changed {
		n.rate(sv)
	}
}

// hash is that of a text (FNV-1a with a final avalanche).
func hash(text string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 0x100000001b3
	}
	return mix(h)
}

// mix is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
