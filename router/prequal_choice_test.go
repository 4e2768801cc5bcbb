package router_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// probed is a router whose probes are answered at once, and its clock.
func probed(t *testing.T, seed uint64, n int, p router.Probing, probe router.Probe) (w *world, clock *time.Duration) {
	clock = new(time.Duration)
	*clock = time.Second
	w = on(t, fleet(n), seededBy(seed), router.WithClock(func() time.Duration { return *clock }), router.WithStrategy(router.Prequal(probe, p)))
	return w, clock
}

// Of the answers at hand the least latency counts among those that are not hot,
// and the requests in progress if all are.
func TestPrequalChoosesTheBestAnswer(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		name     string
		loads    [4]router.Load
		quantile float64
		took     [4]time.Duration // by the client's own calls
		want     string           // gets most calls
		none     string           // gets few
	}{
		{"cold and fast", [4]router.Load{{InFlight: 50, Latency: ms}, {InFlight: 1, Latency: 5 * ms}, {InFlight: 1, Latency: 90 * ms}, {InFlight: 20, Latency: 2 * ms}}, .5, [4]time.Duration{ms, ms, ms, ms}, "n0001", "n0000"},
		{"all hot: the least busy", [4]router.Load{{InFlight: 50, Latency: ms}, {InFlight: 10, Latency: 90 * ms}, {InFlight: 30, Latency: ms}, {InFlight: 20, Latency: ms}}, .01, [4]time.Duration{ms, ms, ms, ms}, "n0001", "n0000"},
		{"latency counts although own calls say otherwise", [4]router.Load{{Latency: 9 * ms}, {Latency: 2 * ms}, {Latency: 9 * ms}, {Latency: 9 * ms}}, 1, [4]time.Duration{ms, 30 * ms, ms, ms}, "n0001", ""},
		{"without a latency own calls count", [4]router.Load{}, 1, [4]time.Duration{30 * ms, 20 * ms, ms, 25 * ms}, "n0002", "n0000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			place := map[string]int{}
			for i, in := range fleet(4) {
				place[in.ID] = i
			}
			w, clock := probed(t, 7, 4, router.Probing{Quantile: c.quantile, PerCall: 8, Pool: 64}, func(_ context.Context, in *discovery.Instance) (router.Load, error) {
				return c.loads[place[in.ID]], nil
			})
			got := map[string]int{}
			for i := range 400 {
				p := w.pick(t)
				*clock += 10 * time.Millisecond
				p.Done(router.Outcome{Latency: c.took[place[p.Instance.ID]]})
				if i >= 100 {
					got[p.Instance.ID]++
				}
			}
			if got[c.want] < 200 || got[c.none] > 30 {
				t.Errorf("%v of 300 calls, want most to %q and few to %q", got, c.want, c.none)
			}
		})
	}
}

// A probe that fails, or says nonsense, takes back what the one before said.
func TestPrequalBelievesNoAnswerThatWasTakenBack(t *testing.T) {
	for name, bad := range map[string]func() (router.Load, error){
		"fails":    func() (router.Load, error) { return router.Load{InFlight: 1}, errors.New("no answer") },
		"nonsense": func() (router.Load, error) { return router.Load{InFlight: -1, Latency: time.Nanosecond}, nil },
		"is good":  nil,
	} {
		t.Run(name, func(t *testing.T) {
			ill := false
			w, clock := probed(t, 7, 6, router.Probing{PerCall: 8, Pool: 64}, func(_ context.Context, in *discovery.Instance) (router.Load, error) {
				switch {
				case in.ID != "n0000":
					return router.Load{InFlight: 2, Latency: 50 * time.Millisecond}, nil
				case ill && bad != nil:
					return bad()
				}
				return router.Load{InFlight: 0, Latency: time.Millisecond}, nil
			})
			calls := func(n int) (best int) {
				for range n {
					p := w.pick(t)
					*clock += 10 * time.Millisecond
					p.Done(router.Outcome{Latency: time.Millisecond})
					if p.Instance.ID == "n0000" {
						best++
					}
				}
				return best
			}
			if got := calls(100); got < 70 {
				t.Fatalf("the best one got %d of 100 calls", got)
			}
			ill = true
			calls(10)
			if got := calls(100); got > 10 && bad != nil || got < 70 && bad == nil {
				t.Errorf("it got %d of 100 calls after its probes changed", got)
			}
		})
	}
}

// An answer is believed for as long as MaxAge, and no longer. The best one has
// been dropped in some worlds, and is chosen by least cost in others.
func TestPrequalAnswersAge(t *testing.T) {
	for _, c := range []struct {
		after       time.Duration
		least, most int // worlds of 20 in which the best answer is used
	}{{0, 11, 20}, {time.Second, 11, 20}, {time.Second + 1, 0, 9}} {
		used := 0
		for seed := range uint64(20) {
			w, clock := probed(t, seed, 6, router.Probing{PerCall: 8, Pool: 64, Quantile: 1, MaxAge: time.Second}, func(_ context.Context, in *discovery.Instance) (router.Load, error) {
				if in.ID == "n0000" {
					return router.Load{Latency: time.Millisecond}, nil
				}
				return router.Load{Latency: 20 * time.Millisecond}, nil
			})
			for range 100 {
				w.pick(t).Done(router.Outcome{Latency: time.Millisecond})
			}
			if *clock += c.after; w.pick(t).Instance.ID == "n0000" {
				used++
			}
		}
		if used < c.least || used > c.most {
			t.Errorf("%v later the best answer was used in %d of 20 worlds, want %d to %d", c.after, used, c.least, c.most)
		}
	}
}
