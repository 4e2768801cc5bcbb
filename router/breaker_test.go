package router_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

func breaker(t testing.TB, p router.BreakerPolicy) *router.Breaker {
	t.Helper()
	b, err := router.NewBreaker(p)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// through makes n calls one after the other and counts those that are let through.
func through(b *router.Breaker, n int, c router.Class) (yes int) {
	for range n {
		if trial, err := b.Allow(); err == nil {
			yes++
			trial.Done(c)
		}
	}
	return yes
}

func TestStatesAsText(t *testing.T) {
	for _, want := range []router.State{router.Closed, router.Open, router.HalfOpen, router.Ramping} {
		text, err := want.MarshalText()
		got := router.State(99)
		if err != nil || got.UnmarshalText(text) != nil || got != want {
			t.Errorf("%v: %s, %v, %v", want, text, err, got)
		}
	}
	odd := router.Ramping + 1
	if err := odd.UnmarshalText([]byte(odd.String())); !errors.Is(err, router.ErrInvalid) || odd != router.Ramping+1 {
		t.Errorf("an unknown state: %v, and it is %d", err, odd)
	}
}

func TestBreakerOpensThenTriesThenRampsThenCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, router.BreakerPolicy{Open: time.Second, Trials: 2, Ramp: 10 * time.Second})
		through(b, 1000, router.OK)
		if n := through(b, 10, router.ServerError); n != 5 || b.State() != router.Open {
			t.Fatalf("%d of 10 failing calls got through and it is %v, want 5 and open", n, b.State())
		}
		_, err := b.Allow()
		var open *router.OpenError
		if !errors.Is(err, router.ErrOpen) || !errors.Is(err, router.ErrUnavailable) || !errors.As(err, &open) || open.After < 700*time.Millisecond || open.After > 1300*time.Millisecond {
			t.Errorf("got %v, want ErrOpen and about a second", err)
		}
		time.Sleep(1300 * time.Millisecond)
		if b.State() != router.HalfOpen {
			t.Errorf("after its time it is %v, want half-open", b.State())
		}
		first, err1 := b.Allow()
		second, err2 := b.Allow()
		if _, err := b.Allow(); err1 != nil || err2 != nil || err == nil {
			t.Fatalf("got %v, %v and %v, want two trials at a time", err1, err2, err)
		}
		first.Done(router.OK)
		if _, err := b.Allow(); err == nil {
			t.Error("a third call got through while the second of two trials was under way")
		}
		second.Done(router.OK)
		if b.State() != router.Ramping {
			t.Fatalf("after two good trials it is %v, want ramping", b.State())
		}
		if n := through(b, 1000, router.OK); n < 50 || n > 200 {
			t.Errorf("%d of 1000 calls got through at once, want about a tenth", n)
		}
		time.Sleep(5 * time.Second)
		if n := through(b, 1000, router.OK); n < 400 || n > 600 {
			t.Errorf("%d of 1000 calls got through half-way, want about half", n)
		}
		time.Sleep(5 * time.Second)
		if n := through(b, 1000, router.OK); n != 1000 || b.State() != router.Closed {
			t.Errorf("%d of 1000 calls got through and it is %v, want all and closed", n, b.State())
		}
	})
}

// A trial that hangs or is never reported keeps other breakers half-open indefinitely.
func TestTrialThatNeverReportsHasFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, router.BreakerPolicy{Open: time.Second, Trials: 1, Lease: 5 * time.Second})
		through(b, 5, router.Timeout)
		time.Sleep(2 * time.Second)
		lost, err := b.Allow()
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if _, err := b.Allow(); err == nil {
			t.Error("a second trial began within the lease of the only one")
		}
		time.Sleep(2 * time.Second)
		if _, err := b.Allow(); err == nil || b.State() != router.Open {
			t.Errorf("the lease is over and it is %v, want open", b.State())
		}
		time.Sleep(3 * time.Second)
		trial, err := b.Allow()
		if err != nil {
			t.Fatalf("no new trial after one that never reported: %v", err)
		}
		lost.Done(router.ServerError) // late: of a time that is past
		if b.State() != router.HalfOpen {
			t.Errorf("a late report made it %v", b.State())
		}
		trial.Done(router.OK)
		if b.State() != router.Ramping {
			t.Errorf("after a good trial it is %v, want ramping", b.State())
		}
	})
}

