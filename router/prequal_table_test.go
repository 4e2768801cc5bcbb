package router_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
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

// kept is an answer as a simple model of the pool keeps it.
type kept struct {
	id            string
	load, latency float64
	at, uses      int
}

func (a kept) better(b kept, hot float64) bool {
	switch ah, bh := a.load >= hot, b.load >= hot; {
	case ah != bh:
		return bh
	case ah && a.load != b.load:
		return a.load < b.load
	}
	return a.latency < b.latency
}

// Which answer is chosen, which are dropped for others, and which when: as a model
// of it says, call by call.
func TestPrequalsPoolFollowsItsModel(t *testing.T) {
	for _, c := range []struct {
		perCall float64
		size    int
		uses    int
	}{{1, 4, 8}, {2, 4, 3}, {3, 2, 1}, {3, 6, 2}, {8, 3, 1}} {
		var pool []kept
		at, odd, compared := 0, false, 0
		rnd := rand.New(rand.NewPCG(uint64(c.size), 9))
		drop := func(i int) { pool = slices.Delete(pool, i, i+1) }
		var clock *time.Duration
		w, clock := probed(t, 3, 20, router.Probing{PerCall: c.perCall, Pool: c.size, Quantile: .6, MaxAge: time.Hour}, func(_ context.Context, in *discovery.Instance) (router.Load, error) {
			at++
			*clock += time.Microsecond
			pool = slices.DeleteFunc(pool, func(a kept) bool { return a.id == in.ID })
			if at%11 == 0 {
				return router.Load{}, errors.New("no answer")
			}
			if len(pool) >= c.size {
				oldest := 0
				for i := range pool {
					if pool[i].at < pool[oldest].at {
						oldest = i
					}
				}
				drop(oldest)
			}
			a := kept{in.ID, float64(rnd.IntN(4)), float64(1 + rnd.IntN(5)), at, c.uses}
			pool = append(pool, a)
			return router.Load{InFlight: a.load, Latency: time.Duration(a.latency)}, nil
		})
		for call := range 400 {
			want := ""
			if len(pool) >= 2 {
				var loads []float64
				for _, a := range pool {
					loads = append(loads, a.load)
				}
				slices.Sort(loads)
				hot, best := loads[min(int(.6*float64(len(loads))), len(loads)-1)], 0
				for i := range pool {
					if pool[i].better(pool[best], hot) {
						best = i
					}
				}
				want = pool[best].id
				pool[best].load++
				pool[best].uses--
				if pool[best].uses == 0 {
					drop(best)
				}
				if len(pool) >= c.size {
					worst := 0
					for i := range pool {
						if odd && pool[i].at < pool[worst].at || !odd && pool[worst].better(pool[i], hot) {
							worst = i
						}
					}
					odd = !odd
					drop(worst)
				}
			}
			p := w.pick(t)
			if want != "" && p.Instance.ID != want {
				t.Fatalf("%+v, call %d: it went to %s, want %s", c, call, p.Instance.ID, want)
			}
			if want != "" {
				compared++
			}
			p.Done(router.Outcome{Class: router.Cancelled})
		}
		if compared < 300 {
			t.Errorf("%+v: only %d of 400 calls were by an answer", c, compared)
		}
	}
}
