package router_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

// seen is a report of one node.
func seen(client string, seq uint64, nodes ...router.NodeReport) router.Report {
	return router.Report{Service: "s", Client: client, Seq: seq, Nodes: nodes}
}

// node is n0, good calls of which took so many milliseconds each.
func node(calls int, ms float64, change func(*router.NodeReport)) router.NodeReport {
	n := router.NodeReport{ID: "n0", Success: 1, Latency: router.Sketch{}}
	n.Outcomes[router.OK] = uint64(calls)
	for range calls {
		n.Latency.Add(millis(ms))
	}
	if change != nil {
		change(&n)
	}
	return n
}

// What reports come to: each field, with what must not count beside it.
func TestWhatReportsComeTo(t *testing.T) {
	success := func(v float64) router.NodeReport { return node(1, 10, func(n *router.NodeReport) { n.Success = v }) }
	flying := func(v int) router.NodeReport { return node(1, 10, func(n *router.NodeReport) { n.InFlight = v }) }
	for _, c := range []struct {
		name    string
		reports []router.Report
		want    router.NodeView // P50 and P99 are compared if they are set
	}{
		{"one", []router.Report{seen("a", 1, node(3, 10, nil))}, router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 3, Success: 1}},
		{"calls of all classes but those cancelled", []router.Report{seen("a", 1, router.NodeReport{ID: "n0", Success: 1, Outcomes: [8]uint64{1, 2, 4, 8, 16, 32, 64, 128}})},
			router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 255 - 64, Success: 1}},
		{"more calls than there can be", []router.Report{seen("a", 1, router.NodeReport{ID: "n0", Success: 1, Outcomes: [8]uint64{1 << 60, 1 << 60}})},
			router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 2 << 40, Success: 1}},
		{"the newest of a client", []router.Report{seen("a", 2, node(3, 10, nil)), seen("a", 1, node(5, 10, nil))}, router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 3, Success: 1}},
		{"the newest comes last", []router.Report{seen("a", 1, node(5, 10, nil)), seen("a", 2, node(3, 10, nil))}, router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 3, Success: 1}},
		{"equally new: the first", []router.Report{seen("a", 1, node(5, 10, nil)), seen("a", 1, node(3, 10, nil))}, router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 5, Success: 1}},
		{"a node twice in a report", []router.Report{seen("a", 1, node(3, 10, nil), node(9, 10, nil))}, router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 3, Success: 1}},
		{"another service", []router.Report{seen("a", 1, node(3, 10, nil)), {Service: "t", Client: "b", Seq: 1, Nodes: []router.NodeReport{node(9, 10, nil)}}}, router.NodeView{Weight: 1, Slower: 1, Clients: 1, Calls: 3, Success: 1}},
		{"two clients", []router.Report{seen("a", 1, success(1)), seen("b", 1, success(.6))}, router.NodeView{Weight: .8 * .8, Slower: 1, Clients: 2, Calls: 2, Success: .8}},
		{"a quarter of the weight is left", []router.Report{seen("a", 1, success(.1))}, router.NodeView{Weight: .25, Slower: 1, Clients: 1, Calls: 1, Success: .1}},
		{"no success at all", []router.Report{seen("a", 1, success(0))}, router.NodeView{Weight: .25, Slower: 1, Clients: 1, Calls: 1}},
		{"more than success", []router.Report{seen("a", 1, success(7)), seen("b", 1, success(.5))}, router.NodeView{Weight: .5625, Slower: 1, Clients: 2, Calls: 2, Success: .75}},
		{"success that is none", []router.Report{seen("a", 1, success(math.NaN())), seen("b", 1, success(-1)), seen("c", 1, success(.4))}, router.NodeView{Weight: .64, Slower: 1, Clients: 3, Calls: 3, Success: .8}},
		{"votes", []router.Report{seen("a", 1, node(1, 10, func(n *router.NodeReport) { n.Ejected = true })), seen("b", 1, node(1, 10, nil))}, router.NodeView{Weight: 1, Slower: 1, Clients: 2, Votes: 1, Calls: 2, Success: 1}},
		{"in flight", []router.Report{seen("a", 1, flying(3)), seen("b", 1, flying(4)), seen("c", 1, flying(-9)), seen("d", 1, flying(99999))}, router.NodeView{Weight: 1, Slower: 1, Clients: 4, Calls: 4, InFlight: 10007, Success: 1}},
	} {
		got := router.Combine("s", c.reports)
		n := got.Nodes["n0"]
		n.P50, n.P99 = 0, 0
		if n.Success, n.Weight = round(n.Success), round(n.Weight); n != c.want || len(got.Nodes) != 1 || got.Clients != c.want.Clients || got.Service != "s" {
			t.Errorf("%s: %d clients, %+v, want %+v", c.name, got.Clients, n, c.want)
		}
	}
	if v := router.Combine("s", nil); v.Clients != 0 || len(v.Nodes) != 0 || v.Nodes == nil {
		t.Errorf("of no reports: %+v", v)
	}
}

