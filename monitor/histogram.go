package monitor

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets of a histogram are log-linear: eight to each doubling, from
// 1 µs to about an hour, so that a bucket's upper bound is at most 12.5 % above
// its lower one. Bucket 0 holds what is below, the last what is above.
const (
	perDoubling = 8
	doublings   = 32
	bucketCount = perDoubling*doublings + 1
)

// histogram counts durations. All its methods are safe for concurrent use;
// a reader may see a call in one number and not yet in another.
type histogram struct {
	errors  atomic.Uint64
	sum     atomic.Int64
	max     atomic.Int64
	buckets [bucketCount]atomic.Uint32
}

func bucketOf(d time.Duration) int {
	us := uint64(max(d, 0)) / uint64(time.Microsecond)
	if us < perDoubling {
		return int(us) // the first eight microseconds one by one
	}
	exp := bits.Len64(us) - 4 // us >> exp is in [8, 16)
	return min((exp+1)*perDoubling+int(us>>exp)-perDoubling, bucketCount-1)
}

// upper is the largest duration that bucketOf puts into bucket i, in whole
// microseconds.
func upper(i int) time.Duration {
	if i < perDoubling {
		return time.Duration(i+1)*time.Microsecond - 1
	}
	exp, rest := i/perDoubling-1, i%perDoubling
	return time.Duration(uint64(perDoubling+rest+1)<<exp)*time.Microsecond - 1
}

func (h *histogram) add(d time.Duration, failed bool) {
	d = max(d, 0)
	h.buckets[bucketOf(d)].Add(1)
	h.sum.Add(int64(d))
	for m := h.max.Load(); int64(d) > m && !h.max.CompareAndSwap(m, int64(d)); m = h.max.Load() {
	}
	if failed {
		h.errors.Add(1)
	}
}

func (h *histogram) reset() {
	h.errors.Store(0)
	h.sum.Store(0)
	h.max.Store(0)
	for i := range h.buckets {
		h.buckets[i].Store(0)
	}
}

// distribution is a sum of histograms, for one reader.
type distribution struct {
	calls, errors uint64
	sum, max      int64
	buckets       [bucketCount]uint64
}

func (d *distribution) add(h *histogram) {
	for i := range h.buckets {
		n := uint64(h.buckets[i].Load())
		d.buckets[i] += n
		d.calls += n
	}
	d.errors += h.errors.Load()
	d.sum += h.sum.Load()
	d.max = max(d.max, h.max.Load())
}

func (d *distribution) counts(over time.Duration) Counts {
	return Counts{
		Calls: d.calls, Errors: d.errors, Over: over, Sum: time.Duration(d.sum), Max: time.Duration(d.max),
		P50: d.quantile(0.50), P95: d.quantile(0.95), P99: d.quantile(0.99),
	}
}

func (d *distribution) quantile(q float64) time.Duration {
	rank := max(uint64(q*float64(d.calls)+0.999999), 1)
	for i, n := range d.buckets {
		if n >= rank {
			return min(upper(i), time.Duration(d.max))
		}
		rank -= n
	}
	return time.Duration(d.max)
}
