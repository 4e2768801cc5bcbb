package router

import (
	"math"
	"time"
)

// choices is how many nodes LeastCost compares.
const choices = 12

// fair is by how much a node may cost more that was passed over catchUp times
// in its turn: averages of what varies differ by chance, and whoever follows
// them blindly sends everything to the luckiest.
const (
	fair    = 0.2
	catchUp = 16
)

// LeastCost takes the one of twelve nodes that costs least: average latency ×
// (calls in flight + 1) ÷ success², more for what it refused lately (Overload),
// times how much busier the server says it
// has become (Outcome.Load). Nodes that cost about the same take turns, by
// weight: equal ones get equal work, and heavier ones as much more as they
// weigh.
//
// It is the power of d choices (Mitzenmacher, 2001) with the earliest deadline
// first among equals, over an aperture as Finagle and Envoy have it, which
// moves on through all instances every ten seconds: a client compares as few
// of them at a time as its own load needs, so that it knows them well.
//
// What is known of an instance that is no longer chosen grows stale: its
// failures fade, and a few calls in a thousand, at the most, ask it again.
func LeastCost() Strategy { return leastCost{choices} }

// PowerOfTwo is LeastCost with two choices.
func PowerOfTwo() Strategy { return leastCost{2} }

type leastCost struct{ d int }

func (s leastCost) String() string {
	if s.d == 2 {
		return "power of two"
	}
	return "least cost"
}

func (s leastCost) Chooser() Chooser { return &costChooser{d: s.d} }

// costChooser chooses among the nodes of one subset.
type costChooser struct {
	d      int
	draws  table
	turns  []average // of each node: how often it was chosen, in calls of a node of mean weight
	latest average   // turn that a call got
}

// refresh prepares the draws for what the nodes' weights and the aperture are.
func (c *costChooser) refresh(r *Request, nodes []*Node) {
	if c.turns == nil {
		c.turns = make([]average, len(nodes))
	}
	c.draws.fill(r, nodes)
}

func (c *costChooser) Choose(r *Request, nodes []*Node) int {
	var space [choices + abroad]int
	drawn := c.draws.draw(r, c.d, space[:0])
	best, least := -1, math.Inf(1)
	latest, stale := c.latest.value(), time.Duration(r.service.stale.after.Load())
	for _, i := range drawn {
		n := nodes[i]
		in := n.InFlight()
		base := n.cost.base.value() // as costs does it, which the compiler does not inline
		if in == 0 && n.learnt.idle(r.now) > stale && r.renews(n, base) {
			r.again = true
			return c.take(n, i)
		}
		if base < 0 || n.away.Load() {
			base = n.special(r, base)
		}
		if cost := base * (float64(in)*n.cost.crowd.value() + 1) * c.turn(i, latest); cost < least {
			best, least = i, cost
		}
	}
	if best >= 0 && !r.Usable(nodes[best]) { // which is asked of the others only then
		best = c.usable(r, nodes, drawn)
	}
	if best < 0 {
		return another(r, nodes)
	}
	return c.take(nodes[best], best)
}

// turn is what a node's cost is multiplied with, for the turns it was passed over.
func (c *costChooser) turn(i int, latest float64) float64 {
	late := latest - c.turns[i].value()
	if late > catchUp {
		late = catchUp
	}
	return 1 - fair/catchUp*late
}

// usable is the node of least cost among those that may be chosen, or -1.
func (c *costChooser) usable(r *Request, nodes []*Node, drawn []int) int {
	best, least := -1, math.Inf(1)
	for _, i := range drawn {
		if !r.Usable(nodes[i]) {
			continue
		}
		if cost := nodes[i].costs(r) * c.turn(i, c.latest.value()); cost < least {
			best, least = i, cost
		}
	}
	return best
}

// take gives the node its turn.
func (c *costChooser) take(n *Node, i int) int {
	latest := c.latest.value()
	turn := max(c.turns[i].value(), latest-catchUp)
	if turn > latest {
		c.latest.set(turn)
	}
	c.turns[i].set(turn + n.cost.crowd.value())
	return i
}
