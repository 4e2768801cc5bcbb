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
	n atomic.Uint64
	s *series
}

func (c *counter) Inc() {
	if c.n.Add(1) >= gone {
		c.revive(1)
	}
}

func (c *counter) Add(n int64) {
	if n < 0 {
		c.s.invalid()
		return
	}
	if c.n.Add(uint64(n)) >= gone {
		c.revive(uint64(n))
	}
}

// revive finds where the n belongs that was added to a freed counter.
func (c *counter) revive(n uint64) {
	f := c.s.family
	defer f.registry.words.tell()
	f.mu.Lock()
	other := c.s.back()
	if other != nil {
		c.n.Add(-n)
	}
	f.mu.Unlock()
	if other != nil {
		other.counter.Add(int64(n))
	}
}

// gauge is one series of a gauge.
type gauge struct {
	bits atomic.Uint64
	s    *series
}

func (g *gauge) Set(v float64) {
	if !finite(v) {
		g.s.invalid()
		return
	}
	if g.bits.Swap(math.Float64bits(v)) == goneGauge {
		g.revive(Gauge.Set)
	}
}

func (g *gauge) Add(d float64) {
	for {
		old := g.bits.Load()
		v := d
		if old != goneGauge {
			v += math.Float64frombits(old)
		}
		if !finite(v) {
			g.s.invalid()
			return
		}
		if g.bits.CompareAndSwap(old, math.Float64bits(v)) {
			if old == goneGauge {
				g.revive(Gauge.Add)
			}
			return
		}
	}
}

// revive finds where the value belongs that a freed gauge has now.
func (g *gauge) revive(do func(Gauge, float64)) {
	f := g.s.family
	defer f.registry.words.tell()
	f.mu.Lock()
	other := g.s.back()
	var bits uint64
	if other != nil {
		bits = g.bits.Swap(goneGauge)
	}
	f.mu.Unlock()
	if other != nil && bits != goneGauge {
		do(other.gauge, math.Float64frombits(bits))
	}
}

// histogram is one series of a histogram. The number of observations is the
// sum of the buckets, so that one observation is two atomic writes.
type histogram struct {
	s       *series
	bounds  []float64
	buckets []atomic.Uint64 // one more than bounds
	sum     atomic.Uint64   // bits of a float64
	samples []*reservoir    // one for each driver that sends samples
	native  *exponential    // nil without WithNativeHistograms
	exemplars
}

func (h *histogram) Observe(v float64) { h.observe(v) }

func (h *histogram) ObserveContext(ctx context.Context, v float64) {
	in, i := h.observe(v)
	if in == nil {
		return
	}
	if trace, span, ok := traced.IDs(ctx); ok {
		in.keep(i, len(in.buckets), v, trace, span)
	}
}

// observe returns the histogram and the bucket that counted v; nil for a value
// that is ignored.
func (h *histogram) observe(v float64) (in *histogram, bucket int) {
	if !finite(v) {
		h.s.invalid()
		return nil, 0
	}
	i := h.bucket(v)
	if h.native != nil {
		h.native.mu.Lock() // a snapshot has the same in both kinds of buckets
	}
	freed := h.buckets[i].Add(1) >= gone
	if freed {
		if h.native != nil {
			h.native.mu.Unlock()
		}
		if other := h.revive(i); other != nil {
			return other.observe(v)
		}
		if h.native != nil {
			h.native.mu.Lock()
		}
	}
	for {
		old := h.sum.Load()
		if h.sum.CompareAndSwap(old, math.Float64bits(math.Float64frombits(old)+v)) {
			break
		}
	}
	if h.native != nil {
		h.native.add(v)
		h.native.mu.Unlock()
	}
	for _, r := range h.samples {
		r.add(v)
	}
	return h, i
}

// revive returns the histogram that takes what was counted in a bucket of a
// freed one; nil for h itself.
func (h *histogram) revive(bucket int) (in *histogram) {
	f := h.s.family
	defer f.registry.words.tell()
	f.mu.Lock()
	defer f.mu.Unlock()
	other := h.s.back()
	if other == nil {
		return nil
	}
	h.buckets[bucket].Add(^uint64(0))
	return other.histogram
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

func (s *series) invalid() { s.family.registry.invalid.Add(1) }

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
