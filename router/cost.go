package router

import (
	"math"
	"time"
)

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
	base, in := n.cost.base.value(), float64(n.InFlight())
	if base < 0 { // one call at a time tells how it is
		if in > 0 {
			return math.MaxFloat64
		}
		base = -base
	}
	if !r.spilled && n.away.Load() {
		base *= distance
	}
	return base * (in*n.cost.crowd.value() + 1)
}

// rate works out base: the latency, as far as it means something, more for
// failures and for what the server says.
func (n *Node) rate(sv *service) {
	usual := sv.usual.value()
	success := max(n.learnt.success.value(), 0.01)
	scale := n.told.busier() / (success * success)
	lat := n.learnt.latency.value()
	if lat == 0 {
		n.cost.base.set(-max(usual*n.told.slower.value(), noise) * scale)
		return
	}
	if k := float64(n.learnt.samples.Load()); k < enough {
		if k < prior {
			lat = min(lat, recent*usual)
		}
		lat = (k*lat + prior*n.told.slower.value()*usual) / (k + prior)
	}
	n.cost.base.set(max(sv.trust.shrink(lat, usual), noise) * scale)
}

// recent is how many times what is usual the average of few calls may say.
const recent = 2

// crowds works out crowd.
func (n *Node) crowds(sv *service, now time.Duration) {
	n.cost.crowd.set(sv.weight.value() / n.weight(now, time.Duration(sv.slowStart.Load())))
}
