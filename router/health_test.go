package router_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// Each limit of ejection, right below it, at it and above it.
func TestEjectionAtItsLimits(t *testing.T) {
	row := router.Ejection{Consecutive: 3, Share: 1}
	share := router.Ejection{Consecutive: 1000, Share: .5}
	const begin = "f1 " // the first failure begins to count
	for _, c := range []struct {
		policy router.Ejection
		calls  string
		reason string
	}{
		{row, "2*f1", ""}, {row, "3*f1", "3 failures in a row"}, {row, "2*f1 1 2*f1", ""}, {row, "2*f1 1 3*f1", "3 failures in a row"},
		{row, "2*f1 c1 f1", "3 failures in a row"}, {row, "2*f1 e1 f1", ""}, {router.Ejection{}, "4*f1", ""}, {router.Ejection{}, "5*f1", "5 failures in a row"},
		{share, begin + "9*f1", ""}, {share, begin + "10*f1", "100 % of 10 calls failed"},
		{share, begin + "5*c1 9*f1", ""}, {share, begin + "e1 8*f1", ""}, {share, begin + "e1 9*f1", "90 % of 10 calls failed"},
		{share, begin + "5*1 5*f1", ""}, {share, begin + "5*1 6*f1", "55 % of 11 calls failed"}, {share, begin + "30*1 30*f1", ""}, {share, "30*1 11*f1", "100 % of 10 calls failed"},
	} {
		w, _ := still(t, fleet(4), router.WithEjection(c.policy))
		w.called(t, "n0000", c.calls)
		if s := w.stat(t, "n0000"); s.Reason != c.reason || s.Ejected != (c.reason != "") || (s.Ejections == 1) != s.Ejected || s.Ejected == s.Until.IsZero() {
			t.Errorf("%+v after %q: ejected %v for %q, %d times, until %v; want %q", c.policy, c.calls, s.Ejected, s.Reason, s.Ejections, s.Until, c.reason)
		}
	}
}

// The share of failures is that of the last ten to twenty seconds.
func TestOldFailuresDoNotEject(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name  string
		calls map[time.Duration]string // by when
		want  bool
	}{
		{"all at once", map[time.Duration]string{0: "f1 10*f1"}, true},
		{"just within", map[time.Duration]string{0: "f1 5*f1", 20*s - 1: "5*f1"}, true},
		{"too old", map[time.Duration]string{0: "f1 5*f1", 20 * s: "5*f1"}, false},
		{"too old, but new ones are enough", map[time.Duration]string{0: "f1 5*f1", 20 * s: "11*f1"}, true},
		{"the second window begins in time, just within", map[time.Duration]string{0: "f1 5*f1", 10 * s: "f1", 20*s - 1: "4*f1"}, true},
		{"the second window begins in time, too old", map[time.Duration]string{0: "f1 5*f1", 10 * s: "f1", 20 * s: "9*f1"}, false},
		{"the second window counts", map[time.Duration]string{0: "f1 5*f1", 10 * s: "f1", 20 * s: "10*f1"}, true},
		{"good ones get old, too", map[time.Duration]string{0: "f1 50*1", 10 * s: "f1", 20 * s: "10*f1"}, true},
		{"good ones that are not old", map[time.Duration]string{0: "f1", 10 * s: "f1 50*1", 20 * s: "10*f1"}, false},
	} {
		w, clock := still(t, fleet(4), router.WithEjection(router.Ejection{Consecutive: 1000}))
		var at []time.Duration
		for when := range c.calls {
			at = append(at, when)
		}
		slices.Sort(at)
		for _, when := range at {
			clock.until(when)
			w.called(t, "n0000", c.calls[when])
		}
		if got := w.stat(t, "n0000").Ejected; got != c.want {
			t.Errorf("%s: ejected %v, want %v", c.name, got, c.want)
		}
	}
}

// No more are out than the cap says, but one may always be of two or more.
func TestCapOfEjections(t *testing.T) {
	for _, c := range []struct {
		instances int
		share     float64
		want      int
	}{{1, 1, 0}, {2, 0, 1}, {2, .4, 1}, {2, 1, 2}, {3, 0, 1}, {4, .5, 2}, {4, .74, 2}, {4, .75, 3}, {7, 0, 2}, {10, 0, 3}, {10, .4, 4}} {
		w, _ := still(t, fleet(c.instances), router.WithEjection(router.Ejection{Cap: c.share}))
		for _, in := range fleet(c.instances) {
			w.called(t, in.ID, "9*f1")
		}
		out := 0
		for _, s := range w.Router.Stats("greeter") {
			if s.Ejected {
				out++
			}
		}
		if out != c.want {
			t.Errorf("%d instances, cap %v: %d are out, want %d", c.instances, c.share, out, c.want)
		}
	}
}

