package router

import (
	"math"
	"slices"
	"sync/atomic"
	"time"
)

// abroad is how many nodes of other zones are drawn beside those at home.
const abroad = 2

// circuit is how long an aperture takes to move through all nodes.
const circuit = 10 * time.Second

// table is how nodes are drawn: those of this client's zone, and some of
// others.
type table struct{ drawn atomic.Pointer[drawing] }

// drawing is what to draw from. Home is all that is near if there is nothing
// of this client's zone.
type drawing struct{ home, away, whole segment }

// fill prepares the draws. Nodes that are the last choice, and what lies beyond
// the aperture, are not drawn.
func (t *table) fill(r *Request, nodes []*Node) {
	all := 0
	for all < len(nodes) && !nodes[all].lastChoice() { // those stand at the end
		all++
	}
	home := near(nodes)
	d := &drawing{home: newSegment(r, nodes, 0, min(home, max(r.Aperture, 1))), away: newSegment(r, nodes, home, all-home)}
	d.whole = d.home
	if d.away.n > 0 {
		d.whole = newSegment(r, nodes, 0, all)
	}
	t.drawn.Store(d)
}

// draw adds up to d nodes, and some of other zones, none of them twice.
func (t *table) draw(r *Request, d int, out []int) []int {
	all := t.drawn.Load()
	switch {
	case r.spilled:
		return all.whole.draw(r, d, out)
	case all.away.n == 0:
		return all.home.draw(r, d, out)
	}
	return all.away.draw(r, abroad, all.home.draw(r, d, out))
}

// segment is nodes in a row.
type segment struct {
	from, n int
	slots   []slot // of an alias table; none if turns are enough to respect the weights
}

// unlike is how far weights must be from their mean, as a part of it, for nodes
// to be drawn by them.
const unlike = 0.1

func newSegment(r *Request, nodes []*Node, from, n int) segment {
	s := segment{from: from, n: n}
	weights, sum := make([]float64, n), 0.0
	for i := range weights {
		weights[i] = r.Weight(nodes[from+i])
		sum += weights[i]
	}
	off := 0.0
	for _, w := range weights {
		off += math.Abs(w - sum/float64(n))
	}
	if off > unlike*sum {
		s.slots = alias(weights)
	}
	return s
}

// draw adds up to d of the segment's nodes: all, if there are no more; of nodes
// of like weight those of the aperture as it stands now; else any, each as
// often as it weighs.
func (s *segment) draw(r *Request, d int, out []int) []int {
	switch {
	case s.n == 0:
		return out
	case s.n <= d:
		return s.row(r.Random(s.n), s.n, out) // so that equals share
	case s.slots != nil:
		return s.some(r, d, out)
	}
	start := int(uint64(r.now%circuit) * uint64(s.n) / uint64(circuit))
	window := min(max(int(r.service.window.Load()), d), s.n)
	if window == d {
		return s.row(start, d, out)
	}
	return s.spread(r, start, window, d, out)
}

// spread adds one random node of each of d parts of a window, so that none is
// drawn twice.
func (s *segment) spread(r *Request, start, window, d int, out []int) []int {
	from := 0
	for k := 1; k <= d; k++ {
		to := k * window / d
		j := start + from + r.Random(to-from)
		if j >= s.n {
			j -= s.n
		}
		out, from = append(out, s.from+j), to
	}
	return out
}

// row adds d nodes in a row.
func (s *segment) row(start, d int, out []int) []int {
	for i := range d {
		j := start + i
		if j >= s.n {
			j -= s.n
		}
		out = append(out, s.from+j)
	}
	return out
}

// some adds up to d nodes, each as often as it weighs.
func (s *segment) some(r *Request, d int, out []int) []int {
	first := len(out)
	for range d {
		if j := s.from + s.weighted(r); !slices.Contains(out[first:], j) {
			out = append(out, j)
		}
	}
	return out
}

// weighted draws one node as often as it weighs.
func (s *segment) weighted(r *Request) int {
	x := r.Random(s.n << 16)
	if slot := s.slots[x>>16]; uint32(x&0xffff) >= slot.own {
		return int(slot.other)
	}
	return x >> 16
}

// slot is one column of an alias table (Walker, 1974; Vose, 1991): it is drawn
// as often as any, and stands for itself up to own of 2^16, else for another.
type slot struct{ own, other uint32 }

func alias(weights []float64) []slot {
	sum, n := 0.0, float64(len(weights))
	for _, w := range weights {
		sum += w
	}
	slots := make([]slot, len(weights))
	var small, large []int
	for i := range weights {
		weights[i] *= n / sum
		if weights[i] < 1 {
			small = append(small, i)
		} else {
			large = append(large, i)
		}
	}
	for len(small) > 0 && len(large) > 0 {
		i, j := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		slots[i] = slot{uint32(weights[i] * (1 << 16)), uint32(j)}
		weights[j] -= 1 - weights[i]
		if weights[j] < 1 {
			large = large[:len(large)-1]
			small = append(small, j)
		}
	}
	for _, i := range append(small, large...) { // what is left is one, but for rounding
		slots[i] = slot{1 << 16, uint32(i)}
	}
	return slots
}