func TestCancelledCallerNeitherOpensNorWedgesABreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, router.BreakerPolicy{Open: time.Second, Trials: 1})
		if n := through(b, 1000, router.Cancelled); n != 1000 || b.State() != router.Closed {
			t.Errorf("%d of 1000 cancelled calls got through, then it is %v", n, b.State())
		}
		if n := through(b, 1000, router.ClientError); n != 1000 {
			t.Errorf("%d of 1000 calls with the caller's own faults got through", n)
		}
		through(b, 5, router.ServerError)
		time.Sleep(2 * time.Second)
		if n := through(b, 10, router.Cancelled); n != 10 || b.State() != router.HalfOpen {
			t.Errorf("%d of 10 cancelled trials made room for the next, then it is %v", n, b.State())
		}
	})
}

func TestFailedTrialsKeepItOpenForLongerUpToABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, router.BreakerPolicy{Open: time.Second, Longest: 8 * time.Second})
		through(b, 5, router.Connect)
		for _, want := range []time.Duration{1, 2, 4, 8, 8, 8} {
			_, err := b.Allow()
			var open *router.OpenError
			if !errors.As(err, &open) || open.After < want*750*time.Millisecond || open.After > want*1250*time.Millisecond {
				t.Errorf("got %v, want about %d s", err, want)
			}
			time.Sleep(want * 1250 * time.Millisecond)
			if n := through(b, 3, router.Connect); n != 1 {
				t.Errorf("%d failing trials, want one", n)
			}
		}
	})
}

func TestBreakersThatOpenTogetherTryApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[time.Duration]bool{}
		for range 20 {
			b := breaker(t, router.BreakerPolicy{Open: 10 * time.Second})
			through(b, 5, router.Connect)
			_, err := b.Allow()
			var open *router.OpenError
			if errors.As(err, &open) {
				seen[open.After.Round(50*time.Millisecond)] = true
			}
		}
		if len(seen) < 10 {
			t.Errorf("20 breakers try again at %d different times", len(seen))
		}
	})
}

func TestShareOfFailuresOpens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, router.BreakerPolicy{Consecutive: 1000, Share: 0.4})
		for range 30 {
			through(b, 1, router.OK)
			through(b, 1, router.ServerError)
		}
		if b.State() != router.Open {
			t.Errorf("half of 60 calls failed and it is %v", b.State())
		}
		b = breaker(t, router.BreakerPolicy{Consecutive: 1000, Share: 0.4})
		for range 100 {
			through(b, 2, router.OK)
			through(b, 1, router.ServerError)
		}
		if b.State() != router.Closed {
			t.Errorf("a third of 300 calls failed and it is %v", b.State())
		}
	})
}

// A breaker that counts only what has ended lets everything through to a
// server that hangs.
func TestCallsThatHangOpenItBeforeTheyEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker(t, router.BreakerPolicy{Hang: time.Second, Open: time.Minute})
		var open []router.Trial
		refused := 0
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			trial, err := b.Allow()
			if err != nil {
				refused++
				continue
			}
			open = append(open, trial)
		}
		if len(open) > 210 || refused < 790 {
			t.Errorf("%d calls in 10 s got through to a server that hangs, want those of 2 s", len(open))
		}
		for _, trial := range open {
			trial.Done(router.OK) // late
		}
		if b.State() != router.Open {
			t.Errorf("late answers made it %v", b.State())
		}
		b = breaker(t, router.BreakerPolicy{Hang: time.Second})
		for range 1000 {
			time.Sleep(10 * time.Millisecond)
			if trial, err := b.Allow(); err == nil {
				time.AfterFunc(500*time.Millisecond, func() { trial.Done(router.OK) })
			}
		}
		if b.State() != router.Closed {
			t.Errorf("calls of half the time made it %v", b.State())
		}
		time.Sleep(time.Second)
	})
}

func TestBreakerUnderContentionLetsNoMoreThanItsTrialsThrough(t *testing.T) {
	b := breaker(t, router.BreakerPolicy{Open: time.Millisecond, Longest: time.Millisecond, Trials: 3, Lease: time.Hour, Ramp: time.Hour})
	through(b, 5, router.Connect)
	for end := time.Now().Add(30 * time.Second); b.State() != router.HalfOpen; {
		if time.Now().After(end) {
			t.Fatal("not half-open within 30 s")
		}
	}
	var under, passed atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 1000 {
				if trial, err := b.Allow(); err == nil {
					if n := under.Add(1); n > 3 {
						t.Errorf("%d trials at a time, want 3", n)
					}
					passed.Add(1)
					under.Add(-1)
					trial.Done(router.Cancelled)
				}
			}
		})
	}
	wg.Wait()
	if passed.Load() == 0 || b.State() != router.HalfOpen {
		t.Errorf("%d trials, then it is %v", passed.Load(), b.State())
	}
}

