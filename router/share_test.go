package router_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
)

// fleet is n instances in a registry that does not change.
func fleet(n int) []discovery.Instance {
	var all []discovery.Instance
	for i := range n {
		all = append(all, discovery.Instance{ID: fmt.Sprintf("n%04d", i), Service: "greeter", Address: fmt.Sprintf("10.0.0.1:%d", 1000+i)})
	}
	return all
}

// client is a router of its own on the fleet.
func client(t testing.TB, n int, opts ...router.Option) *world {
	t.Helper()
	return on(t, fleet(n), opts...)
}

func TestWhatOneClientSeesMovesTheShareOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := router.Memory()
		sharing := router.WithSharing(x, router.Sharing{Interval: time.Second})
		a, clock := fixed(t, fleet(8), 1, sharing, neverEject(), router.WithStrategy(router.RoundRobin()))
		b := client(t, 8, router.WithClock(clock.now), sharing, neverEject(), router.WithStrategy(router.PowerOfTwo()))
		before := b.shares(t, 2000, ok)["n0003"]
		for range 10 {
			a.shares(t, 400, failing("n0003"), router.Exclude("n0000", "n0001", "n0002")) // b has good answers of it all the while
			b.shares(t, 100, ok)
			clock.forward(time.Second)
			synctest.Wait()
		}
		if v := b.stat(t, "n0003").View; v > 0.9 || v < 0.25 {
			t.Errorf("the view makes %v of the weight of an instance that fails for another client, want less", v)
		}
		after := b.shares(t, 2000, ok)["n0003"]
		// It is well for b: others may take a fifth of its share, and no more.
		if after > before*9/10 || after < before*3/4 {
			t.Errorf("its share was %d of 2000 and is %d, want about a fifth less", before, after)
		}
		for _, s := range b.Router.Stats("greeter") {
			if s.ID != "n0003" && (s.View < 0.9 || s.View > 1.1) {
				t.Errorf("the view makes %v of the weight of %s, which does well", s.View, s.ID)
			}
		}
	})
}

func TestClientThatKnowsNothingEjectsWhatOthersHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := router.Memory()
		sharing := router.WithSharing(x, router.Sharing{Interval: time.Second})
		a, b := client(t, 8, sharing, router.WithStrategy(router.RoundRobin()), router.WithEjection(router.Ejection{Base: time.Minute})), client(t, 8, sharing, router.WithEjection(router.Ejection{Base: 20 * time.Second}))
		b.shares(t, 100, func(string) router.Outcome { return router.Outcome{Class: router.Cancelled} }) // says nothing of any
		a.shares(t, 400, failing("n0003"))
		time.Sleep(4 * time.Second)
		if s := b.stat(t, "n0003"); !s.Ejected || s.Reason != "ejected by 1 of 1 clients" {
			t.Errorf("got %+v, want it ejected", s)
		}
		if s := a.stat(t, "n0003"); !s.Ejected || s.Reason == "ejected by 1 of 1 clients" {
			t.Errorf("at the one that saw it: %+v", s)
		}
		if got := b.shares(t, 1000, ok)["n0003"]; got != 0 {
			t.Errorf("it got %d of 1000 calls", got)
		}
		time.Sleep(30 * time.Second) // a still says so, but b tries for itself
		if s := b.stat(t, "n0003"); s.Ejected {
			t.Errorf("still ejected: %+v", s)
		}
	})
}

// liar says what it likes.
type liar struct {
	view   atomic.Pointer[router.View]
	report atomic.Pointer[router.Report]
}

func (l *liar) Publish(context.Context, router.Report) error   { return errors.New("away") }
func (l *liar) PublishView(context.Context, router.View) error { return errors.New("away") }
func (l *liar) Reports(ctx context.Context, _ string, f func(router.Report)) error {
	if r := l.report.Load(); r != nil {
		f(*r)
	}
	<-ctx.Done()
	return ctx.Err()
}
func (l *liar) Views(ctx context.Context, _ string, f func(router.View)) error {
	if v := l.view.Load(); v != nil {
		f(*v)
	}
	<-ctx.Done()
	return ctx.Err()
}