func round(v float64) float64 { return math.Round(v*1e9) / 1e9 }

// How much slower than others an instance is: its median in the median of the medians,
// within bounds, and one if nothing is known.
func TestHowMuchSlowerReportsMakeAnInstance(t *testing.T) {
	for _, c := range []struct {
		name string
		ms   []float64 // of each node; 0: no latency is known
		want []float64
	}{
		{"equal", []float64{10, 10, 10}, []float64{1, 1, 1}}, {"one of three", []float64{10, 10, 20}, []float64{1, 1, 2}},
		{"of two the faster is the median", []float64{10, 20}, []float64{1, 2}}, {"of four the second", []float64{10, 20, 40, 80}, []float64{.5, 1, 2, 4}},
		{"within bounds", []float64{1, 10, 100}, []float64{.25, 1, 4}}, {"unknown", []float64{0, 10, 20}, []float64{1, 1, 2}}, {"all unknown", []float64{0, 0}, []float64{1, 1}}, {"alone", []float64{50}, []float64{1}},
	} {
		r := seen("a", 1)
		for i, ms := range c.ms {
			n := router.NodeReport{ID: fmt.Sprint("n", i), Success: 1, Latency: router.Sketch{}}
			if ms > 0 {
				n.Latency.Add(millis(ms))
			}
			r.Nodes = append(r.Nodes, n)
		}
		v := router.Combine("s", []router.Report{r})
		for i, want := range c.want {
			if got := v.Nodes[fmt.Sprint("n", i)].Slower; math.Abs(got/want-1) > .13 || (want == 1) != (got == 1) {
				t.Errorf("%s: instance %d is said to take %v of what is usual, want %v", c.name, i, got, want)
			}
		}
	}
}

// In what is slow no client counts for more than four times the calls of the median
// one, nor for less than ten calls.
func TestOneClientsLatenciesAreBounded(t *testing.T) {
	for _, c := range []struct {
		name string
		fast int // calls of each of two clients, of 10 ms
		slow int // calls of a third one, of 80 ms
		p50  float64
	}{
		{"four times as many", 20, 80, 80}, {"as many as both", 20, 41, 80}, {"fewer", 20, 39, 10},
		{"thousands count for four times", 100, 1_000_000, 80},
		{"of few calls ten count", 1, 9, 80}, {"of few calls no more than ten count", 5, 1_000_000, 80},
	} {
		slow := node(c.slow, 80, nil)
		r := []router.Report{seen("a", 1, node(c.fast, 10, nil)), seen("b", 1, node(c.fast, 10, nil)), seen("c", 1, slow)}
		if got := inMillis(router.Combine("s", r).Nodes["n0"].P50); math.Abs(got/c.p50-1) > .13 {
			t.Errorf("%s: the median is %v ms, want about %v", c.name, got, c.p50)
		}
		if got := inMillis(router.Combine("s", r).Nodes["n0"].P99); math.Abs(got/80-1) > .13 {
			t.Errorf("%s: the 99th percentile is %v ms, want about 80", c.name, got)
		}
	}
	// Among five clients a liar counts for no more than the four others.
	var r []router.Report
	for i := range 5 {
		r = append(r, seen(fmt.Sprint(i), 1, node(100, 10, nil)))
	}
	r = append(r, seen("liar", 1, node(1_000_000, 80, nil)))
	if got := inMillis(router.Combine("s", r).Nodes["n0"].P50); got > 12 {
		t.Errorf("one of six clients made the median %v ms, want 10", got)
	}
}