func TestBreakerDoesNotAllocate(t *testing.T) {
	for name, p := range map[string]router.BreakerPolicy{"plain": {}, "hang": {Hang: time.Hour}} {
		b := breaker(t, p)
		if n := testing.AllocsPerRun(1000, func() {
			trial, err := b.Allow()
			if err != nil {
				t.Fatal(err)
			}
			trial.Done(router.OK)
		}); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func TestBadBreakerPoliciesAreRefused(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, p := range map[string]router.BreakerPolicy{
		"consecutive": {Consecutive: -1}, "share": {Share: 2}, "least": {Least: -1}, "hang": {Hang: -1}, "open": {Open: -1}, "longest": {Longest: -1},
		"trials": {Trials: 9}, "lease": {Lease: -1}, "ramp": {Ramp: -1},
	} {
		if _, err := router.NewBreaker(p); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
		if _, err := router.New(router.WithDiscovery(d), router.WithBreakers(router.Breakers{BreakerPolicy: p})); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s in a router: %v, want ErrInvalid", name, err)
		}
	}
}

// neverEject leaves all to the breakers.
func neverEject() router.Option {
	return router.WithEjection(router.Ejection{Consecutive: 1 << 30, Share: 1, Slower: 1e9})
}

func failing(bad ...string) func(string) router.Outcome {
	return func(id string) router.Outcome {
		for _, b := range bad {
			if b == id {
				return router.Outcome{Class: router.ServerError, Latency: time.Millisecond}
			}
		}
		return ok(id)
	}
}

func TestOpenInstanceIsNotPicked(t *testing.T) {
	for _, s := range []router.Strategy{router.LeastCost(), router.RoundRobin(), router.Random(), router.WeightedRoundRobin(), router.LeastLoaded(), router.Hash(1.25)} {
		t.Run(s.String(), func(t *testing.T) {
			w := start(t, neverEject(), router.WithStrategy(s), router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Open: time.Hour, Longest: time.Hour}}))
			w.nodes(t, 4)
			w.shares(t, 5, failing("n0001"), router.Exclude("n0000", "n0002", "n0003")) // what opens its breaker
			if got := w.shares(t, 4000, failing("n0001")); got["n0001"] != 0 {
				t.Errorf("an instance whose breaker is open got %d of 4000 calls", got["n0001"])
			}
			e := w.Explain("greeter")
			for _, c := range e.Nodes {
				if open := c.Breaker == router.Open; open != (c.ID == "n0001") || open != (c.Why == "breaker is open") {
					t.Errorf("explained as %+v", c)
				}
			}
			if e.Healthy != 3 {
				t.Errorf("%d of 4 are said to be healthy, want 3", e.Healthy)
			}
		})
	}
}

func TestOpenInstanceComesBackByTrials(t *testing.T) {
	var now atomic.Int64
	w := start(t, neverEject(), router.WithClock(func() time.Duration { return time.Duration(now.Load()) }), router.WithStrategy(router.RoundRobin()),
		router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Open: time.Second, Trials: 2, Lease: 5 * time.Second, Ramp: 10 * time.Second}}))
	w.nodes(t, 4)
	state := func() router.State { return w.stat(t, "n0001").Breaker }
	w.shares(t, 100, failing("n0001"))
	if state() != router.Open {
		t.Fatalf("after five failures it is %v", state())
	}
	now.Add(int64(2 * time.Second))
	open := map[string]int{}
	var picks []router.Pick
	for range 40 { // none of them ends
		p := w.pick(t)
		open[p.Instance.ID]++
		picks = append(picks, p)
	}
	if open["n0001"] != 2 {
		t.Errorf("%d calls on trial at a time, want 2", open["n0001"])
	}
	now.Add(int64(6 * time.Second)) // the leases end: the trials have failed
	if got := w.shares(t, 40, ok); got["n0001"] > 2 {
		t.Errorf("after the trials never reported it got %d of 40", got["n0001"])
	}
	for _, p := range picks {
		p.Done(router.Outcome{Class: router.Cancelled})
	}
	now.Add(int64(10 * time.Second))
	if got := w.shares(t, 40, ok); got["n0001"] == 0 || state() != router.Ramping {
		t.Errorf("after its time it got %d of 40 and is %v, want ramping", got["n0001"], state())
	}
	if got := w.shares(t, 400, ok); got["n0001"] > 50 {
		t.Errorf("in the beginning of its ramp it got %d of 400, want a tenth of its quarter", got["n0001"])
	}
	now.Add(int64(20 * time.Second))
	if got := w.shares(t, 400, ok); got["n0001"] != 100 || state() != router.Closed {
		t.Errorf("in the end it got %d of 400 and is %v, want a quarter and closed", got["n0001"], state())
	}
}