func TestLiesMoveNothingBeyondTheBound(t *testing.T) {
	for name, lie := range map[string]router.NodeView{
		"NaN":       {Weight: math.NaN(), Slower: math.NaN(), Success: math.NaN()},
		"negative":  {Weight: -5, Slower: -1, Votes: -3, Clients: -1},
		"zero":      {},
		"huge":      {Weight: 1e300, Slower: 1e300, Calls: math.MaxUint64},
		"infinite":  {Weight: math.Inf(1), Slower: math.Inf(-1)},
		"tiny":      {Weight: 1e-300, Slower: 1e-300},
		"all votes": {Weight: 1, Slower: 1, Votes: 1 << 30, Clients: 1 << 30},
		"odd votes": {Weight: 1, Slower: 1, Votes: 1 << 30, Clients: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &liar{}
				v := router.View{Service: "greeter", By: "liar", Seq: 1, Nodes: map[string]router.NodeView{"unknown": lie}}
				for i := range 5 { // half of them
					v.Nodes[fmt.Sprintf("n%04d", i)] = lie
				}
				l.view.Store(&v)
				w := client(t, 10, router.WithSharing(l, router.Sharing{Interval: time.Second, TTL: time.Hour, FromViews: true}), router.WithStrategy(router.WeightedRoundRobin()))
				w.pick(t).Done(ok(""))
				time.Sleep(30 * time.Second)
				stats := w.Router.Stats("greeter")
				if len(stats) != 10 {
					t.Errorf("%d instances are known, want 10", len(stats))
				}
				out := 0
				for _, s := range stats {
					if s.Ejected {
						out++
					}
					if !(s.View >= 0.25 && s.View <= 1) || !(s.Weight >= 0.25 && s.Weight <= 1) {
						t.Errorf("%s: view %v, weight %v", s.ID, s.View, s.Weight)
					}
				}
				if out > 3 {
					t.Errorf("%d of 10 ejected, want 3 at the most", out)
				}
				for id, n := range w.shares(t, 1000, ok) {
					if n > 4*170 {
						t.Errorf("%s got %d of 1000", id, n)
					}
				}
			})
		})
	}
}

func TestVotesDoNotCountAgainstGoodAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &liar{}
		l.view.Store(&router.View{Service: "greeter", By: "liar", Seq: 1, Nodes: map[string]router.NodeView{"n0001": {Weight: 1, Slower: 1, Votes: 9, Clients: 9}}})
		w := client(t, 4, router.WithSharing(l, router.Sharing{Interval: time.Hour, FromViews: true}), router.WithStrategy(router.RoundRobin()),
			router.WithEjection(router.Ejection{Base: time.Hour, Max: time.Hour}))
		w.shares(t, 400, ok)
		time.Sleep(10 * time.Second)
		if s := w.stat(t, "n0001"); s.Ejected {
			t.Errorf("ejected on the word of others: %+v", s)
		}
	})
}

func TestWhatWasHeardFades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &liar{}
		l.view.Store(&router.View{Service: "greeter", By: "a", Seq: 1, Nodes: map[string]router.NodeView{"n0001": {Weight: 0.25, Slower: 1}}})
		w := client(t, 4, router.WithSharing(l, router.Sharing{Interval: 5 * time.Second, TTL: 10 * time.Second, FromViews: true}))
		w.pick(t).Done(ok(""))
		view := func() float64 { return w.stat(t, "n0001").View }
		time.Sleep(1500 * time.Millisecond)
		if v := view(); v < 0.7 || v > 0.8 {
			t.Errorf("after a second the view makes %v of the weight, want a step of 30 %%", v)
		}
		time.Sleep(8 * time.Second)
		if v := view(); v != 0.25 {
			t.Errorf("after 9 s the view makes %v of the weight, want 0.25", v)
		}
		time.Sleep(6 * time.Second) // half-way through the second TTL
		if v := view(); v < 0.35 || v > 0.7 {
			t.Errorf("after a silence of 15 s the view makes %v of the weight, want about a half", v)
		}
		time.Sleep(10 * time.Second)
		if v := view(); v != 1 {
			t.Errorf("after a silence of 25 s the view makes %v of the weight, want 1", v)
		}
	})
}

func TestStaleViewsAndReportsAreNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := router.Memory()
		w := client(t, 4, router.WithSharing(x, router.Sharing{Interval: 5 * time.Second, FromViews: true}))
		w.pick(t).Done(ok(""))
		synctest.Wait()
		node := func(weight float64) map[string]router.NodeView {
			return map[string]router.NodeView{"n0001": {Weight: weight, Slower: 1}}
		}
		x.PublishView(t.Context(), router.View{Service: "greeter", By: "a", Seq: 7, Nodes: node(0.5)})
		x.PublishView(t.Context(), router.View{Service: "greeter", By: "a", Seq: 6, Nodes: node(4)})
		x.PublishView(t.Context(), router.View{Service: "greet", By: "a", Seq: 9, Nodes: node(4)})
		time.Sleep(10 * time.Second)
		if v := w.stat(t, "n0001").View; v != 0.5 {
			t.Errorf("the view makes %v of the weight, want the 0.5 of the newest", v)
		}
	})
}

func TestAggregatorServesThoseThatFollowViews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := router.Memory()
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- router.Aggregate(ctx, x, router.Aggregation{Interval: time.Second}) }()
		sharing := router.WithSharing(x, router.Sharing{Interval: time.Second, FromViews: true})
		a, b := client(t, 8, sharing, router.WithStrategy(router.RoundRobin()), router.WithEjection(router.Ejection{Base: time.Minute})), client(t, 8, sharing, router.WithEjection(router.Ejection{Base: 20 * time.Second}))
		b.pick(t).Done(router.Outcome{Class: router.Cancelled})
		a.shares(t, 400, failing("n0003"))
		time.Sleep(5 * time.Second)
		if s := b.stat(t, "n0003"); !s.Ejected {
			t.Errorf("got %+v, want it ejected", s)
		}
		lost := errors.New("no longer elected")
		cancel(lost)
		if err := <-ended; !errors.Is(err, lost) {
			t.Errorf("got %v, want its context's cause", err)
		}
	})
	if err := router.Aggregate(t.Context(), nil, router.Aggregation{}); !errors.Is(err, router.ErrInvalid) {
		t.Errorf("no exchange: %v, want ErrInvalid", err)
	}
}

// reportsOf is what n clients say of three instances, of which n1 fails half.
func reportsOf(n int) (all []router.Report) {
	for i := range n {
		r := router.Report{Service: "s", Client: fmt.Sprint("c", i), Seq: uint64(i + 1)}
		for j := range 3 {
			node := router.NodeReport{ID: fmt.Sprint("n", j), Success: 1, Latency: router.Sketch{}}
			node.Outcomes[router.OK] = 40
			if j == 1 {
				node.Outcomes[router.OK], node.Outcomes[router.Timeout], node.Success, node.Ejected = 20, 20, 0.5, true
			}
			for range 40 {
				node.Latency.Add(time.Duration(j+1) * 10 * time.Millisecond)
			}
			r.Nodes = append(r.Nodes, node)
		}
		all = append(all, r)
	}
	return all
}

func TestCombineDependsOnNothingButTheReports(t *testing.T) {
	all := reportsOf(20)
	want := router.Combine("s", all)
	if n := want.Nodes["n1"]; want.Clients != 20 || n.Clients != 20 || n.Votes != 20 || n.Calls != 800 || n.Success != 0.5 || n.Weight != 0.25 {
		t.Errorf("combined as %+v", n)
	}
	if n := want.Nodes["n0"]; n.Weight != 1 || n.Slower < 0.4 || n.Slower > 0.6 || n.P50 < 9*time.Millisecond || n.P50 > 11*time.Millisecond {
		t.Errorf("combined as %+v", n)
	}
	for range 20 {
		shuffled := append([]router.Report(nil), all...)
		old := all[3]
		old.Seq, old.Nodes = 0, nil
		shuffled = append(shuffled, all[7], old, router.Report{Service: "s2", Client: "x", Seq: 1, Nodes: all[0].Nodes})
		rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		if got := router.Combine("s", shuffled); !reflect.DeepEqual(got, want) {
			t.Fatalf("another order, with duplicates, came to %+v, want %+v", got, want)
		}
	}
}