// An instance that is far slower than its peers goes out with the next tick.
func TestSlowerThanItsPeers(t *testing.T) {
	for _, c := range []struct {
		name  string
		calls []string // of each instance; the first is the slow one
		want  bool
	}{
		{"three times as slow", []string{"21*30", "21*10", "21*10", "21*10", "21*10"}, false},
		{"slower than that", []string{"21*30.1", "21*10", "21*10", "21*10", "21*10"}, true},
		{"of four", []string{"21*90", "21*10", "21*10", "21*10"}, false},
		{"twenty answers", []string{"20*31", "20*10", "20*10", "20*10", "20*10"}, true},
		{"an answer less", []string{"19*31", "20*10", "20*10", "20*10", "20*10", "20*10"}, false},
		{"a peer of which little is known", []string{"20*31", "19*10", "20*10", "20*10", "20*10"}, false},
		{"a peer whose latency is not known", []string{"20*31", "20*0", "20*10", "20*10", "20*10"}, false},
		{"a peer that is out", []string{"20*31", "20*10 5*f1", "20*10", "20*10", "20*10"}, false},
		{"failures are no answers", []string{"20*31", "19*10 f10", "20*10", "20*10", "20*10"}, false},
		{"the median of unequal ones", []string{"21*76", "21*5", "21*10", "21*20", "21*30", "21*25"}, true},
		{"just not of these", []string{"21*75", "21*5", "21*10", "21*20", "21*30", "21*25"}, false},
	} {
		w, clock := still(t, fleet(len(c.calls)), router.WithEjection(router.Ejection{Base: time.Minute}))
		for i, calls := range c.calls {
			w.called(t, fmt.Sprintf("n%04d", i), calls)
		}
		w.tick(t, clock, "n0002")
		s := w.stat(t, "n0000")
		if s.Ejected != c.want || s.Ejected && (s.Reason != "slower than its peers" || s.Latency >= millis(30)) {
			t.Errorf("%s: ejected %v for %q with a latency of %v, want %v", c.name, s.Ejected, s.Reason, s.Latency, c.want)
		}
		if s := w.stat(t, "n0002"); s.Ejected {
			t.Errorf("%s: a quick one is ejected for %q", c.name, s.Reason)
		}
	}
}

// One that is out is not thrown out again for what it was.
func TestSlowOneThatIsOutStaysOutForItsTime(t *testing.T) {
	w, clock := still(t, fleet(6))
	for i := range 6 {
		w.called(t, fmt.Sprintf("n%04d", i), []string{"21*90 5*f1", "21*10"}[min(i, 1)])
	}
	w.tick(t, clock, "n0002")
	if s := w.stat(t, "n0000"); !s.Ejected || s.Ejections != 1 || s.Reason != "5 failures in a row" {
		t.Errorf("ejected %v %d times, for %q, want once, for its failures", s.Ejected, s.Ejections, s.Reason)
	}
}

// Each ejection is longer than the one before by as much as the first, up to a
// bound, and shorter again by half a minute that went well.
func TestHowLongAnEjectionLasts(t *testing.T) {
	others := only(3, "n0000")
	for _, c := range []struct {
		name  string
		steps string // f: fails on trial; g: does well on trial, and fails five times; a number: ticks before; last, how long it is out then
		want  time.Duration
	}{
		{"once", "", 2 * time.Second}, {"twice", "f", 4 * time.Second}, {"three times", "f f", 6 * time.Second}, {"four times", "f f f", 7 * time.Second},
		{"again", "g", 4 * time.Second}, {"after a while", "29 g", 2 * time.Second}, {"a tick less", "28 g", 4 * time.Second},
		{"after two", "59 g", 2 * time.Second}, {"out all the while", "w f", 4 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, clock := still(t, fleet(3), router.WithEjection(router.Ejection{Max: 7 * time.Second}))
			w.called(t, "n0000", "5*f1")
			out := 2 * time.Second
			for i, step := range strings.Fields(c.steps) {
				clock.forward(out)
				ticks := 0
				fmt.Sscan(step, &ticks)
				switch {
				case step == "w": // nobody calls it for long after its time
					for range 70 {
						w.tick(t, clock, "n0001")
					}
					out = 0
				case ticks > 0:
					w.shares(t, 1, ok, others)
					for range ticks {
						w.tick(t, clock, "n0001")
					}
					out = 0
				case step == "g":
					w.shares(t, 1, ok, others)
					w.called(t, "n0000", "5*f1")
				default:
					w.called(t, "n0000", "f1")
					if s := w.stat(t, "n0000"); s.Reason != "failed its trial" || s.Ejections < 2 {
						t.Errorf("step %d: ejected %d times, for %q", i, s.Ejections, s.Reason)
					}
				}
				if step == "f" || step == "g" {
					out = min(time.Duration(w.stat(t, "n0000").Ejections)*2*time.Second, 7*time.Second)
				}
			}
			clock.forward(c.want - 1)
			if !w.stat(t, "n0000").Ejected {
				t.Errorf("it is back before %v are over", c.want)
			}
			clock.forward(1)
			if s := w.stat(t, "n0000"); s.Ejected || !s.Until.IsZero() || s.Reason != "" {
				t.Errorf("it is still out after %v: %v, %v, %q", c.want, s.Ejected, s.Until, s.Reason)
			}
		})
	}
}

