package router_test

import (
	"math"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// The latency is an average: of all answers at first, then a moving one. The
// first answer pays for cold caches, and an outlier counts for four times what
// is usual.
func TestLatencyIsAnAverageOfTheAnswers(t *testing.T) {
	for _, c := range []struct {
		calls string
		want  float64
	}{
		{"", 0}, {"0", 0}, {"10", 10}, {"10 20", 20}, {"10 20 30", 25}, {"10 20 30 40", 30},
		{"c5", 0}, {"c5 10", 10}, {"10 c5 20", 20}, {"e10", 10}, {"10 e20 e30", 25},
		{"f10", 0}, {"f10 20", 20}, // a failure says nothing of a stranger
		{"10 f4", 10}, {"10 f30", 30}, // a fast one never attracts
		{"10 20 f20 30", 25}, {"10 20 f22 30", 24}, // an average of two, and of three
		{"10 39", 39}, {"10 40", 40}, {"10 41", 40}, {"10 1000", 40}, {"10 40 1000", 100},
		{"10 18*10 40", 10 + 30./19}, {"10 19*10 40", 10 + 30./20}, {"10 20*10 40", 10 + 30./20}, {"10 40*10 40", 10 + 30./20},
	} {
		w, _ := still(t, fleet(1), neverEject())
		w.called(t, "n0000", c.calls)
		if got := inMillis(w.stat(t, "n0000").Latency); !near(got, c.want, 1e-6) {
			t.Errorf("after %q the latency is %v ms, want %v", c.calls, got, c.want)
		}
	}
}

func TestSuccessIsAMovingAverage(t *testing.T) {
	for _, c := range []struct {
		calls string
		want  float64
	}{
		{"", 1}, {"1", 1}, {"c1", 1}, {"e1", 1}, {"f1", .95}, {"o1", .95}, {"t1", .95}, {"u1", .95}, {"f1 1", .9525}, {"f1 c1", .95}, {"2*f1", .9025},
		{"f1 121*1", 1 - .05*math.Pow(.95, 121)}, {"f1 122*1", 1 - .05*math.Pow(.95, 122)}, {"f1 123*1", 1}, // in the end it is all good
	} {
		w, _ := still(t, fleet(1), neverEject())
		w.called(t, "n0000", c.calls)
		if got := w.stat(t, "n0000").Success; !near(got, c.want, 1e-12) {
			t.Errorf("after %q the success is %v, want %v", c.calls, got, c.want)
		}
	}
}

// What a call to an instance costs, beside another one that has answered in
// 10 ms: what is usual.
func TestCostFollowsFromWhatIsKnown(t *testing.T) {
	const known = "21*10 " // well, and as usual
	for _, c := range []struct {
		name, calls string
		want        float64
	}{
		{"a stranger", "", 10},
		{"one answer, which is not counted", "20", 10},
		{"a second one", "20 12", (12 + 5*10) / 6.},
		{"a fast one", "20 5", (5 + 5*10) / 6.},
		{"of few answers no more than its turn makes up for", "20 20", 11.5},
		{"also of four", "20 4*20", 11.5},
		{"five, no further off than chance", "20 5*20", 10},
		{"five, further off than chance: 1 + 5 × (1/5 - 1/20)", "60 5*60", 10 * (1 + 2.3 - 1.75)},
		{"twenty, at twice the usual", "20 20*20", 10},
		{"twenty, above it", "30 20*30", 20},
		{"a failure", known + "f0", 10 / (.95 * .95)},
		{"a refusal", known + "o0", 10 / (.95 * .95) * (1 + 10*.05/.95)},
		{"the caller's fault", known + "e0", 10},
		{"a cancelled call", known + "c900", 10},
		{"failures without end", known + "400*f0", 10 * 1e4},
		{"refusals without end", known + "400*o0", 10 * 1e4 * (1 + 10*1e4)},
	} {
		w, clock := still(t, fleet(2), neverEject())
		if got := w.score(t, "n0001"); got != 1 {
			t.Errorf("while nothing is known a call costs %v, want what is noise", got)
		}
		w.called(t, "n0000", "10")
		w.called(t, "n0001", c.calls)
		if c.calls == "" { // what is usual reaches it with the next tick
			w.tick(t, clock, "n0000")
		}
		if got := w.score(t, "n0001"); !near(got, c.want, 1e-3) {
			t.Errorf("%s: it costs %v ms, want %v", c.name, got, c.want)
		}
	}
}

// Latencies below a millisecond are noise.
func TestCostsBelowAMillisecondAreEqual(t *testing.T) {
	for _, c := range []struct{ takes, want float64 }{{.1, 1}, {.5, 1}, {1, 1}, {1.5, 1.5}} {
		w, _ := still(t, fleet(2))
		w.called(t, "n0000", ".1")
		for range 40 {
			w.Record(router.Sample{Service: "greeter", Instance: "n0001", Outcome: router.Outcome{Latency: millis(c.takes)}})
		}
		// Beyond twice the usual it is no chance.
		if got := max(w.score(t, "n0001"), 1); c.takes <= 1 && got != c.want || c.takes > 1 && got <= 1 {
			t.Errorf("calls that take %v ms cost %v, want %v", c.takes, got, c.want)
		}
	}
}

// Calls in flight count by weight: what one costs, and what the mean of all weights
// is in the instance's.
func TestCallsInFlightCostByWeight(t *testing.T) {
	all := fleet(2)
	all[0].Weight, all[1].Weight = 1, 3
	for _, c := range []struct {
		id       string
		inFlight int
		want     float64
	}{
		{"n0000", 0, 10}, {"n0000", 1, 10 * (1 + 2)}, {"n0000", 2, 10 * (1 + 4)},
		{"n0001", 0, 10}, {"n0001", 1, 10 * (1 + 2./3)}, {"n0001", 3, 10 * (1 + 2)},
	} {
		w, _ := still(t, all)
		w.called(t, "n0000", "30*10")
		w.called(t, "n0001", "30*10")
		for range c.inFlight {
			w.pick(t, only(2, c.id))
		}
		if got := w.score(t, c.id); !near(got, c.want, 1e-9) {
			t.Errorf("%s with %d calls in flight costs %v, want %v", c.id, c.inFlight, got, c.want)
		}
	}
	w, clock := still(t, all)
	w.called(t, "n0000", "30*10")
	w.tick(t, clock, "n0000")
	if c := w.candidate(t, "n0001"); c.Score != float64(10*time.Millisecond) {
		t.Errorf("a stranger costs %v, want what is usual", c.Score)
	}
	w.pick(t, only(2, "n0001"))
	if c := w.candidate(t, "n0001"); c.Score != 0 || c.InFlight != 1 {
		t.Errorf("a stranger that is being asked costs %v, want that to be unknown", c.Score)
	}
}

// What the server says of itself counts as far as it changed.
func TestWhatAServerReportsChangesItsCost(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		name  string
		loads []float64
		want  float64
	}{
		{"nothing", nil, 1}, {"the same", []float64{4, 4, 4}, 1}, {"nothing in flight", []float64{0, 0}, 1},
		{"the first that is no zero begins", []float64{0, 5}, 1},
		{"more", []float64{4, 30}, (4 + .3*26 + 1) / (4 + .05*26 + 1)}, {"less", []float64{30, 4}, (30 - .3*26 + 1) / (30 - .05*26 + 1)},
		{"at most four times", []float64{1, 1e5}, 4}, {"no bound", []float64{1, inf}, 4},
		{"negative", []float64{4, -1}, 1}, {"no number", []float64{4, math.NaN()}, 1}, {"negative at first", []float64{-1, 4}, 1},
	} {
		for _, reported := range []bool{true, false} {
			w, _ := still(t, fleet(2))
			w.called(t, "n0000", "30*10")
			w.called(t, "n0001", "30*10")
			for _, l := range c.loads { // in answers that tell nothing else
				w.Record(router.Sample{Service: "greeter", Instance: "n0001", Outcome: router.Outcome{Load: router.Load{InFlight: l, Reported: reported}}})
			}
			want := c.want
			if !reported {
				want = 1
			}
			if got := w.score(t, "n0001") / 10; !near(got, want, 1e-9) {
				t.Errorf("%s, reported %v: it costs %v times as much, want %v", c.name, reported, got, want)
			}
		}
	}
}