// Each latency has its bucket: four double it, from a microsecond on.
func TestBucketsOfASketch(t *testing.T) {
	const us = time.Microsecond
	for d, want := range map[time.Duration]int{
		-time.Second: 0, 0: 0, us - 1: 0, us: 0, 2*us - 1: 0, 2 * us: 4, 3 * us: 6, 4 * us: 8, 5 * us: 9, 6 * us: 10, 7 * us: 11, 8 * us: 12, 10 * us: 13,
		1023 * us: 39, 1024 * us: 40, time.Hour: 126, 100 * time.Hour: 127, math.MaxInt64: 127,
	} {
		s := router.Sketch{}
		s.Add(d)
		if s[want] != 1 || len(s) != 1 {
			t.Errorf("%v is in %v, want bucket %d", d, s, want)
		}
	}
	for _, c := range []struct {
		s     router.Sketch
		count uint64
		q     map[float64]int // the bucket of a quantile; -1: 0
	}{
		{nil, 0, map[float64]int{.5: -1}}, {router.Sketch{0: 1}, 1, map[float64]int{.01: 0, .5: 0, 1: 0}}, {router.Sketch{127: 2}, 2, map[float64]int{.5: 127, 1: 127}},
		{router.Sketch{-1: 9, 5: 1, 128: 9}, 1, map[float64]int{.5: 5, 1: 5}}, {router.Sketch{4: 1, 8: 1}, 2, map[float64]int{.5: 4, .51: 8, 1: 8}},
		{router.Sketch{4: 99, 8: 1}, 100, map[float64]int{.5: 4, .99: 4, .995: 8}}, {router.Sketch{4: 0, 8: 1}, 1, map[float64]int{0: 8, .5: 8}},
		{router.Sketch{4: math.MaxUint64, 8: math.MaxUint64}, 2 << 40, map[float64]int{.5: 4, .6: 8}},
	} {
		if got := c.s.Count(); got != c.count {
			t.Errorf("%v counts %d, want %d", c.s, got, c.count)
		}
		for q, bucket := range c.q {
			want := time.Duration(0)
			if bucket >= 0 {
				want = (router.Sketch{bucket: 1}).Quantile(.5)
			}
			if got := c.s.Quantile(q); got != want {
				t.Errorf("the quantile %v of %v is %v, want %v", q, c.s, got, want)
			}
		}
	}
}

// Who follows an exchange in memory hears the newest of each client at once, then
// what comes, until its context ends.
func TestExchangeInMemory(t *testing.T) {
	for _, c := range []struct {
		service string
		known   []string // of reports a1 a2 of s, b1 of s, a1 of t
		views   []string
	}{{"s", []string{"s a 2", "s b 1"}, []string{"s 2"}}, {"t", []string{"t a 1"}, nil}, {"", []string{"s a 2", "s b 1", "t a 1"}, []string{"s 2"}}, {"u", nil, nil}} {
		synctest.Test(t, func(t *testing.T) {
			x := router.Memory()
			report := func(service, client string, seq uint64) {
				if err := x.Publish(t.Context(), router.Report{Service: service, Client: client, Seq: seq}); err != nil {
					t.Error(err)
				}
			}
			report("s", "a", 1)
			report("s", "a", 2)
			report("s", "b", 1)
			report("t", "a", 1)
			x.PublishView(t.Context(), router.View{Service: "s", Seq: 1})
			x.PublishView(t.Context(), router.View{Service: "s", Seq: 2})
			cause := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			var got [2]map[string]int
			views := map[string]int{}
			ended := make(chan error, 3)
			var ends [2]context.CancelFunc
			for i := range got {
				got[i] = map[string]int{}
				own, end := context.WithCancel(ctx)
				ends[i] = end
				go func() {
					ended <- x.Reports(own, c.service, func(r router.Report) { got[i][fmt.Sprint(r.Service, " ", r.Client, " ", r.Seq)]++ })
				}()
				synctest.Wait()
			}
			go func() {
				ended <- x.Views(ctx, c.service, func(v router.View) { views[fmt.Sprint(v.Service, " ", v.Seq)]++ })
			}()
			synctest.Wait()
			heard := slices.Sorted(maps.Keys(got[0]))
			if !slices.Equal(heard, c.known) || !maps.Equal(got[0], got[1]) || !slices.Equal(slices.Sorted(maps.Keys(views)), c.views) {
				t.Errorf("%q hears %v and the views %v at first, want %v and %v", c.service, heard, views, c.known, c.views)
			}
			ends[0]()
			synctest.Wait()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			report("s", "c", 1)
			x.PublishView(t.Context(), router.View{Service: "s", Seq: 3})
			want := 0
			if c.service == "" || c.service == "s" {
				want = 1
			}
			if got[0]["s c 1"] != 0 || got[1]["s c 1"] != want || views["s 3"] != want {
				t.Errorf("%q: the one that ended heard %v, the other %v and the views %v", c.service, got[0], got[1], views)
			}
			cancel(cause)
			for range 2 {
				if err := <-ended; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
			}
			ends[1]()
		})
	}
}