// The length of an ejection varies by a tenth, so that not all come back at once.
func TestEjectionsVaryByATenth(t *testing.T) {
	for _, c := range []struct {
		draw uint64
		want time.Duration
	}{{0, 1800 * time.Millisecond}, {1 << 63, 2 * time.Second}, {math.MaxUint64, 2200 * time.Millisecond}} {
		w, clock := still(t, fleet(3), router.WithRandom(func() uint64 { return c.draw }))
		w.called(t, "n0000", "5*f1")
		clock.forward(c.want - time.Millisecond)
		before := w.stat(t, "n0000").Ejected
		clock.forward(2 * time.Millisecond)
		if after := w.stat(t, "n0000").Ejected; !before || after {
			t.Errorf("draw %x: out %v before %v, and %v after", c.draw, before, c.want, after)
		}
	}
}

// What was sent before an ejection neither ends it nor makes it longer; a trial
// does.
func TestWhatDecidesAboutOneThatIsOut(t *testing.T) {
	for _, c := range []struct {
		name, early, late string // calls while it is out, and after its time
		out               bool
		ejections         uint64
	}{
		{"nothing", "", "", false, 1}, {"late failures", "9*f1", "", false, 1}, {"late answers", "9*1", "5*f1", true, 2},
		{"a good trial", "", "1 4*f1", false, 1}, {"a good trial, and a row of failures", "", "1 5*f1", true, 2},
		{"a bad trial", "", "f1", true, 2}, {"its caller gave up", "", "c1", false, 1}, {"its caller's fault", "", "e1 4*f1", false, 1},
	} {
		w, clock := still(t, fleet(3))
		w.called(t, "n0000", "5*f1")
		clock.forward(time.Second)
		w.called(t, "n0000", c.early)
		if s := w.stat(t, "n0000"); !s.Ejected || s.Ejections != 1 {
			t.Errorf("%s: after a second it is out %v, %d times", c.name, s.Ejected, s.Ejections)
		}
		clock.forward(time.Second)
		w.called(t, "n0000", c.late)
		if s := w.stat(t, "n0000"); s.Ejected != c.out || s.Ejections != c.ejections {
			t.Errorf("%s: it is out %v, %d times, want %v, %d times", c.name, s.Ejected, s.Ejections, c.out, c.ejections)
		}
	}
}

// One that is back begins again: nearly well, and with a tenth of its weight.
func TestOneThatIsBackBeginsSlowly(t *testing.T) {
	w, clock := still(t, fleet(4), router.WithEjection(router.Ejection{Consecutive: 20}))
	clock.forward(time.Minute)
	w.tick(t, clock, "n0001") // none is new any more
	w.called(t, "n0000", "21*10 20*f10")
	if s := w.stat(t, "n0000"); s.Success > .4 || s.Weight != 1 {
		t.Fatalf("success %v, weight %v", s.Success, s.Weight)
	}
	clock.forward(2 * time.Second)
	w.pick(t, only(4, "n0000")).Done(router.Outcome{Latency: millis(10)})
	s := w.stat(t, "n0000")
	if s.Success != .9 || s.Weight != .1 {
		t.Errorf("success %v, weight %v, want it nearly well, with a tenth of its weight", s.Success, s.Weight)
	}
	w.pick(t, only(4, "n0000"))
	if got, want := w.score(t, "n0000"), 10/(.9*.9)*(10+1); !near(got, want, 1e-6) {
		t.Errorf("a second call in flight costs %v ms, want about %v: its weight is a tenth", got, want)
	}
	for _, c := range []struct {
		after time.Duration
		want  float64
	}{{3 * time.Second, .1}, {9 * time.Second, .4}, {18*time.Second - 1, 1}, {1, 1}} {
		if clock.forward(c.after); !near(w.stat(t, "n0000").Weight, c.want, 1e-6) {
			t.Errorf("%v more: its weight is %v, want %v", c.after, w.stat(t, "n0000").Weight, c.want)
		}
	}
}

