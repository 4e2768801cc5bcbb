package page

import (
	"time"

	"github.com/micro/go-platform/monitor"
)

// quantile estimates a quantile of calls that were counted in several places,
// each with the weight of its calls: a slow instance that gets few calls is a
// small part of its service. Between the quantiles that are known the calls are
// taken to be spread evenly.
func quantile(all []monitor.Counts, q float64) time.Duration {
	var calls, most float64
	for _, c := range all {
		calls += float64(c.Calls)
		most = max(most, float64(c.Max), float64(c.P99))
	}
	if calls == 0 {
		return 0
	}
	low, high := 0.0, most
	for range 40 {
		middle := (low + high) / 2
		var below float64
		for _, c := range all {
			below += float64(c.Calls) * share(c, middle)
		}
		if below < q*calls {
			low = middle
		} else {
			high = middle
		}
	}
	return time.Duration(high)
}

// share is how much of the calls took less than d.
func share(c monitor.Counts, d float64) float64 {
	last, at := 0.0, 0.0
	for _, k := range []struct {
		share float64
		at    time.Duration
	}{{.5, c.P50}, {.95, c.P95}, {.99, c.P99}, {1, max(c.Max, c.P99)}} {
		next := float64(k.at)
		if d < next {
			return last + (k.share-last)*(d-at)/(next-at)
		}
		last, at = k.share, next
	}
	return 1
}
