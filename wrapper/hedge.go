package wrapper

import (
	"errors"
	"math"
	"sync/atomic"
	"time"
)

// HedgePolicy sends an idempotent call to another instance when the answer of
// the first takes longer than usual, and takes the answer that comes first
// (Dean and Barroso, The Tail at Scale, 2013).
type HedgePolicy struct {
	// Quantile of the latencies seen so far after which a call is hedged: 0.95
	// hedges about one call of twenty. Required.
	Quantile float64 `json:"quantile,omitempty"`
	// Min is the shortest wait before a hedge; 0 means 1 ms.
	Min time.Duration `json:"min,omitempty"`
	// Ratio is the share of calls that may be hedges, over about 10 s; 0 means
	// 0.05. In an outage, when every call is late, that is what stops hedges.
	Ratio float64 `json:"ratio,omitempty"`
}

func (p HedgePolicy) validate() error {
	if !(p.Quantile > 0 && p.Quantile < 1) || p.Min < 0 || !(p.Ratio >= 0 && p.Ratio <= 1) {
		return errors.New("hedge policy out of range")
	}
	return nil
}

func (p HedgePolicy) withDefaults() HedgePolicy {
	orDefault(&p.Min, time.Millisecond)
	orDefault(&p.Ratio, 0.05)
	return p
}

// usual follows a quantile of the latencies of a service: a sample above moves
// it up a little, one below down, so that it rests where the quantile is.
type usual struct {
	bits  atomic.Uint64 // of the estimate, in nanoseconds
	count atomic.Uint32
	q     float64
	*budget
}

const (
	usualStep   = 0.05
	usualSample = 20 // latencies before the estimate counts
)

func (u *usual) add(d time.Duration) {
	old := math.Float64frombits(u.bits.Load())
	if u.count.Load() < usualSample {
		u.count.Add(1)
		u.bits.Store(math.Float64bits(max(old, float64(d))))
		return
	}
	if float64(d) > old {
		old *= 1 + usualStep*u.q
	} else {
		old *= 1 - usualStep*(1-u.q)
	}
	u.bits.Store(math.Float64bits(old))
}

// after returns how long to wait before a hedge, if one may come at all.
func (u *usual) after(least time.Duration) (time.Duration, bool) {
	return max(time.Duration(math.Float64frombits(u.bits.Load())), least), u.count.Load() >= usualSample
}
