package router_test

import (
	"math"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// reporting makes calls that all take as long, on servers that say how much
// they have in flight.
func reporting(t *testing.T, w *world, n int, inFlight map[string]float64) map[string]int {
	return w.shares(t, n, func(id string) router.Outcome {
		return router.Outcome{Latency: 10 * time.Millisecond, Load: router.Load{InFlight: inFlight[id], Reported: true}}
	})
}

func TestServerThatSaysItGotBusierIsChosenLess(t *testing.T) {
	w := start(t)
	w.nodes(t, 2)
	reporting(t, w, 200, map[string]float64{"n0000": 4, "n0001": 4})
	// At once: before its answers are slower.
	got := reporting(t, w, 40, map[string]float64{"n0000": 30, "n0001": 4})
	if got["n0000"] > 15 {
		t.Errorf("%d of 40 calls went to the server that got busier", got["n0000"])
	}
}

func TestServerThatAlwaysSaysTheSameChangesNothing(t *testing.T) {
	w := start(t)
	w.nodes(t, 2)
	got := reporting(t, w, 1000, map[string]float64{"n0000": 0, "n0001": 100})
	if got["n0000"] < 400 || got["n0000"] > 600 {
		t.Errorf("of 1000 calls %v: what is slow shows in the latency, not in what is in flight", got)
	}
}

func TestReportsThatMakeNoSenseAreBounded(t *testing.T) {
	for _, lie := range []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, math.MaxFloat64} {
		w := start(t)
		w.nodes(t, 2)
		reporting(t, w, 100, map[string]float64{"n0000": 1, "n0001": 1})
		reporting(t, w, 10, map[string]float64{"n0000": lie, "n0001": 1})
		// Its cost is at most four times as high, or a quarter: calls in
		// flight at the other one outweigh that.
		var open []router.Pick
		chosen := false
		for range 8 {
			p := w.pick(t)
			chosen = chosen || p.Instance.ID == "n0000"
			open = append(open, p)
		}
		for _, p := range open {
			p.Done(router.Outcome{Class: router.Cancelled})
		}
		if !chosen {
			t.Errorf("a report of %v takes all calls away", lie)
		}
	}
}
