package router_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

// Hash sends a key to the best instance for it that has no more than its share in
// flight; to the best of all if every one has.
func TestHashFillsInstancesInTheKeysOrder(t *testing.T) {
	for _, bound := range []float64{0, 1, 1.25, 2} {
		for k := range 12 {
			w, _ := still(t, fleet(5), router.WithStrategy(router.Hash(bound)))
			key := router.Key(fmt.Sprint("key", k))
			var order []string
			for range 5 {
				p := w.pick(t, key, router.Exclude(order...))
				order = append(order, p.Instance.ID)
				p.Done(router.Outcome{Class: router.Cancelled})
			}
			if unique := slices.Compact(slices.Sorted(slices.Values(order))); len(unique) != 5 {
				t.Fatalf("key %d prefers %v", k, order)
			}
			in := map[string]int{}
			for call := range 30 {
				limit, want := max(bound*float64(call+1)/5, 1), ""
				for _, id := range order {
					if bound == 0 || float64(in[id]+1) <= limit {
						want = id
						break
					}
				}
				if want == "" {
					want = order[0]
				}
				got := w.pick(t, key).Instance.ID
				if got != want {
					t.Fatalf("bound %v, key %d, call %d: it went to %s, want %s: %v of %v", bound, k, call, got, want, in, order)
				}
				in[got]++
			}
		}
	}
	w, _ := still(t, fleet(5), router.WithStrategy(router.Hash(0)), seeded())
	if got := w.shares(t, 500, ok); len(got) != 5 {
		t.Errorf("without a key calls went to %v", got)
	}
}

// LeastLoaded takes the one of two that has fewer calls in flight for its weight.
func TestLeastLoadedByWeight(t *testing.T) {
	for _, c := range []struct {
		weights, inFlight [2]int
		least, most       int // calls of 1000 of the first, which is drawn alone in a quarter of the cases
	}{
		{[2]int{1, 1}, [2]int{0, 5}, 700, 800}, {[2]int{1, 1}, [2]int{5, 0}, 200, 300}, {[2]int{1, 1}, [2]int{5, 5}, 450, 550},
		{[2]int{10, 1}, [2]int{5, 0}, 700, 800}, {[2]int{10, 1}, [2]int{10, 0}, 200, 300}, {[2]int{1, 10}, [2]int{0, 5}, 200, 300},
	} {
		all := fleet(2)
		all[0].Weight, all[1].Weight = c.weights[0], c.weights[1]
		w, _ := still(t, all, seeded(), router.WithStrategy(router.LeastLoaded()))
		for i, n := range c.inFlight {
			for range n {
				w.pick(t, only(2, fmt.Sprintf("n%04d", i)))
			}
		}
		if got := w.shares(t, 1000, ok)["n0000"]; got < c.least || got > c.most {
			t.Errorf("weights %v with %v in flight: the first got %d of 1000, want %d to %d", c.weights, c.inFlight, got, c.least, c.most)
		}
	}
}

// part is a strategy that shows another one a part of the instances.
type part struct {
	router.Strategy
	from, to *int
}

type partly struct {
	router.Chooser
	from, to *int
}

func (s part) Chooser() router.Chooser { return partly{s.Strategy.Chooser(), s.from, s.to} }
func (c partly) Choose(r *router.Request, nodes []*router.Node) int {
	i := c.Chooser.Choose(r, nodes[*c.from:*c.to])
	if i < 0 {
		return i
	}
	return *c.from + i
}

