package router

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
)

// Node is one instance and what this client has learnt of it. It lives as long
// as discovery knows the instance, and some time longer, so that an instance
// that comes back is not a stranger. Its methods are safe for concurrent use.
type Node struct {
	// What every choice reads comes first, to be in few lines of the cache.
	inFlight [2]atomic.Int32 // by the parity of the lease's epoch
	latency  average         // nanoseconds
	scale    average         // what the latency is multiplied with to be a cost, see rescale
	lastPick atomic.Int64    // about
	health   health
	breakers []atomic.Pointer[Breaker] // of each method, see service.method; none if there are to be none

	instance atomic.Pointer[discovery.Instance]
	id       string
	key      uint64        // the hash of its id
	order    uint64        // its place in this client's order of instances
	since    atomic.Int64  // when it was first seen, or came back into rotation; monotonic
	gone     time.Duration // when discovery lost it; 0: it is there. Guarded by the service's lock

	outcomes [classes]atomic.Uint64
	samples  atomic.Uint32 // of the latency, until there are enough
	success  average
	load     average     // what the server reported as in flight lately, 0 if it doesn't
	usual    average     // the same over as many answers as the latency's average
	away     atomic.Bool // it is in another zone than this client

	// What others say of it, and what was told them: see share.go.
	view   average // what its weight is multiplied with
	slower average // its latency, in the usual one
	sketch *sketch // of its latencies; nil if nothing is shared
	told   [classes]uint64
	voted  bool // told and voted are guarded by the service's lock
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

// How fast the averages follow. The latency's is per sample, since averages
// that decay by time go stale or jump when traffic is sparse.
const (
	latencyAlpha = 0.05
	successAlpha = 0.05
	loadAlpha    = 0.3              // of the reports', which are to tell what has changed
	enough       = 1 / latencyAlpha // samples for the average to be one
)

// noise is the latency below which differences mean nothing: what is faster
// shares evenly.
const noise = float64(time.Millisecond)

// awayFactor is what a call to another zone costs more.
const awayFactor = 2

// prior is how many calls the usual latency counts for, against a node's own.
const prior = 5

func newNode(s *service, in *discovery.Instance, now time.Duration) *Node {
	n := &Node{id: in.ID, key: hash(0, in.ID)}
	n.order = mix(n.key ^ s.o.client)
	n.guard(s)
	n.instance.Store(in)
	n.since.Store(int64(now))
	n.success.set(1)
	n.view.set(1)
	n.slower.set(1)
	if s.o.share != nil {
		n.sketch = &sketch{}
	}
	return n
}

// Instance returns what discovery knows. It must not be changed.
func (n *Node) Instance() *discovery.Instance { return n.instance.Load() }

// InFlight is how many picks are open.
func (n *Node) InFlight() int {
	return int(max(n.inFlight[0].Load(), 0) + max(n.inFlight[1].Load(), 0))
}

// Latency is the average latency, 0 before the first answer.
func (n *Node) Latency() time.Duration { return time.Duration(n.latency.value()) }

// Success is the average success, from 0 to 1.
func (n *Node) Success() float64 { return n.success.value() }

// weight is the static weight, reduced while the node is new, and scaled by
// what others say.
func (n *Node) weight(now, slowStart time.Duration) float64 {
	w := 1.0
	if in := n.instance.Load(); in.Weight > 0 {
		w = float64(in.Weight)
	}
	w *= n.view.value()
	if age := now - time.Duration(n.since.Load()); age < slowStart {
		w *= max(0.1, float64(age)/float64(slowStart))
	}
	return w
}

// cost is what one more call to the node would cost: lower is better.
func (n *Node) cost(r *Request) float64 {
	lat, in := n.latency.value(), float64(n.InFlight())
	if lat == 0 { // a stranger: one call at a time tells how it is
		if in > 0 {
			return math.MaxFloat64
		}
		lat = r.mean * n.slower.value()
	}
	return max(lat, noise) * (in + 1) * n.scale.value()
}

// rescale works out, for all choices until something changes, what makes the
// node's latency its cost: failures, weight and distance.
func (n *Node) rescale(sv *service, now time.Duration) {
	s := max(n.success.value(), 0.01)
	scale := 1 / (s * s * n.weight(now, time.Duration(sv.slowStart.Load())))
	if n.away.Load() {
		scale *= awayFactor
	}
	if n.usual.value() > 0 {
		scale *= n.busier()
	}
	// What a few calls say is mixed with what is usual: the first ones pay for
	// connections and cold caches.
	if k, lat := float64(n.samples.Load()), n.latency.value(); k > 0 && k < enough && lat > 0 {
		scale *= (k + prior*n.slower.value()*sv.mean.value()/lat) / (k + prior)
	}
	if scale != n.scale.value() {
		n.scale.set(scale)
	}
}

// reported takes in what the server says of itself, and whether it says
// anything.
func (n *Node) reported(l Load) bool {
	if !l.Reported || !(l.InFlight >= 0) {
		return false
	}
	in := min(l.InFlight, 1e6)
	if n.usual.value() == 0 {
		n.load.set(in)
		n.usual.set(in)
	}
	n.load.move(in, loadAlpha)
	n.usual.move(in, latencyAlpha)
	return true
}

// busier is how much longer a call takes than those that the latency is the
// average of, as far as the server's reports tell: processor sharing makes it
// grow with what is in flight. A server that always says the same changes
// nothing.
func (n *Node) busier() float64 { return bounded((n.load.value() + 1) / (n.usual.value() + 1)) }

// done takes in an outcome.
func (n *Node) done(sv *service, o Outcome) {
	if o.Class >= classes {
		o.Class = ServerError
	}
	n.outcomes[o.Class].Add(1)
	stale := n.reported(o.Load)
	if o.Class == Cancelled { // says nothing about the node
		return
	}
	failed := o.Class.Failed()
	switch s := n.success.value(); {
	case failed:
		n.success.move(0, successAlpha)
		stale = true
	case s > 0.9999:
		if s != 1 {
			n.success.set(1)
			stale = true
		}
	default:
		n.success.move(1, successAlpha)
		stale = true
	}
	if lat := float64(o.Latency); lat > 0 {
		if n.sketch != nil {
			n.sketch[bucket(o.Latency)].Add(1)
		}
		switch old := n.latency.value(); {
		case failed && lat < old: // a fast failure must not make it attractive
		case old == 0 && failed: // nor a first one
		case old == 0:
			n.latency.set(lat)
		case n.samples.Load() >= enough:
			n.latency.move(lat, latencyAlpha)
		default: // the first call pays for the connection: it must not weigh for long
			n.latency.move(lat, 1/float64(n.samples.Load()+1))
		}
		if n.samples.Load() < enough {
			n.samples.Add(1)
			stale = true
		}
	}
	if stale {
		n.rescale(sv, sv.o.now())
	}
}

// hash mixes a seed and a text (FNV-1a with a final avalanche).
func hash(seed uint64, text string) uint64 {
	h := seed ^ 0xcbf29ce484222325
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