// Below the threshold of WithPanic, or if none is left, health is ignored at once.
func TestPanicAtItsThreshold(t *testing.T) {
	for _, c := range []struct {
		share float64
		out   int
		want  bool
	}{{.5, 1, false}, {.5, 2, false}, {.5, 3, true}, {.5, 4, true}, {0, 3, false}, {0, 4, true}, {1, 0, false}, {1, 1, true}} {
		w, clock := still(t, fleet(4), router.WithPanic(c.share), router.WithEjection(router.Ejection{Cap: 1, Base: time.Minute}))
		for i := range c.out {
			w.called(t, fmt.Sprintf("n%04d", i), "5*f1")
		}
		for _, when := range []string{"at once", "after a tick"} {
			p := w.pick(t)
			p.Done(router.Outcome{Class: router.Cancelled})
			if e := w.Explain("greeter"); e.Panic != c.want || p.Panic != c.want || e.Healthy != 4-c.out {
				t.Errorf("%v: %d of 4 out, threshold %v: panic %v, of a pick %v, %d healthy; want %v", when, c.out, c.share, e.Panic, p.Panic, e.Healthy, c.want)
			}
			clock.forward(time.Second)
		}
		labelled := router.Labels(map[string]string{})
		if e := w.Explain("greeter", labelled); e.Panic != c.want {
			t.Errorf("with no labels: panic %v", e.Panic)
		}
	}
}

// Panic of a subset, by labels or by rule, is found with the next tick.
func TestPanicOfSubsetsIsFoundWithATick(t *testing.T) {
	all := fleet(6)
	for i := range all {
		all[i].Version, all[i].Labels = fmt.Sprint(i%2), map[string]string{"half": fmt.Sprint(i % 2)}
	}
	half := router.Labels(map[string]string{"half": "0"})
	rule := router.Rule{Name: "odd", Service: "greeter", Strict: true, Branches: []router.Branch{{Variant: "v", Version: "0", Weight: 100}}}
	for name, c := range map[string]struct {
		router []router.Option
		call   []router.SelectOption
	}{
		"labels": {nil, []router.SelectOption{half}}, "rule": {[]router.Option{router.WithRules(rule)}, nil}, "rule and labels": {[]router.Option{router.WithRules(rule)}, []router.SelectOption{half}},
	} {
		w, clock := still(t, all, append(c.router, router.WithEjection(router.Ejection{Cap: 1, Base: time.Minute}))...)
		w.pick(t, c.call...).Done(router.Outcome{Class: router.Cancelled})
		for _, id := range []string{"n0000", "n0002"} {
			w.called(t, id, "5*f1")
		}
		if e := w.Explain("greeter", c.call...); e.Panic || e.Matching != 3 {
			t.Errorf("%s: before the tick there is panic %v among %d", name, e.Panic, e.Matching)
		}
		clock.forward(time.Second)
		w.pick(t, c.call...).Done(router.Outcome{Class: router.Cancelled})
		if e := w.Explain("greeter", c.call...); !e.Panic {
			t.Errorf("%s: one of three is in rotation, and there is no panic", name)
		}
	}
}

// A pick that is not Done counts for the lease at least and twice as long at
// most. One that is Done later takes nothing from the picks that are open then.
func TestPickCountsForItsLease(t *testing.T) {
	for _, c := range []struct {
		after time.Duration // in steps of half a minute
		want  int
	}{{0, 1}, {30 * time.Second, 1}, {time.Minute, 1}, {90 * time.Second, 1}, {2 * time.Minute, 0}, {3 * time.Minute, 0}} {
		w, clock := still(t, fleet(1), router.WithLease(time.Minute))
		p := w.pick(t)
		for at := time.Duration(0); at < c.after; at += 30 * time.Second {
			clock.forward(30 * time.Second)
			w.pick(t).Done(ok(""))
		}
		if got := w.stat(t, "n0000").InFlight; got != c.want {
			t.Errorf("after %v: %d in flight, want %d", c.after, got, c.want)
		}
		another := w.pick(t)
		p.Done(ok(""))
		if got := w.stat(t, "n0000").InFlight; got != 1 {
			t.Errorf("after %v, with another pick open and the first one done: %d in flight, want 1", c.after, got)
		}
		another.Done(ok(""))
		if got := w.stat(t, "n0000").InFlight; got != 0 {
			t.Errorf("after %v, with both done: %d in flight", c.after, got)
		}
	}
}
