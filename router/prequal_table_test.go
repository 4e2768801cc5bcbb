package router_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// How many probes a call sends: what does not make a whole one is left to the next,
// and eight are the most.
func TestHowManyProbesACallSends(t *testing.T) {
	for _, c := range []struct {
		perCall float64
		want    int // for a hundred calls
	}{{0, 300}, {.25, 25}, {1, 100}, {1.5, 150}, {8, 800}, {9, 800}, {100, 800}} {
		sent := 0
		w, _ := probed(t, 7, 6, router.Probing{PerCall: c.perCall}, func(context.Context, *discovery.Instance) (router.Load, error) {
			sent++
			return router.Load{Latency: time.Millisecond}, nil
		})
		for range 100 {
			w.pick(t).Done(router.Outcome{Class: router.Cancelled})
		}
		if sent != c.want {
			t.Errorf("%v for each call: %d probes for a hundred, want %d", c.perCall, sent, c.want)
		}
	}
}

// Probes go to all that may be chosen, and calls to none that may not, whatever its
// probes say.
func TestWhoIsProbed(t *testing.T) {
	probes := map[string]int{}
	w, clock := probed(t, 7, 6, router.Probing{}, func(_ context.Context, in *discovery.Instance) (router.Load, error) {
		probes[in.ID]++
		if in.ID == "n0000" || in.ID == "n0001" {
			return router.Load{Latency: time.Microsecond}, nil
		}
		return router.Load{InFlight: 5, Latency: time.Second}, nil
	})
	others := router.Exclude("n0001")
	w.shares(t, 200, ok)
	if len(probes) != 6 {
		t.Fatalf("%v were probed, want all", probes)
	}
	w.called(t, "n0000", "5*t1") // it is ejected
	clear(probes)
	got := w.shares(t, 200, ok, others)
	if got["n0000"] != 0 || got["n0001"] != 0 || probes["n0000"] != 0 || probes["n0001"] != 0 || len(got) != 4 {
		t.Errorf("one is ejected and one excluded: calls went to %v, and probes to %v", got, probes)
	}
	*clock += time.Minute
	w.shares(t, 5, ok) // its trial
	if got := w.shares(t, 200, ok); got["n0001"] == 0 {
		t.Errorf("afterwards calls went to %v", got)
	}
}

// How often an answer is used, if no other comes: as the paper has it, and eight times
// if probes are fewer than calls use up.
func TestHowOftenAnAnswerIsUsed(t *testing.T) {
	for _, c := range []struct {
		instances int
		p         router.Probing
		want      int
	}{{8, router.Probing{PerCall: 1}, 8}, {8, router.Probing{PerCall: 3}, 4}, {8, router.Probing{PerCall: 2}, 8}, {20, router.Probing{PerCall: 3, Pool: 2}, 1}, {20, router.Probing{PerCall: 3, Pool: 10}, 4}} {
		most := 0
		for seed := range uint64(20) {
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				hangs := false
				w := client(t, c.instances, seededBy(seed), router.WithStrategy(router.Prequal(func(ctx context.Context, in *discovery.Instance) (router.Load, error) {
					mu.Lock()
					silent := hangs
					mu.Unlock()
					if silent {
						<-ctx.Done()
						return router.Load{}, ctx.Err()
					}
					if in.ID == "n0000" {
						return router.Load{Latency: time.Millisecond}, nil
					}
					return router.Load{InFlight: 100, Latency: time.Second}, nil
				}, router.Probing{PerCall: c.p.PerCall, Pool: c.p.Pool, Quantile: 1, MaxAge: time.Hour, Timeout: time.Hour})))
				for range 60 {
					w.pick(t).Done(router.Outcome{Class: router.Cancelled})
					synctest.Wait()
				}
				mu.Lock()
				hangs = true
				mu.Unlock()
				n := 0
				for w.picked(t) == "n0000" {
					n++
				}
				most = max(most, n)
			})
		}
		if most < c.want-1 || most > c.want+1 { // one more by least cost, one less by chance
			t.Errorf("%+v of %d: the best answer was used %d times, want %d", c.p, c.instances, most, c.want)
		}
	}
}
