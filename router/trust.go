package router

import (
	"math"
	"sync"
)

// trust is how far the averages of the nodes are followed. Instances that are
// equal have averages that differ by chance and foretell nothing: they are taken
// for equal, also until enough is known. Those that differ, or queue, are told
// apart: then the regression of what a call took on what the average of its
// node said before, both in what is usual, has a slope that chance does not
// explain.
//
// A slope would move averages towards what is usual as the estimator of James
// and Stein (1961) does, with the least error. But to choose the best of some
// is another question than to estimate each: once they differ for certain,
// shrunk averages cost percentiles.
type trust struct {
	part average // of the averages' difference from what is usual, from 0 to 1

	mu    sync.Mutex
	sum   moments
	taken int // samples, since the part was last worked out
}

// moments are sums over the samples, of which older ones count less.
type moments struct{ n, x, y, xx, xy, yy float64 }

const (
	fading     = 0.99 // what is left of the sums after a second
	shifted    = 1.5  // times what was usual: samples from before say nothing
	often      = 64   // the part is worked out after so many samples, too
	fewest     = 8    // that say anything
	deviations = 4    // of the slope that may be chance: it is looked at often, and calls vary a lot
	student    = 100  // how many samples make that twice as many, as Student's t does
	proof      = 0.05 // of slope beyond chance, for averages to be followed wholly
)

// sample takes in a call, and what the average was before it. Samples that
// come at the same moment may be lost.
func (t *trust) sample(before, took, usual float64) {
	x, y := min(before/usual-1, 1), min(took/usual, outlier)-1
	if !t.mu.TryLock() {
		return
	}
	s := &t.sum
	s.n, s.x, s.y, s.xx, s.xy, s.yy = s.n+1, s.x+x, s.y+y, s.xx+x*x, s.xy+x*y, s.yy+y*y
	t.taken++
	if t.taken >= often {
		t.fit()
	}
	t.mu.Unlock()
}

// refresh works out the part, and lets old samples count less, once a second.
func (t *trust) refresh() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fit()
	s := &t.sum
	for _, v := range []*float64{&s.n, &s.x, &s.y, &s.xx, &s.xy, &s.yy} {
		*v *= fading
	}
}

// drop forgets the samples, which were parts of what was usual then.
func (t *trust) drop() {
	t.mu.Lock()
	t.sum, t.taken = moments{}, 0
	t.mu.Unlock()
}

// fit works out the part. The lock is held.
func (t *trust) fit() {
	t.taken = 0
	s := &t.sum
	xx, xy, yy := s.xx-s.x*s.x/s.n, s.xy-s.x*s.y/s.n, s.yy-s.y*s.y/s.n
	if s.n < fewest || xx <= 0 {
		return
	}
	slope := xy / xx
	deviation := math.Sqrt(max(yy-slope*xy, 0) / (s.n - 2) / xx)
	chance := deviations * (1 + student/s.n) * deviation
	t.part.set(min(max((slope-chance)/proof, 0), 1))
}

// shrink moves an average towards what is usual by as much as it is not
// trusted. What is beyond twice the usual is no chance, if the average is one of
// enough calls, and somewhat more of k that are fewer.
func (t *trust) shrink(lat, usual, k float64) float64 {
	x, chance := lat/usual-1, 1+prior*(1/k-1/enough)
	return usual * (1 + t.part.value()*min(x, chance) + max(x-chance, 0))
}
