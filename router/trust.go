package router

import (
	"math"
	"sync"
)

// trust is how far the averages of the nodes have foretold the calls that
// followed: the slope of the regression of what a call took on what the
// average of its node said before, both in what is usual, less twice its
// standard error. Instances that are
// equal have averages that differ by chance, foretell nothing, and are moved
// together; those that differ, or queue, are told apart (the estimator of
// James and Stein, 1961).
type trust struct {
	slope average // from 0 to 1

	mu  sync.Mutex
	sum moments
}

// moments are sums over the samples, of which older ones count less.
type moments struct{ n, x, y, xx, xy, yy float64 }

// fading is what is left of the sums after a second.
const fading = 0.99

// sample takes in a call, and what the average was before it. Samples that
// come at the same moment may be lost.
func (t *trust) sample(before, took, usual float64) {
	x, y := min(before/usual-1, 1), took/usual-1
	if !t.mu.TryLock() {
		return
	}
	s := &t.sum
	s.n, s.x, s.y, s.xx, s.xy, s.yy = s.n+1, s.x+x, s.y+y, s.xx+x*x, s.xy+x*y, s.yy+y*y
	t.mu.Unlock()
}

// refresh works out the slope, once a second.
func (t *trust) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := &t.sum
	if s.n < 3 {
		return
	}
	xx, xy, yy := s.xx-s.x*s.x/s.n, s.xy-s.x*s.y/s.n, s.yy-s.y*s.y/s.n
	if xx > 0 {
		slope := xy / xx
		deviation := math.Sqrt(max(yy-slope*xy, 0) / (s.n - 2) / xx)
		t.slope.set(min(max(slope-3*deviation, 0), 1))
	}
	for _, v := range []*float64{&s.n, &s.x, &s.y, &s.xx, &s.xy, &s.yy} {
		*v *= fading
	}
}

// shrink moves an average towards what is usual by as much as it is not
// trusted. What is beyond twice the usual is no chance.
func (t *trust) shrink(lat, usual float64) float64 {
	x := lat/usual - 1
	return usual * (1 + t.slope.value()*min(x, 1) + max(x-1, 0))
}