func TestOneClientMovesLittleWhereManyReport(t *testing.T) {
	all := reportsOf(20)
	lie := router.Report{Service: "s", Client: "liar", Seq: 1}
	n := router.NodeReport{ID: "n0", Success: -1e300, Ejected: true, Latency: router.Sketch{-7: 1, 127: math.MaxUint64, 9999: 1}}
	n.Outcomes[router.ServerError] = math.MaxUint64
	for range 100 {
		lie.Nodes = append(lie.Nodes, n)
	}
	before, after := router.Combine("s", all).Nodes["n0"], router.Combine("s", append(all, lie)).Nodes["n0"]
	if after.Weight < before.Weight*0.9 || after.Votes != 1 || after.P50 > 2*before.P50 {
		t.Errorf("one of 21 clients moved %+v to %+v", before, after)
	}
}

func FuzzCombine(f *testing.F) {
	b, err := json.Marshal(reportsOf(3))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`[{"service":"s","client":"a","seq":1,"nodes":[{"id":"x","outcomes":[18446744073709551615],"success":-1,"latency":{"-1":5,"127":18446744073709551615}}]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var all []router.Report
		if json.Unmarshal(b, &all) != nil {
			return
		}
		for id, n := range router.Combine("s", all).Nodes {
			if !(n.Weight >= 0.25 && n.Weight <= 4) || !(n.Slower >= 0.25 && n.Slower <= 4) || !(n.Success >= 0 && n.Success <= 1) || n.Votes > n.Clients {
				t.Errorf("%s: %+v", id, n)
			}
		}
	})
}

func TestSketchIsRightWithinATenth(t *testing.T) {
	for _, d := range []time.Duration{time.Microsecond, 3 * time.Microsecond, 777 * time.Microsecond, 10 * time.Millisecond, time.Second, time.Minute} {
		s := router.Sketch{}
		for range 10 {
			s.Add(d)
		}
		if got := s.Quantile(0.5); math.Abs(float64(got-d)) > 0.13*float64(d) {
			t.Errorf("the median of %v is said to be %v", d, got)
		}
	}
	s := router.Sketch{}
	if s.Quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for i := range 1000 {
		s.Add(time.Duration(i+1) * time.Millisecond)
	}
	if p := s.Quantile(0.99); p < 900*time.Millisecond || p > 1100*time.Millisecond {
		t.Errorf("the 99th percentile of 1 to 1000 ms is said to be %v", p)
	}
	s.Add(-time.Second)
	s.Add(100 * time.Hour)
	if s.Count() != 1002 {
		t.Errorf("%d were counted, want 1002", s.Count())
	}
}

func TestPickWithSharingDoesNotAllocate(t *testing.T) {
	w := chancy(t, router.WithSharing(router.Memory(), router.Sharing{Interval: time.Hour}))
	w.nodes(t, 100)
	if n := testing.AllocsPerRun(1000, func() {
		p, err := w.Pick(context.Background(), "greeter")
		if err != nil {
			t.Fatal(err)
		}
		p.Done(router.Outcome{Latency: time.Millisecond})
	}); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
}

func TestBadSharingIsRefused(t *testing.T) {
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for name, o := range map[string]router.Option{
		"nil": router.WithSharing(nil, router.Sharing{}), "interval": router.WithSharing(router.Memory(), router.Sharing{Interval: -1}),
		"TTL": router.WithSharing(router.Memory(), router.Sharing{TTL: -1}),
	} {
		if _, err := router.New(router.WithDiscovery(d), o); !errors.Is(err, router.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
