package router

import (
	"slices"
	"sync"
	"sync/atomic"
)

// Random takes any node, with equal chances.
func Random() Strategy { return plain{"random", func() Chooser { return random{} }} }

// RoundRobin takes the nodes in turn.
func RoundRobin() Strategy { return plain{"round robin", func() Chooser { return &roundRobin{} }} }

// WeightedRoundRobin takes the nodes in turn, each as often as its weight
// says, spread evenly (the smooth weighted rule of nginx).
func WeightedRoundRobin() Strategy {
	return plain{"weighted round robin", func() Chooser { return &weighted{} }}
}

// LeastLoaded takes the one of two nodes that has fewer calls of this client
// in flight for its weight.
func LeastLoaded() Strategy { return plain{"least loaded", func() Chooser { return leastLoaded{} }} }

type plain struct {
	name string
	make func() Chooser
}

func (p plain) String() string   { return p.name }
func (p plain) Chooser() Chooser { return p.make() }

type random struct{}

func (random) Choose(r *Request, nodes []*Node) int { return another(r, nodes) }

type roundRobin struct{ next atomic.Uint64 }

func (s *roundRobin) Choose(r *Request, nodes []*Node) int {
	for range nodes {
		if i := int((s.next.Add(1) - 1) % uint64(len(nodes))); r.Usable(nodes[i]) {
			return i
		}
	}
	return -1
}

type weighted struct {
	mu      sync.Mutex
	credit  map[*Node]float64
	members []*Node
}

func (s *weighted) Choose(r *Request, nodes []*Node) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.members, nodes) {
		credit := make(map[*Node]float64, len(nodes))
		for _, n := range nodes {
			credit[n] = s.credit[n]
		}
		s.members, s.credit = nodes, credit
	}
	best, total := -1, 0.0
	for i, n := range nodes {
		if !r.Usable(n) {
			continue
		}
		w := r.Weight(n)
		total += w
		s.credit[n] += w
		if best < 0 || s.credit[n] > s.credit[nodes[best]] {
			best = i
		}
	}
	if best >= 0 {
		s.credit[nodes[best]] -= total
	}
	return best
}

type leastLoaded struct{}

func (leastLoaded) Choose(r *Request, nodes []*Node) int {
	a := another(r, nodes)
	b := another(r, nodes)
	if a < 0 || a == b {
		return a
	}
	load := func(i int) float64 { return float64(nodes[i].InFlight()+1) / r.Weight(nodes[i]) }
	if load(b) < load(a) {
		return b
	}
	return a
}
