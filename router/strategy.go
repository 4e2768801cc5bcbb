package router

import (
	"math/bits"
	"time"

	"github.com/micro/go-platform/internal/life"
)

// Strategy chooses one of several nodes. A value belongs to one router; New
// asks for one Chooser per service and set of labels.
type Strategy interface {
	// Chooser returns what chooses among the nodes of one subset.
	Chooser() Chooser
	// String names the strategy.
	String() string
}

// starter is a Strategy that works in the background, or has options to check.
type starter interface {
	start(o *options, l *life.Life) error
}

// Chooser chooses. It is called concurrently, on the path of every request: it
// must not lock for long or allocate.
type Chooser interface {
	// Choose returns the index of one of the nodes, of which there is at least
	// one. It passes over nodes for which r.Usable is false if it can. An index
	// that isn't there is none: any node in rotation is taken then.
	Choose(r *Request, nodes []*Node) int
}

// Request is one choice to be made.
type Request struct {
	Key      uint64 // the hash of Key's text
	HasKey   bool
	Aperture int // how many of the nodes, from the first, this client needs for its load
	Panic    bool

	service       *service
	now           time.Duration
	random        uint64
	again         bool // the node was chosen since nobody had asked it for long
	last          bool // the last choices may be chosen
	spilled       bool // other zones are as near as this one
	exclude       []string
	method        string
	breaker       int  // which of a node's breakers is asked
	heed, guarded bool // whether what they say counts; whether any is not closed, too
}

// Random returns a number in [0, n).
func (r *Request) Random(n int) int {
	r.random = r.random*6364136223846793005 + 1442695040888963407 // Knuth's; the high bits are good
	hi, _ := bits.Mul64(r.random, uint64(n))
	return int(hi)
}

// chance is a random number from 0 to 1.
func (r *Request) chance() float64 { return float64(r.Random(1<<53)) / (1 << 53) }

// Usable reports whether a node is in rotation and was not excluded. One that
// is about to leave, or has expired, is only if there is no other.
func (r *Request) Usable(n *Node) bool {
	if !r.Panic && n.out(r.now) || !r.last && n.lastChoice() {
		return false
	}
	if r.guarded && !n.ready(r) {
		return false
	}
	for _, id := range r.exclude {
		if id == n.id {
			return false
		}
	}
	return true
}

// Weight is the node's weight as it counts now.
func (r *Request) Weight(n *Node) float64 {
	return n.weight(r.now, time.Duration(r.service.slowStart.Load()))
}

// Cost is what a call to the node would cost: lower is better.
func (r *Request) Cost(n *Node) float64 { return n.costs(r) }

// another returns the first usable node from a random place on, or -1.
func another(r *Request, nodes []*Node) int {
	start := r.Random(len(nodes))
	for i := range nodes {
		j := start + i
		if j >= len(nodes) {
			j -= len(nodes)
		}
		if r.Usable(nodes[j]) {
			return j
		}
	}
	return -1
}