// A call that does not say how long it took took the time since the Pick, if it was
// sent and answered.
func TestDoneMeasuresWhatItIsNotTold(t *testing.T) {
	for _, c := range []struct {
		outcome router.Outcome
		want    float64
	}{
		{router.Outcome{}, 30}, {router.Outcome{Latency: millis(20)}, 20}, {router.Outcome{Latency: -1}, 30},
		{router.Outcome{Class: router.ServerError}, 30}, {router.Outcome{Class: router.Timeout, Latency: millis(20)}, 20},
		{router.Outcome{Class: router.Cancelled}, 10}, {router.Outcome{Class: router.Unsent}, 10}, {router.Outcome{Class: router.Unsent, Latency: millis(20)}, 20},
	} {
		w, clock := still(t, fleet(1), neverEject())
		w.called(t, "n0000", "10")
		p := w.pick(t)
		clock.ms(30)
		p.Done(c.outcome)
		if got := inMillis(w.stat(t, "n0000").Latency); got != c.want {
			t.Errorf("%+v after 30 ms: the latency is %v ms, want %v", c.outcome, got, c.want)
		}
	}
}

func TestClassesThatAreNoneAreFailures(t *testing.T) {
	for class, want := range map[router.Class]router.Class{router.Unsent: router.Unsent, router.Unsent + 1: router.ServerError, 255: router.ServerError} {
		w, _ := still(t, fleet(1), neverEject())
		w.Record(router.Sample{Service: "greeter", Instance: "n0000", Outcome: router.Outcome{Class: class}})
		if s := w.stat(t, "n0000"); s.Outcomes[want] != 1 || s.Picks != 2 || s.Success != .95 {
			t.Errorf("class %d was counted as %v, success %v, want one %v", class, s.Outcomes, s.Success, want)
		}
	}
}

