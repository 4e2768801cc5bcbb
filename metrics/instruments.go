package metrics

import (
	"context"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/traced"
)

// counter is one series of a counter.
type counter struct {
	n       atomic.Uint64
	invalid *atomic.Uint64
}

func (c *counter) Inc() { c.n.Add(1) }

func (c *counter) Add(n int64) {
	if n < 0 {
		c.invalid.Add(1)
		return
	}
	c.n.Add(uint64(n))
}

// gauge is one series of a gauge.
type gauge struct {
	bits    atomic.Uint64
	invalid *atomic.Uint64
}

func (g *gauge) Set(v float64) {
	if !finite(v) {
		g.invalid.Add(1)
		return
	}
	g.bits.Store(math.Float64bits(v))
}

func (g *gauge) Add(d float64) {
	for {
		old := g.bits.Load()
		v := math.Float64frombits(old) + d
		if !finite(v) {
			g.invalid.Add(1)
			return
		}
		if g.bits.CompareAndSwap(old, math.Float64bits(v)) {
			return
		}
	}
}

func (g *gauge) value() float64 { return math.Float64frombits(g.bits.Load()) }

// histogram is one series of a histogram. The number of observations is the
// sum of the buckets, so that one observation is two atomic writes.
type histogram struct {
	bounds  []float64
	buckets []atomic.Uint64 // one more than bounds
	sum     atomic.Uint64   // bits of a float64
	samples []*reservoir    // one for each driver that sends samples
	invalid *atomic.Uint64
	native  *exponential // nil without WithNativeHistograms
	exemplars
}

func (h *histogram) Observe(v float64) { h.observe(v) }

func (h *histogram) ObserveContext(ctx context.Context, v float64) {
	i := h.observe(v)
	if i < 0 {
		return
	}
	if trace, span, ok := traced.IDs(ctx); ok {
		h.keep(i, len(h.buckets), v, trace, span)
	}
}

// observe returns the index of v's bucket, below 0 for a value that is ignored.
func (h *histogram) observe(v float64) int {
	if !finite(v) {
		h.invalid.Add(1)
		return -1
	}
	i := h.bucket(v)
	if h.native == nil {
		h.count(i, v)
	} else { // a snapshot has the same in both kinds of buckets
		h.native.mu.Lock()
		h.native.add(v)
		h.count(i, v)
		h.native.mu.Unlock()
	}
	for _, r := range h.samples {
		r.add(v)
	}
	return i
}

// count counts v in bucket i.
func (h *histogram) count(i int, v float64) {
	h.buckets[i].Add(1)
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			return
		}
	}
}

func (h *histogram) ObserveSince(t time.Time) { h.Observe(time.Since(t).Seconds()) }

// bucket returns the index of the first bound that v is not above.
func (h *histogram) bucket(v float64) int {
	if len(h.bounds) > 24 {
		i, _ := slices.BinarySearch(h.bounds, v)
		return i
	}
	for i, b := range h.bounds {
		if v <= b {
			return i
		}
	}
	return len(h.bounds)
}

func finite(v float64) bool { return v-v == 0 }

// nothing is every instrument that was refused.
type nothing struct{}

func (nothing) Inc()                   {}
func (nothing) ObserveSince(time.Time) {}

type (
	noCounter   struct{ nothing }
	noGauge     struct{ nothing }
	noHistogram struct{ nothing }
)

func (noCounter) Add(int64)         {}
func (noGauge) Set(float64)         {}
func (noGauge) Add(float64)         {}
func (noHistogram) Observe(float64) {}

func (noHistogram) ObserveContext(context.Context, float64) {}
