package router

import (
	"math"
	"sync/atomic"
)

// learnt is what this client has seen of a node by its own calls.
type learnt struct {
	latency  average       // nanoseconds; 0 before the first answer
	samples  atomic.Uint32 // of the latency, up to enough
	success  average       // from 0 to 1
	observed average       // likewise, as calls alone have it: what others are told does not fade while nobody asks
	accepted average       // likewise of what was not refused for lack of capacity, lately
	lastPick atomic.Int64  // about when it was last chosen; monotonic
	outcomes [classes]atomic.Uint64
}

// How fast the averages follow. The latency's is per sample, since averages
// that decay by time go stale or jump when traffic is sparse.
const (
	latencyAlpha  = 0.05
	successAlpha  = 0.05
	observedAlpha = 0.2              // faster: who fails is avoided, so that few calls have to tell it
	enough        = 1 / latencyAlpha // samples for the average to be one
)

// outlier is how many times what is usual a sample counts at most: one answer
// that took long must not decide for long.
const outlier = 4

// recovered is how many times what is usual a node may take that is asked again
// after a long time, to be taken for one that is well.
const recovered = 1.5

// succeed takes in whether a call failed, and reports whether that changed
// anything.
func (l *learnt) succeed(failed bool) bool {
	if !failed && l.success.value() == 1 && l.observed.value() == 1 {
		return false
	}
	l.success.follow(failed, successAlpha)
	l.observed.follow(failed, observedAlpha)
	return true
}

// follow takes a call into an average of successes.
func (a *average) follow(failed bool, alpha float64) {
	switch {
	case failed:
		a.move(0, alpha)
	case a.value() > 0.9999:
		a.set(1)
	default:
		a.move(1, alpha)
	}
}

// accept takes in whether a call was refused, and reports whether that changed
// anything.
func (l *learnt) accept(refused bool) bool {
	if !refused && l.accepted.value() == 1 {
		return false
	}
	l.accepted.follow(refused, successAlpha)
	return true
}

// took takes in how long a call took. again says that it was made because the
// node had not been asked for long.
func (l *learnt) took(sv *service, lat float64, failed, again bool) {
	old, k, usual := l.latency.value(), l.samples.Load(), sv.usual.value()
	switch {
	case failed && lat <= old, failed && old == 0: // a fast failure must not make it attractive
		return
	case old == 0: // the first call pays for cold caches, here and there: it is not counted
		l.latency.set(lat)
		sv.usual.bits.CompareAndSwap(0, math.Float64bits(lat))
		return
	}
	if k < enough {
		l.samples.Add(1)
	}
	if k == 0 && usual > 0 { // what the first call took says nothing
		old = usual
	}
	lat = min(lat, outlier*max(usual, old))
	if k >= prior && !failed {
		sv.trust.sample(old, lat, usual)
	}
	switch {
	case again && !failed && lat < old && lat <= recovered*usual:
		l.latency.set(lat)
		l.samples.Store(1)
	case again: // what was known is stale
		l.latency.move(lat, 0.5)
	case k >= enough:
		l.latency.move(lat, latencyAlpha)
	default:
		l.latency.move(lat, 1/float64(k+1))
	}
}