// Averages that differ are followed once the calls prove that they foretell
// something: after 64 of them, or at the next tick after 8. The first six calls of an
// instance prove nothing.
func TestAveragesAreTrustedOnceCallsProveThem(t *testing.T) {
	for _, c := range []struct {
		name         string
		first, other string // calls; the usual latency is 10 ms
		tick         bool
		want         float64
	}{
		{"63 calls", "6*10 32*10", "6*20 31*20", false, 10},
		{"64 calls", "6*10 32*10", "6*20 32*20", false, 20},
		{"7 calls and a tick", "6*10 4*10", "6*20 3*20", true, 10},
		{"8 calls and a tick", "6*10 4*10", "6*20 4*20", true, (9*20 + 5*10) / 14.},
		{"failures prove nothing", "6*10 4*10", "6*20 3*20 f30", true, 10 / (.95 * .95)},
		{"equal ones", "6*10 40*10", "6*10 40*10", true, 10},
	} {
		w, clock := still(t, fleet(2), neverEject())
		w.called(t, "n0000", c.first)
		w.called(t, "n0001", c.other)
		if c.tick {
			w.tick(t, clock, "n0000")
		}
		if got := w.score(t, "n0001"); !near(got, c.want, 1e-6) {
			t.Errorf("%s: a call to the slower one costs %v ms, want %v", c.name, got, c.want)
		}
	}
}

// Calls prove nothing any more once what is usual has become more than half as
// much again, or as much less.
func TestProofsEndWhenWhatIsUsualShifts(t *testing.T) {
	for _, c := range []struct {
		was, is float64
		kept    bool
	}{{10, 15, true}, {10, 15.1, false}, {10, 40, false}, {15, 10, true}, {15.1, 10, false}} {
		w, clock := still(t, fleet(4), neverEject())
		call := func(id string, ms float64, n int) {
			for range n {
				w.Record(router.Sample{Service: "greeter", Instance: id, Outcome: router.Outcome{Latency: millis(ms)}})
			}
		}
		call("n0000", c.was, 1) // what is usual until the next tick
		for _, id := range []string{"n0000", "n0001", "n0002"} {
			call(id, c.is, 10)
		}
		call("n0003", 2*c.is, 25)
		w.tick(t, clock, "n0000")
		if got := w.score(t, "n0003") / c.is; (got > 1.5) != c.kept {
			t.Errorf("usual was %v ms and is %v: a call to one twice as slow costs %v times as much, want it followed: %v", c.was, c.is, got, c.kept)
		}
	}
}