// Weights are those of the instances that are shown, whoever shows them.
func TestWeightedRoundRobinOfParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := fleet(3)
		for i := range all {
			all[i].Weight = []int{1, 3, 9}[i]
		}
		from, to := 0, 3
		w, _, _ := listed(t, all, 0, router.WithStrategy(part{router.WeightedRoundRobin(), &from, &to}))
		for _, window := range [][2]int{{0, 3}, {0, 2}, {1, 3}, {0, 1}, {2, 3}, {0, 3}} {
			from, to = window[0], window[1]
			got, weight := w.shares(t, 1300, ok), 0
			for _, in := range all {
				if got[in.ID] > 0 {
					weight += in.Weight
				}
			}
			if len(got) != to-from {
				t.Errorf("of %v: calls went to %v", window, got)
			}
			for _, in := range all {
				if want := 1300 * in.Weight / weight; got[in.ID] > 0 && (got[in.ID] < want-3 || got[in.ID] > want+3) {
					t.Errorf("of %v: %s of weight %d got %d calls, want about %d", window, in.ID, in.Weight, got[in.ID], want)
				}
			}
		}
	})
}

// Weights that change count with the next second.
func TestWeightedRoundRobinFollowsWeights(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, clock, list := listed(t, fleet(3), 0, router.WithStrategy(router.WeightedRoundRobin()), router.WithSlowStart(2*time.Second))
		clock.forward(time.Minute)
		w.pick(t).Done(ok(""))
		list(fleet(4), 0)
		for _, c := range []struct {
			after time.Duration
			want  int // of 620
		}{{0, 20}, {time.Second - 1, 20}, {1, 620 / 7}, {time.Second, 155}, {time.Hour, 155}} {
			clock.forward(c.after)
			if got := w.shares(t, 620, ok)["n0003"]; got < c.want-3 || got > c.want+3 {
				t.Errorf("%v later the new one got %d of 620 calls, want about %d", c.after, got, c.want)
			}
		}
	})
}

// LeastCost compares among as many instances as twice the calls that are in flight by
// what is usual; at the least twelve. They move on through all in ten seconds.
func TestHowManyInstancesLeastCostUses(t *testing.T) {
	for _, c := range []struct {
		calls     int // in a second
		instances int
		want      int
	}{{100, 40, 12}, {1800, 40, 12}, {2200, 40, 14}, {3900, 40, 24}, {10_000, 40, 40}, {3900, 20, 20}, {100, 12, 12}, {100, 13, 12}, {100, 5, 5}} {
		w, clock := still(t, fleet(c.instances), seeded())
		for i := range c.instances {
			w.called(t, fmt.Sprintf("n%04d", i), fmt.Sprintf("%d*10", c.calls/c.instances))
		}
		clock.forward(time.Second)
		now := w.shares(t, 1000, ok)
		if got := len(now); got < c.want || got > c.want+2 {
			t.Errorf("%d calls a second to %d instances: %d are used in a moment, want %d", c.calls, c.instances, got, c.want)
		}
		if again := w.shares(t, 1000, ok); len(again) != len(now) {
			t.Errorf("%d calls a second: at the same time %d are used, then %d", c.calls, len(now), len(again))
		}
		all := map[string]bool{}
		for range 10 {
			for id := range w.shares(t, 200, ok) {
				all[id] = true
			}
			clock.forward(900 * time.Millisecond)
		}
		if len(all) != c.instances {
			t.Errorf("%d calls a second: %d of %d instances are used within ten seconds", c.calls, len(all), c.instances)
		}
	}
}

// Instances that weigh much more than others are drawn as much more often.
func TestHeavyInstancesAreDrawnOften(t *testing.T) {
	for _, s := range []func() router.Strategy{router.LeastCost, router.PowerOfTwo} {
		all := fleet(60)
		for i := range all {
			all[i].Weight = 1
			if i < 6 {
				all[i].Weight = 50
			}
		}
		w, _ := still(t, all, seeded(), router.WithStrategy(s()))
		for _, in := range all {
			w.called(t, in.ID, "30*10")
		}
		got, heavy := w.shares(t, 3540, ok), 0
		for _, in := range all[:6] {
			heavy += got[in.ID]
			if n := got[in.ID]; n < 400 || n > 600 {
				t.Errorf("%v: %s of weight 50 got %d of 3540 calls, want about 500", s(), in.ID, n)
			}
		}
		if light := 3540 - heavy; light < 400 || light > 700 {
			t.Errorf("%v: all of weight 1 got %d of 3540 calls, want about 540", s(), light)
		}
	}
}

