package metrics

import (
	"math"
	"slices"
	"sync"
)

// Native is a histogram of exponential buckets: Prometheus' native histogram
// and OpenTelemetry's exponential histogram. With base = 2^(2^-Scale), bucket i
// holds the values above base^i up to base^(i+1), and on the negative side their
// negatives. Scale is at most 8, where buckets grow by .3 %, and becomes less as
// the values spread, so that each side has at most 160 buckets.
type Native struct {
	Scale     int
	ZeroCount uint64 // of observations of exactly 0
	Positive  NativeBuckets
	Negative  NativeBuckets
}

// NativeBuckets is a side of a Native.
type NativeBuckets struct {
	Offset int      // which bucket Counts begins with
	Counts []uint64 // not cumulative
}

const (
	maxScale   = 8
	maxNatives = 160
)

// Since returns what n has more than before, a state of the same series.
func (n *Native) Since(before *Native) *Native {
	if before == nil {
		return n
	}
	scale := min(n.Scale, before.Scale)
	now, was := n.at(scale), before.at(scale)
	now.ZeroCount -= was.ZeroCount
	now.Positive.subtract(was.Positive)
	now.Negative.subtract(was.Negative)
	return now
}

// at returns a copy with a scale that is not above n's.
func (n *Native) at(scale int) *Native {
	w := exponential{scale: n.Scale, zero: n.ZeroCount, positive: window{n.Positive.Offset, slices.Clone(n.Positive.Counts)},
		negative: window{n.Negative.Offset, slices.Clone(n.Negative.Counts)}}
	w.coarsen(n.Scale - scale)
	return w.copy()
}

func (b *NativeBuckets) subtract(was NativeBuckets) {
	for i, c := range was.Counts {
		if at := was.Offset + i - b.Offset; at >= 0 && at < len(b.Counts) {
			b.Counts[at] -= c
		}
	}
}

// exponential counts observations in a Native.
type exponential struct {
	ends               *ends
	mu                 sync.Mutex // held for whole observations
	scale              int
	zero               uint64
	positive, negative window
}

// window is the buckets between the first and the last that have something.
type window struct {
	start  int
	counts []uint64
}

// add counts v. e.mu is held.
func (e *exponential) add(v float64) {
	side, index := &e.positive, 0
	switch {
	case v == 0:
		e.zero++
		return
	case v < 0:
		side, v = &e.negative, -v
	}
	index = e.ends.finest(v) >> (maxScale - e.scale)
	if over := side.over(index); over > 0 {
		e.coarsen(over)
		index >>= over
	}
	side.add(index)
}

// over returns by how much the scale must become less for a bucket to fit in.
func (w *window) over(index int) (by int) {
	if len(w.counts) == 0 {
		return 0
	}
	low, high := min(w.start, index), max(w.start+len(w.counts)-1, index)
	for high-low >= maxNatives {
		low, high, by = low>>1, high>>1, by+1
	}
	return by
}

func (w *window) add(index int) {
	switch last := w.start + len(w.counts) - 1; {
	case len(w.counts) == 0:
		w.start, w.counts = index, append(w.counts, 0)
	case index < w.start:
		w.counts = slices.Insert(w.counts, 0, make([]uint64, w.start-index)...)
		w.start = index
	case index > last:
		w.counts = append(w.counts, make([]uint64, index-last)...)
	}
	w.counts[index-w.start]++
}

// coarsen makes one bucket of each 2^by.
func (e *exponential) coarsen(by int) {
	e.scale -= by
	for _, w := range []*window{&e.positive, &e.negative} {
		if by == 0 || len(w.counts) == 0 {
			continue
		}
		start := w.start >> by
		for i, c := range w.counts {
			to := (w.start+i)>>by - start
			w.counts[i] = 0
			w.counts[to] += c
		}
		w.counts = w.counts[:(w.start+len(w.counts)-1)>>by-start+1]
		w.start = start
	}
}

func (e *exponential) copy() *Native {
	return &Native{Scale: e.scale, ZeroCount: e.zero, Positive: NativeBuckets{e.positive.start, slices.Clone(e.positive.counts)},
		Negative: NativeBuckets{e.negative.start, slices.Clone(e.negative.counts)}}
}

// ends are the upper ends, in [½, 1), of the buckets of the finest scale, and
// for each 512th between ½ and 1 the first that is not below it.
type ends struct {
	at    [1 << maxScale]float64
	first [1 << maxScale]uint16
}

var bounds = sync.OnceValue(func() *ends {
	var e ends
	for i := range e.at {
		e.at[i] = math.Exp2(float64(i)/(1<<maxScale) - 1)
	}
	for i := range e.first {
		n, _ := slices.BinarySearch(e.at[:], .5+float64(i)/(2<<maxScale))
		e.first[i] = uint16(n)
	}
	return &e
})

// finest returns the bucket of a positive value at the finest scale. Those of
// the others are its halves, so that all agree about every value.
func (e *ends) finest(v float64) int {
	frac, exp := math.Frexp(v)
	i := int(e.first[int((frac-.5)*(2<<maxScale))])
	for i < len(e.at) && e.at[i] < frac {
		i++
	}
	return (exp-1)<<maxScale + i - 1
}
