package router

import "time"

// costing is what a call to a node costs, worked out from what is known of it
// whenever that changes, so that choices only have to compare.
type costing struct {
	base  average // of an idle node, nanoseconds; negative for a stranger
	crowd average // the mean weight in the node's: what a call in flight counts, and a turn
}

// noise is the latency below which differences mean nothing.
const noise = float64(time.Millisecond)

// distance is what a call to another zone costs more.
const distance = 2

// prior is how many calls the usual latency counts for, against a node's own.
const prior = 5

// costs is what one more call to the node would cost: lower is better. Weights
// tell how many calls it can hold, so that they count when it is busy; how
// often equal ones are chosen is decided by turns.
func (n *Node) costs(r *Request) float64 {
	base := n.cost.base.value()
	if base < 0 || n.away.Load() {
		base = n.special(r, base)
	}
	return base * (float64(n.InFlight())*n.cost.crowd.value() + 1)
}

// unknown is what more calls to a stranger cost while the first is under way:
// more than any other.
const unknown = 1e100

// special is the base cost of a stranger, or of a node in another zone.
func (n *Node) special(r *Request, base float64) float64 {
	if base < 0 { // one call at a time tells how it is
		if n.InFlight() > 0 {
			return unknown
		}
		base = -base
	}
	if !r.spilled && n.away.Load() {
		base *= distance
	}
	return base
}

// rate works out base: the latency, as far as it means something, more for
// failures, for refusals, and for what the server says.
func (n *Node) rate(sv *service) {
	base := n.based(sv) * n.told.busier()
	if success := n.learnt.success.value(); success < 1 {
		base /= max(success*success, 1e-4)
	}
	if accepted := n.learnt.accepted.value(); accepted < 1 {
		base *= 1 + refusal*(1-accepted)/max(accepted, 1e-4)
	}
	if base != n.cost.base.value() { // a store costs much more than a load
		n.cost.base.set(base)
	}
}

// refusal is how many calls that are answered one costs that is refused. It is
// sent again, or lost, while others would have had room: that is worth more than
// what an answer takes longer there.
const refusal = 10

// based is the latency that a node is known by: negative for a stranger, whose
// is the usual one. The fewer calls it is the average of, the more it is moved
// towards what is usual.
func (n *Node) based(sv *service) float64 {
	usual, lat := sv.usual.value(), n.learnt.latency.value()
	expected := usual * n.told.slower.value()
	if lat == 0 {
		return -max(expected, noise)
	}
	k := float64(n.learnt.samples.Load())
	if k < enough {
		lat = (k*lat + prior*expected) / (k + prior)
	}
	if k < prior {
		return max(min(lat, few*max(usual, expected)), noise)
	}
	return max(sv.trust.shrink(lat, usual, k), noise)
}

// few is how many times what is usual a node costs at most of which fewer calls
// than prior are known: less than what its turn makes up for, so that it is
// chosen again.
const few = 1.15

// crowds works out crowd.
func (n *Node) crowds(sv *service, now time.Duration) {
	n.cost.crowd.set(sv.weight.value() / n.weight(now, time.Duration(sv.slowStart.Load())))
}