// Equal draws make equal choices.
func TestChoicesRepeatWithTheirDraws(t *testing.T) {
	for _, s := range []func() router.Strategy{router.PowerOfTwo, router.Random, router.LeastLoaded} {
		calls := func(seed uint64) (ids []string) {
			w, _ := still(t, fleet(30), seededBy(seed), router.WithStrategy(s()))
			for range 50 {
				p := w.pick(t)
				ids = append(ids, p.Instance.ID)
				p.Done(ok(""))
			}
			return ids
		}
		if a, again, b := calls(1), calls(1), calls(2); !slices.Equal(a, again) || slices.Equal(a, b) {
			t.Errorf("%v: with equal draws equal choices %v, with others %v", s(), slices.Equal(a, again), slices.Equal(a, b))
		}
	}
}

// A strategy that chooses none, or insists on one that is not to be called, gets
// another one that is.
func TestWhoIsTakenForAChoiceThatIsNone(t *testing.T) {
	for _, i := range []int{-1, 0, 4} {
		for _, breakers := range []bool{false, true} {
			opts := []router.Option{seeded(), router.WithStrategy(strategyFunc(func(int) int { return i })), router.WithEjection(router.Ejection{Consecutive: 3, Share: 1, Base: time.Hour, Max: time.Hour})}
			if breakers {
				opts = append(opts, router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Consecutive: 1000, Least: 10, Open: time.Hour, Longest: time.Hour}, FailFast: true}))
			}
			w, _ := still(t, fleet(4), opts...)
			first := w.picked(t)
			if i != 0 {
				first = "n0000"
			}
			w.called(t, first, strings.Repeat("t1 t1 1 ", 6)) // its breaker opens, if it has one
			var ejected, excluded string
			for _, in := range fleet(4) {
				switch {
				case in.ID == first:
				case ejected == "":
					ejected = in.ID
				case excluded == "":
					excluded = in.ID
				}
			}
			w.called(t, ejected, "3*t1")
			got := w.shares(t, 100, func(string) router.Outcome { return router.Outcome{Class: router.Cancelled} }, router.Exclude(excluded))
			if i != 0 && (got[ejected] > 0 || got[excluded] > 0) || breakers && (got[first] > 0 || got[ejected] > 0 || got[excluded] > 0) || i == 0 && !breakers && got[first] != 100 {
				t.Errorf("choice %d, breakers %v: calls went to %v; %s is ejected, %s excluded, and %s has failed", i, breakers, got, ejected, excluded, first)
			}
		}
	}
}

func TestNamesOfStrategies(t *testing.T) {
	for want, s := range map[string]router.Strategy{
		"least cost": router.LeastCost(), "power of two": router.PowerOfTwo(), "random": router.Random(), "round robin": router.RoundRobin(),
		"weighted round robin": router.WeightedRoundRobin(), "least loaded": router.LeastLoaded(), "hash": router.Hash(1), "prequal": router.Prequal(nil, router.Probing{}),
	} {
		if s.String() != want {
			t.Errorf("%q, want %q", s, want)
		}
	}
}

// With a clock of the user's own nothing happens but by calls.
func TestWithAClockNothingHappensByItself(t *testing.T) {
	for _, driven := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			x := newSpoken()
			opts := []router.Option{router.WithSharing(x, router.Sharing{Interval: time.Second})}
			if driven {
				opts = append(opts, router.WithClock(func() time.Duration { return time.Hour }))
			}
			w := client(t, 3, opts...)
			w.pick(t).Done(ok(""))
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := x.sent() > 0; got == driven {
				t.Errorf("driven %v: %d reports in a minute without calls", driven, x.sent())
			}
			time.Sleep(10 * time.Minute)
			if got := len(w.Router.Stats("greeter")) == 3; got != driven {
				t.Errorf("driven %v: after eleven idle minutes the service is known: %v", driven, got)
			}
		})
	}
}
