package router

import "time"

// choices is how many nodes LeastCost draws. More than two help, since costs
// are known to this client alone and herds need shared knowledge.
const choices = 5

// LeastCost draws five nodes of this client's aperture and takes the one with
// the least cost: average latency × (calls in flight + 1) ÷ success² ÷ weight,
// times how much busier the server says it has become (Outcome.Load).
// It is the power of d choices (Mitzenmacher, 2001) over what Finagle and Envoy
// call an aperture: a client keeps to as many nodes as its own load needs, so
// that it knows the ones it uses well.
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

func (s leastCost) Chooser() Chooser { return s }

func (s leastCost) Choose(r *Request, nodes []*Node) int {
	k := min(max(r.Aperture, 1), len(nodes))
	best, least := -1, 0.0
	start := r.Random(k) // so that equals share
	for i := range min(s.d, k) {
		j := start + i
		if k > s.d {
			j = r.Random(k)
		} else if j >= k {
			j -= k
		}
		n := nodes[j]
		if j == best || !r.Usable(n) {
			continue
		}
		// What was learnt long ago is asked for again, now and then.
		if idle := r.now - time.Duration(n.lastPick.Load()); idle > r.force && n.InFlight() == 0 {
			return j
		}
		if c := n.cost(r); best < 0 || c < least {
			best, least = j, c
		}
	}
	if best < 0 {
		return another(r, nodes)
	}
	return best
}
