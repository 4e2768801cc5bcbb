package router_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// Mistakes that other libraries made, and that this one must not repeat.

// A watch loop that runs the first service's stream never reaches the second.
func TestEveryServiceIsFollowed(t *testing.T) {
	w := start(t)
	for i := range 3 {
		for _, service := range []string{"one", "two", "three"} {
			w.add(t, discovery.Instance{ID: fmt.Sprint(service, i), Service: service})
			for end := time.Now().Add(30 * time.Second); ; {
				if p, err := w.Pick(t.Context(), service); err == nil {
					p.Done(router.Outcome{Class: router.Cancelled})
				}
				if len(w.Router.Stats(service)) == i+1 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("%s: %d instances are known, want %d", service, len(w.Router.Stats(service)), i+1)
				}
			}
		}
	}
}

// Health that is judged over all instances leaves a subset that is wholly
// unhealthy without any.
func TestPanicIsOfASubset(t *testing.T) {
	w := start(t, router.WithEjection(router.Ejection{Base: time.Hour, Max: time.Hour}))
	for i := range 8 {
		w.add(t, discovery.Instance{ID: fmt.Sprintf("n%04d", i), Labels: map[string]string{"canary": fmt.Sprint(i < 2)}})
	}
	w.settle(t, 8)
	canary := router.Labels(map[string]string{"canary": "true"})
	w.shares(t, 100, func(string) router.Outcome { return router.Outcome{Class: router.Connect} }, canary)
	out := 0
	for _, s := range w.Router.Stats("greeter") {
		if s.Ejected {
			out++
		}
	}
	if out != 2 {
		t.Fatalf("%d ejected, want both canaries", out)
	}
	for end := time.Now().Add(30 * time.Second); !w.pick(t, canary).Panic; { // the next look at the subset comes within a second
		if time.Now().After(end) {
			t.Fatal("all of the subset are ejected, and there is no panic")
		}
	}
	if p := w.pick(t); p.Panic || p.Instance.Labels["canary"] == "true" {
		t.Errorf("without labels: got %s, panic %v, want one of the six that do well", p.Instance.ID, p.Panic)
	}
}

func TestFewerThanHalfInRotationIsPanic(t *testing.T) {
	for _, share := range []float64{0.5, 0} {
		w := start(t, router.WithPanic(share), router.WithStrategy(router.RoundRobin()), router.WithEjection(router.Ejection{Cap: 1, Base: time.Hour, Max: time.Hour}))
		w.nodes(t, 4)
		w.shares(t, 100, failing("n0001", "n0002", "n0003"))
		got := w.shares(t, 100, failing("n0001", "n0002", "n0003"))
		if panics := got["n0000"] < 50; panics != (share > 0) {
			t.Errorf("with a threshold of %v the only instance in rotation got %d of 100 calls", share, got["n0000"])
		}
	}
}

// A new instance whose cost is not known, or zero, attracts every call.
func TestNewInstanceIsNotFlooded(t *testing.T) {
	w := start(t)
	w.nodes(t, 4)
	w.shares(t, 400, ok)
	w.add(t, discovery.Instance{ID: "new"})
	w.settle(t, 5)
	got := map[string]int{}
	var open []router.Pick
	for range 100 { // none has ended: nothing is known of the new one
		p := w.pick(t)
		got[p.Instance.ID]++
		open = append(open, p)
	}
	if got["new"] > 1 {
		t.Errorf("%d of 100 calls in flight are at an instance of which nothing is known, want one at the most", got["new"])
	}
	for _, p := range open {
		p.Done(ok(""))
	}
}

// Slow start is useless when all are new, and must end.
func TestSlowStartIsForTheFewThatAreNew(t *testing.T) {
	var now atomic.Int64
	w := start(t, router.WithClock(func() time.Duration { return time.Duration(now.Load()) }), router.WithSlowStart(30*time.Second))
	w.nodes(t, 4)
	weights := func() (all []float64) {
		w.shares(t, 10, ok)
		for _, s := range w.Router.Stats("greeter") {
			all = append(all, s.Weight)
		}
		return all
	}
	for i, v := range weights() {
		if v != 1 {
			t.Errorf("all are new, and instance %d has weight %v", i, v)
		}
	}
	now.Add(int64(time.Minute))
	weights()
	w.add(t, discovery.Instance{ID: "n0009"})
	w.settle(t, 5)
	for _, c := range []struct {
		after       time.Duration
		least, most float64
	}{{0, 0.1, 0.1}, {15 * time.Second, 0.45, 0.55}, {16 * time.Second, 1, 1}} {
		now.Add(int64(c.after))
		if v := weights()[4]; v < c.least || v > c.most {
			t.Errorf("after %v more a new instance has weight %v, want %v to %v", c.after, v, c.least, c.most)
		}
	}
}

func TestTheLastInstanceIsNeverEjected(t *testing.T) {
	for n := 1; n <= 2; n++ {
		w := start(t)
		w.nodes(t, n)
		w.shares(t, 200, func(string) router.Outcome { return router.Outcome{Class: router.Connect} })
		in := 0
		for _, s := range w.Router.Stats("greeter") {
			if !s.Ejected {
				in++
			}
		}
		if in < 1 {
			t.Errorf("of %d instances none is left in rotation", n)
		}
	}
}

// Choices that are drawn with replacement compare an instance with itself half
// of the time when there are two.
func TestTwoChoicesAreTwo(t *testing.T) {
	for _, s := range []router.Strategy{router.LeastCost(), router.PowerOfTwo()} {
		w := start(t, router.WithStrategy(s))
		w.nodes(t, 2)
		outcome := func(id string) router.Outcome {
			if id == "n0000" {
				return router.Outcome{Latency: 100 * time.Millisecond}
			}
			return ok(id)
		}
		w.shares(t, 100, outcome)
		if got := w.shares(t, 1000, outcome); got["n0000"] > 50 {
			t.Errorf("%v: the slower one of two got %d of 1000 calls", s, got["n0000"])
		}
	}
}

// Labels come from callers: whatever they send must not grow without bound, nor
// push out what is right.
func TestLabelsFromOutsideAreBounded(t *testing.T) {
	w := start(t, router.WithFallback(router.FallbackAny))
	w.nodes(t, 3)
	for i := range 2000 {
		w.pick(t, router.Labels(map[string]string{"from": fmt.Sprint(i)})).Done(ok(""))
	}
	if n := testing.AllocsPerRun(100, func() { w.pick(t).Done(ok("")) }); n > 0 {
		t.Errorf("afterwards a pick allocates %v times", n)
	}
}
