package router

import (
	"math"
	"sync/atomic"
	"time"
)

// Random takes any node, with equal chances.
func Random() Strategy { return plain{"random", func() Chooser { return random{} }} }

// RoundRobin takes the nodes in turn.
func RoundRobin() Strategy { return plain{"round robin", func() Chooser { return &roundRobin{} }} }

// WeightedRoundRobin takes the nodes in turn, each as often as its weight
// says, spread evenly.
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

// weighted goes round the nodes and passes over each as often as its weight,
// in that of the heaviest, says: without a lock, and in a few steps whatever
// their number (the static stride scheduler of gRPC).
type weighted struct {
	next  atomic.Uint64
	round atomic.Pointer[round]
}

// round is the weights of some nodes at a time, the heaviest being heaviest.
type round struct {
	nodes   []*Node
	weights []uint64
	at      time.Duration
}

const heaviest = 1<<16 - 1

func (s *weighted) Choose(r *Request, nodes []*Node) int {
	w := s.round.Load()
	if w == nil || r.now-w.at >= tick || len(w.nodes) != len(nodes) || &w.nodes[0] != &nodes[0] {
		w = newRound(r, nodes)
		s.round.Store(w)
	}
	n := uint64(len(nodes))
	for range max(4*n, 256) { // more steps are for weights that differ a hundredfold
		next := s.next.Add(1) - 1
		i, turn := next%n, next/n
		if (w.weights[i]*turn+i*(heaviest/2))%heaviest < heaviest-w.weights[i] {
			continue
		}
		if r.Usable(nodes[i]) {
			return int(i)
		}
	}
	return another(r, nodes)
}

func newRound(r *Request, nodes []*Node) *round {
	w := &round{nodes: nodes, weights: make([]uint64, len(nodes)), at: r.now}
	top := 0.0
	for _, n := range nodes {
		top = max(top, r.Weight(n))
	}
	for i, n := range nodes {
		w.weights[i] = max(uint64(math.Round(heaviest*r.Weight(n)/top)), 1)
	}
	return w
}

type leastLoaded struct{}

func (leastLoaded) Choose(r *Request, nodes []*Node) int {
	a := another(r, nodes)
	b := another(r, nodes)
	if a == b { // or there is none
		return a
	}
	load := func(i int) float64 { return float64(nodes[i].InFlight()+1) / r.Weight(nodes[i]) }
	if load(b) < load(a) {
		return b
	}
	return a
}
