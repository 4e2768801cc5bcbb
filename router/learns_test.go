package router_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
)

// What something else routed teaches as much as what was picked here.
func TestRecordedTrafficIsLearntFrom(t *testing.T) {
	w := on(t, fleet(3), router.WithEjection(router.Ejection{Base: time.Hour, Max: time.Hour}))
	record := func(service, id string, n int, o router.Outcome) {
		for range n {
			w.Router.Record(router.Sample{Service: service, Instance: id, Outcome: o})
		}
	}
	record("greeter", "n0000", 1, ok("")) // not known yet: nothing to learn of
	w.pick(t).Done(router.Outcome{Class: router.Cancelled})
	record("greeter", "n0001", 40, router.Outcome{Latency: 30 * time.Millisecond})
	record("greeter", "n0002", 5, router.Outcome{Class: router.ServerError})
	record("greeter", "n0009", 5, ok(""))
	record("other", "n0001", 5, router.Outcome{Class: router.ServerError})
	for id, want := range map[string][3]uint64{"n0000": {}, "n0001": {40, 0}, "n0002": {0, 5, 1}} {
		s := w.stat(t, id)
		if s.Outcomes[router.OK] != want[0] || s.Outcomes[router.ServerError] != want[1] || s.Ejected != (want[2] == 1) {
			t.Errorf("%s: %v, ejected %v, want %v", id, s.Outcomes, s.Ejected, want)
		}
	}
	if l := w.stat(t, "n0001").Latency; l != 30*time.Millisecond {
		t.Errorf("its latency is %v, want 30 ms", l)
	}
	if got := w.shares(t, 100, ok); got["n0002"] != 0 {
		t.Errorf("what recorded failures ejected got %d of 100 calls", got["n0002"])
	}
}

// Close tells the others what was seen since the last report.
func TestCloseSharesWhatWasSeenLast(t *testing.T) {
	for _, calls := range []int{0, 7} {
		x := router.Memory()
		w := on(t, fleet(3), router.WithSharing(x, router.Sharing{Interval: time.Hour}))
		w.shares(t, calls, ok)
		if err := w.Router.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		heard, reports := uint64(0), 0
		x.Reports(ctx, "greeter", func(r router.Report) {
			reports++
			for _, n := range r.Nodes {
				heard += n.Outcomes[router.OK]
			}
		})
		if heard != uint64(calls) || (reports > 0) != (calls > 0) {
			t.Errorf("%d reports of %d calls were shared, want %d calls", reports, heard, calls)
		}
	}
}

// An instance that does well on its trial is in rotation again, and one failure
// more does not throw it out; one that fails its trial is out for longer.
func TestTrialsDecideWhoIsBack(t *testing.T) {
	for _, well := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := on(t, fleet(3), router.WithStrategy(router.RoundRobin()), router.WithEjection(router.Ejection{Base: 10 * time.Second}))
			others := router.Exclude("n0001", "n0002")
			w.shares(t, 4, failing("n0000"), others)
			if w.stat(t, "n0000").Ejected {
				t.Error("ejected after four failures, want five")
			}
			w.shares(t, 1, failing("n0000"), others)
			if s := w.stat(t, "n0000"); !s.Ejected {
				t.Error("not ejected after five failures")
			}
			time.Sleep(12 * time.Second)
			if s := w.stat(t, "n0000"); s.Ejected {
				t.Errorf("still ejected after its time: %+v", s)
			}
			if well {
				w.shares(t, 1, ok, others)
			}
			w.shares(t, 1, failing("n0000"), others)
			if s := w.stat(t, "n0000"); s.Ejected == well {
				t.Errorf("its trial went well: %v; after one failure more it is ejected: %v", well, s.Ejected)
			}
			time.Sleep(12 * time.Second)
			if s := w.stat(t, "n0000"); s.Ejected == well {
				t.Errorf("its trial went well: %v; 12 s later it is ejected: %v, want twice as long as the first time", well, s.Ejected)
			}
		})
	}
}

// What a call must not go to is passed over for the next best, not for any.
func TestExclusionLeavesTheNextBest(t *testing.T) {
	for _, c := range []struct {
		exclude []string
		want    string
	}{{nil, "n0000"}, {[]string{"n0000"}, "n0001"}, {[]string{"n0000", "n0001"}, "n0002"}} {
		w, clock := fixed(t, fleet(5), 7, neverEject())
		took := func(id string) router.Outcome {
			place := map[string]int{"n0000": 1, "n0001": 4, "n0002": 16, "n0003": 64, "n0004": 64}[id]
			return router.Outcome{Latency: time.Duration(place) * 10 * time.Millisecond}
		}
		for range 400 {
			w.shares(t, 1, took)
			clock.forward(10 * time.Millisecond)
		}
		for _, in := range fleet(5) { // each is known well
			others := []string{}
			for _, o := range fleet(5) {
				if o.ID != in.ID {
					others = append(others, o.ID)
				}
			}
			w.shares(t, 40, took, router.Exclude(others...))
		}
		clock.forward(1500 * time.Millisecond) // a refresh, less than what asks idle ones again
		if got := w.shares(t, 100, took, router.Exclude(c.exclude...)); got[c.want] < 95 {
			t.Errorf("without %v: got %v, want %s", c.exclude, got, c.want)
		}
	}
}
