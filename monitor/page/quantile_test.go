package page

import (
	"testing"
	"time"

	"github.com/micro/go-platform/monitor"
)

func TestQuantileWeighsInstancesByTheirCalls(t *testing.T) {
	const ms = time.Millisecond
	fast := monitor.Counts{Calls: 990, P50: 1 * ms, P95: 2 * ms, P99: 3 * ms, Max: 4 * ms}
	slow := monitor.Counts{Calls: 10, P50: 100 * ms, P95: 110 * ms, P99: 120 * ms, Max: 130 * ms}
	for _, c := range []struct {
		all       []monitor.Counts
		q         float64
		low, high time.Duration
	}{
		{nil, .99, 0, 0},
		{[]monitor.Counts{{}}, .5, 0, 0},
		{[]monitor.Counts{fast}, .5, 1 * ms, 1 * ms},
		{[]monitor.Counts{fast}, .99, 3 * ms, 3 * ms},
		{[]monitor.Counts{fast, fast}, .95, 2 * ms, 2 * ms},
		{[]monitor.Counts{fast, slow}, .95, 2 * ms, 3 * ms},
		{[]monitor.Counts{fast, slow}, .99, 3 * ms, 5 * ms},
		{[]monitor.Counts{fast, slow}, .999, 100 * ms, 130 * ms},
		{[]monitor.Counts{{Calls: 1, P50: ms, P95: ms, P99: ms, Max: ms}}, .5, ms / 2, ms},
	} {
		got := quantile(c.all, c.q)
		if got < c.low-time.Microsecond || got > c.high+time.Microsecond {
			t.Errorf("%v of %d: got %v, want %v to %v", c.q, len(c.all), got, c.low, c.high)
		}
	}
}
