package router_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
)

// on is a router on a fixed set of instances, whose draws and order of instances are
// the same in every run.
func on(t testing.TB, all []discovery.Instance, opts ...router.Option) *world {
	t.Helper()
	d, err := discovery.New(static.Backend(all...))
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(append([]router.Option{router.WithDiscovery(d), router.WithClient("a"), seeded()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(r.Close(context.Background()), d.Close()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return &world{d, r, nil}
}

// fixed is one whose clock the test moves: every run is the same.
func fixed(t testing.TB, all []discovery.Instance, seed uint64, opts ...router.Option) (*world, *clock) {
	t.Helper()
	c := &clock{}
	c.until(0)
	given := []router.Option{router.WithClock(c.now), seededBy(seed)}
	return on(t, all, append(given, opts...)...), c
}

// seeded makes a router's draws the same in every run.
func seeded() router.Option { return seededBy(7) }

func seededBy(seed uint64) router.Option {
	var mu sync.Mutex // the router draws in the background too
	r := rand.New(rand.NewPCG(seed, seed))
	return router.WithRandom(func() uint64 {
		mu.Lock()
		defer mu.Unlock()
		return r.Uint64()
	})
}

// work is how long calls take: log-normal, 10 ms on average.
func work(seed uint64) func() time.Duration {
	r := rand.New(rand.NewPCG(seed, 0))
	return func() time.Duration {
		return time.Duration(float64(10*time.Millisecond) * math.Exp(r.NormFloat64()-.5))
	}
}

// Averages of what varies differ by chance, and the first call of each instance
// pays for cold code: neither may decide who gets the calls.
func TestEqualInstancesGetEqualWork(t *testing.T) {
	for _, c := range []struct {
		instances, rate int
		strategy        func() router.Strategy
		slower          float64       // what the first instance takes, in what others do
		most, least     float64       // of the first instance's share, and of every other one
		steady          time.Duration // what each call takes; 0: it varies
	}{
		{3, 20, router.LeastCost, 1, 1.2, .8, 0},
		{5, 20, router.LeastCost, 1, 1.2, .8, 0},
		{50, 100, router.LeastCost, 1, 1.2, .75, 0},
		{3, 20, router.LeastCost, 1, 1.05, .95, 10 * time.Millisecond},
		{20, 50, router.LeastCost, 1, 1.1, .9, 10 * time.Millisecond},
		{3, 20, router.PowerOfTwo, 1, 1.2, .8, 0},
		{3, 20, router.LeastCost, 3, .2, 0, 0}, // one that is slower is told from chance
		{20, 50, router.LeastCost, 4, .35, 0, 0},
	} {
		t.Run(fmt.Sprintf("%d instances, %v, %v times slower", c.instances, c.strategy(), c.slower), func(t *testing.T) {
			w, clock := fixed(t, fleet(c.instances), 7, router.WithStrategy(c.strategy()), router.WithEjection(router.Ejection{Slower: 100}))
			took := work(1)
			met, got := map[string]bool{}, map[string]int{}
			for i := range 80 * c.rate {
				p, lat := w.pick(t), took()
				id := p.Instance.ID
				if c.steady > 0 {
					lat = c.steady
				}
				if id == "n0000" {
					lat = time.Duration(float64(lat) * c.slower)
				}
				if !met[id] {
					met[id] = true
					lat += 40 * time.Millisecond
				}
				p.Done(router.Outcome{Latency: lat})
				if i >= 10*c.rate {
					got[id]++
				}
				clock.forward(time.Second / time.Duration(c.rate))
			}
			mean := float64(70*c.rate) / float64(c.instances)
			for i := range c.instances {
				id := fmt.Sprintf("n%04d", i)
				share := float64(got[id]) / mean
				if i > 0 && c.slower > 1 {
					if share < .6 {
						t.Errorf("%s got %.2f of its share, want more than %v", id, share, .6)
					}
				} else if share > c.most || share < c.least {
					t.Errorf("%s got %.2f of its share, want %v to %v", id, share, c.least, c.most)
				}
			}
		})
	}
}

// Weights decide how often an instance is called, all of a weight together and
// each alone, as far as chance does not explain the difference where nodes are
// drawn at random.
func TestSequentialCallersRespectWeights(t *testing.T) {
	for _, c := range []struct {
		strategy  func() router.Strategy
		n         int
		weight    func(i int) int
		tolerance float64 // of a share
		chance    float64 // how many standard deviations of a random draw, if that is more
		varies    bool
	}{
		{router.LeastCost, 3, func(i int) int { return i + 1 }, .05, 0, false},
		{router.LeastCost, 3, func(i int) int { return i + 1 }, .05, 0, true},
		{router.LeastCost, 10, func(i int) int { return 1 + i%3 }, .05, 0, true},
		{router.LeastCost, 60, func(i int) int { return 1 + i%4 }, .05, 3, true}, // more than it compares: drawn at random
		{router.PowerOfTwo, 3, func(i int) int { return i + 1 }, .15, 0, false},
	} {
		t.Run(fmt.Sprintf("%v of %d, varies %v", c.strategy(), c.n, c.varies), func(t *testing.T) {
			for _, seed := range []uint64{1, 101} {
				all, sum := fleet(c.n), 0
				for i := range all {
					all[i].Weight = c.weight(i)
					sum += c.weight(i)
				}
				w, clock := fixed(t, all, seed, router.WithStrategy(c.strategy()))
				took := work(seed)
				got := map[string]int{}
				const total = 12_000
				for range total {
					p, lat := w.pick(t), 10*time.Millisecond
					if c.varies {
						lat = took()
					}
					clock.forward(lat)
					p.Done(router.Outcome{Latency: lat})
					got[p.Instance.ID]++
				}
				check := func(what string, calls, weight int, chance float64) {
					want := total * float64(weight) / float64(sum)
					if off := float64(calls)/want - 1; math.Abs(off) > max(c.tolerance, chance/math.Sqrt(want)) {
						t.Errorf("seed %d: %s got %d calls, %.0f %% off their share of %.0f", seed, what, calls, 100*off, want)
					}
				}
				calls, of := map[int]int{}, map[int]int{}
				for _, in := range all {
					calls[in.Weight] += got[in.ID]
					of[in.Weight] += in.Weight
					check(in.ID, got[in.ID], in.Weight, c.chance)
				}
				for weight, sum := range of {
					check(fmt.Sprintf("all of weight %d", weight), calls[weight], sum, 0)
				}
			}
		})
	}
}

// What others say may take a fifth of an instance's share, where its own
// answers are good: a little less must not become nothing.
func TestViewsStarveNoInstance(t *testing.T) {
	for _, s := range []func() router.Strategy{router.LeastCost, router.PowerOfTwo} {
		for _, view := range []float64{1, .96, .5} {
			t.Run(fmt.Sprintf("%v, %v", s(), view), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &liar{}
					l.view.Store(&router.View{Service: "greeter", By: "other", Seq: 1, Nodes: map[string]router.NodeView{"n0001": {Weight: view, Slower: 1}}})
					w, clock := fixed(t, fleet(4), 7, router.WithStrategy(s()), router.WithSharing(l, router.Sharing{Interval: time.Hour, FromViews: true}))
					calls := func(seconds int) int {
						n := 0
						for range 100 * seconds {
							p := w.pick(t)
							if p.Instance.ID == "n0001" {
								n++
							}
							clock.forward(10 * time.Millisecond)
							p.Done(ok(""))
						}
						return n
					}
					w.pick(t).Done(ok(""))
					synctest.Wait() // it hears the view
					calls(10)
					even := 1000.0
					want := even * math.Pow(view, 1./6)
					if got := float64(calls(40)); got < .9*want || got > 1.1*want {
						t.Errorf("an instance that others make %v of got %v of 4000 calls, want about %.0f", view, got, want)
					}
				})
			})
		}
	}
}
