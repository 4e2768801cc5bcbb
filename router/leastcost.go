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
// (calls in flight + 1) ÷ success², times how much busier the server says it
// has become (Outcome.Load). Nodes that cost about the same take turns, by
// weight: equal ones get equal work, and heavier ones as much more as they
// weigh.
//
// It is the power of d choices (Mitzenmacher, 2001) with the earliest deadline
// first among equals, over an aperture as Finagle and Envoy have it, which
// moves on through all instances every ten seconds: a client compares as few
// of them at a time as its own load needs, so that it knows them well.
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
	best, least := -1, math.Inf(1)
	latest := c.latest.value()
	for _, i := range c.draws.draw(r, c.d, space[:0]) {
		n := nodes[i]
		if !r.Usable(n) {
			continue
		}
		// What was learnt long ago is asked for again, now and then.
		if idle := r.now - time.Duration(n.learnt.lastPick.Load()); idle > r.force && n.InFlight() == 0 {
			r.again = true
			return c.take(n, i)
		}
		late := min((latest-c.turns[i].value())/catchUp, 1)
		if cost := n.costs(r) * (1 - fair*late); cost < least || best < 0 {
			best, least = i, cost
		}
	}
	if best < 0 {
		return another(r, nodes)
	}
	return c.take(nodes[best], best)
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