func TestAllOpenTriesAnyUnlessItFailsFast(t *testing.T) {
	policy := router.BreakerPolicy{Open: time.Hour, Longest: time.Hour}
	all := func(string) router.Outcome { return router.Outcome{Class: router.Connect} }
	w := start(t, neverEject(), router.WithBreakers(router.Breakers{BreakerPolicy: policy}))
	w.nodes(t, 3)
	w.shares(t, 100, all)
	if p := w.pick(t); !p.Panic {
		t.Error("all breakers are open, and the pick does not say so")
	}
	w = start(t, neverEject(), router.WithBreakers(router.Breakers{BreakerPolicy: policy, FailFast: true}))
	w.nodes(t, 3)
	calls := 0
	var err error
	for range 100 {
		var p router.Pick
		if p, err = w.Pick(t.Context(), "greeter"); err == nil {
			calls++
			p.Done(all(""))
		}
	}
	var open *router.OpenError
	if calls != 15 || !errors.Is(err, router.ErrOpen) || !errors.As(err, &open) || open.After <= 0 || open.Service != "greeter" {
		t.Errorf("%d calls before %v, want 5 for each of three, then ErrOpen", calls, err)
	}
}

func TestBreakersOfMethodsAreApart(t *testing.T) {
	w := start(t, neverEject(), router.WithStrategy(router.RoundRobin()), router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Open: time.Hour, Longest: time.Hour}, PerMethod: true}))
	w.nodes(t, 3)
	w.shares(t, 5, failing("n0000"), router.Method("Bad"), router.Exclude("n0001", "n0002"))
	got := w.shares(t, 1000, ok, router.Method("Bad"))
	if got["n0000"] != 0 {
		t.Errorf("the failing method of an instance got %d of 1000", got["n0000"])
	}
	if got := w.shares(t, 1000, ok, router.Method("Good")); got["n0000"] == 0 {
		t.Error("another method of the instance got nothing")
	}
	for i := range 1000 { // names from outside can't grow it
		w.shares(t, 1, ok, router.Method(time.Duration(i).String()))
	}
	if e := w.Explain("greeter", router.Method("Bad")); e.Nodes[0].Breaker != router.Open {
		t.Errorf("explained as %+v", e.Nodes[0])
	}
	if e := w.Explain("greeter", router.Method("Good")); e.Nodes[0].Breaker != router.Closed {
		t.Errorf("explained as %+v", e.Nodes[0])
	}
	for id, want := range map[string]int{"n0000": 1, "n0001": 0} {
		s := w.stat(t, id)
		if s.Breakers[router.Open] != want || s.Breakers[router.Closed] < 2 || s.Breakers[router.HalfOpen]+s.Breakers[router.Ramping] != 0 || s.Trips != uint64(want) {
			t.Errorf("%s has %v breakers by state and %d trips, want %d open and as many trips", id, s.Breakers, s.Trips, want)
		}
	}
}

func TestRecordedTrafficOpensABreaker(t *testing.T) {
	w := start(t, neverEject(), router.WithBreakers(router.Breakers{}))
	w.nodes(t, 2)
	for range 5 {
		w.Record(router.Sample{Service: "greeter", Instance: "n0001", Outcome: router.Outcome{Class: router.Timeout}})
	}
	if s := w.stat(t, "n0001"); s.Breaker != router.Open {
		t.Errorf("after five failures seen by others it is %v", s.Breaker)
	}
}

func TestPickWithBreakersDoesNotAllocate(t *testing.T) {
	for name, b := range map[string]router.Breakers{"instance": {}, "method": {PerMethod: true}, "hang": {BreakerPolicy: router.BreakerPolicy{Hang: time.Minute}}} {
		w := chancy(t, router.WithBreakers(b))
		w.nodes(t, 100)
		opts := []router.SelectOption{router.Method("m")}
		for range 1000 {
			w.pick(t, opts...).Done(ok(""))
		}
		if n := testing.AllocsPerRun(1000, func() {
			p, err := w.Pick(context.Background(), "greeter", opts...)
			if err != nil {
				t.Fatal(err)
			}
			p.Done(router.Outcome{Latency: time.Millisecond})
		}); n > 0 {
			t.Errorf("%s: %v allocations, want none", name, n)
		}
	}
}

func BenchmarkBreaker(b *testing.B) {
	for name, p := range map[string]router.BreakerPolicy{"plain": {}, "hang": {Hang: time.Hour}} {
		b.Run(name, func(b *testing.B) {
			br := breaker(b, p)
			b.ReportAllocs()
			for b.Loop() {
				t, err := br.Allow()
				if err != nil {
					b.Fatal(err)
				}
				t.Done(router.OK)
			}
		})
	}
}
