package router_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
)

// script plays with the breaker of the only instance of a router. Each word is
//
//	3b      so many calls that get through and go well (g), badly (b), or are cancelled (c)
//	2h      so many calls that get through and are under way
//	rg      the oldest of those ends
//	Rb      a call ends that the router was not asked about
//	x, x2s  a call is refused, until so long from now
//	+2s     time passes
//	=open   the state
func script(t *testing.T, p router.BreakerPolicy, draw float64, words string) {
	t.Helper()
	w, clock := still(t, fleet(1), neverEject(), router.WithRandom(func() uint64 { return uint64(draw * (1 << 63) * 2) }), router.WithBreakers(router.Breakers{BreakerPolicy: p, FailFast: true}))
	outcome := func(class byte) router.Outcome {
		return router.Outcome{Class: map[byte]router.Class{'g': router.OK, 'b': router.Timeout, 'c': router.Cancelled}[class]}
	}
	var held []router.Pick
	for i, word := range strings.Fields(words) {
		fail := func(format string, args ...any) {
			t.Helper()
			t.Errorf("%s\nat word %d, %s: %s", words, i+1, word, fmt.Sprintf(format, args...))
		}
		n := 1
		if word[0] >= '0' && word[0] <= '9' {
			n, _ = strconv.Atoi(word[:len(word)-1])
		}
		switch last := word[len(word)-1]; {
		case word[0] == '=':
			if got := w.stat(t, "n0000").Breaker.String(); got != word[1:] {
				fail("it is %s", got)
			}
		case word[0] == '+':
			d, err := time.ParseDuration(word[1:])
			if err != nil {
				t.Fatal(err)
			}
			clock.forward(d)
		case word[0] == 'x':
			_, err := w.Pick(t.Context(), "greeter")
			var open *router.OpenError
			if !errors.As(err, &open) {
				fail("got %v, want it refused", err)
			} else if word != "x" && open.After.Round(time.Millisecond).String() != word[1:] {
				fail("again in %v", open.After)
			}
		case word[0] == 'r':
			held[0].Done(outcome(last))
			held = held[1:]
		case word[0] == 'R':
			w.Record(router.Sample{Service: "greeter", Instance: "n0000", Outcome: outcome(last)})
		default:
			for k := range n {
				p, err := w.Pick(t.Context(), "greeter")
				if err != nil {
					fail("call %d: %v", k+1, err)
					return
				}
				if last == 'h' {
					held = append(held, p)
				} else {
					p.Done(outcome(last))
				}
			}
		}
	}
	for _, p := range held {
		p.Done(router.Outcome{Class: router.Cancelled})
	}
}

// What a breaker does step by step, at each moment and right before it.
func TestBreakerStepByStep(t *testing.T) {
	row := router.BreakerPolicy{Consecutive: 3, Open: 2 * time.Second, Longest: 5 * time.Second, Trials: 2, Lease: 4 * time.Second, Ramp: 10 * time.Second}
	share := router.BreakerPolicy{Consecutive: 1000, Share: .5, Least: 10, Open: 2 * time.Second, Trials: 2, Ramp: 10 * time.Second}
	hang := row
	hang.Hang = time.Second
	for _, c := range []struct {
		name   string
		policy router.BreakerPolicy
		draw   float64
		words  string
	}{
		{"a row of failures", row, .5, "2b =closed g 2b =closed b =open x2s"},
		{"cancelled calls say nothing", row, .5, "2b 9c =closed b =open"},
		{"its time", row, .5, "3b +1.999999999s x =open +1ns =half-open g =half-open g =ramping"},
		{"a tenth of a fifth sooner", row, 0, "3b x1.6s"}, {"or later", row, .999999999, "3b x2.4s"},
		{"two trials at a time", row, .5, "3b +2s 2h x rg rg =ramping"}, {"one of which has passed", row, .5, "3b +2s g h x rg =ramping"},
		{"one trial fails", row, .5, "3b +2s 2h rg rb =open x4s"}, {"what ends after that", row, .5, "3b +2s 2h rb =open rg =open +4s =half-open g =half-open g =ramping"},
		{"twice as long each time", row, .5, "3b x2s +2s b x4s +4s b x5s +5s b x5s"},
		{"from the beginning when it has closed", row, .5, "3b +2s 2g +10s g =closed 3b x2s"}, {"not when it was about to", row, .5, "3b +2s 2g +6s 3b =open x4s"},
		{"a cancelled trial makes room", row, .5, "3b +2s 2h x rc h x rg rg =ramping"},
		{"what began before", row, .5, "2h 3b rb =open +2s rg =half-open 2g =ramping"}, {"and fails on trial", row, .5, "h 3b +2s rb =half-open g =half-open"},
		{"a trial that never reports, in time", row, .5, "3b +2s h +3.999999999s h x =half-open"}, {"too late", row, .5, "3b +2s h +4s x4s =open"},
		{"it does so later", row, .5, "3b +2s h +4s x rb =open x4s"}, {"when there is room", row, .5, "3b +2s h +1s h x3s +1s x2s rc h x3s"},
		{"when both are under way", row, .5, "3b +2s 2h x4s +1s rg x3s rg =ramping"},
		{"half-way through the ramp", row, .5, "3b +2s 2g x +5s x +1ns g =ramping"}, {"a tenth at once", row, .09, "3b +2s 2g g =ramping"}, {"not more", row, .11, "3b +2s 2g x"},
		{"the end of the ramp", row, .9999, "3b +2.4s 2g +9.99s x +9.999999ms =ramping +1ns =closed g =closed"},
		{"a ramp that fails", row, .05, "3b +2s 2g 2b =ramping g 3b =open"},
		{"reports of others", row, .5, "Rb Rb =closed"}, {"a row of them", row, .5, "Rb Rb =closed Rb =open"}, {"of others while it is open", row, .5, "3b Rg =open x2s +2s Rb =half-open g Rg =half-open g =ramping Rb Rb =ramping Rb =open"},
		{"a share of ten", share, .5, "b 9b =closed b =open"}, {"half of them", share, .5, "b 5g 5b =closed b =open"}, {"good ones first", share, .5, "b 20g 20b =closed b =open"},
		{"of twenty seconds", share, .5, "b 5b +19.999999999s 4b =closed b =open"}, {"no longer", share, .5, "b 5b +20s 9b =closed"},
		{"of the last two windows", share, .5, "b 5b +10s b +9.999999999s 3b =closed b =open"}, {"not of three", share, .5, "b 5b +10s b +10s 9b =closed b =open"},
		{"it counts again after it opened", share, .5, "b 10b =open +2s 2g =ramping +6s 9b =ramping b =open"},
		{"calls that hang", hang, .5, "3h +1s g +999.999999ms g =closed +1ns x2s =open rg rg rg =open"}, {"fewer", hang, .5, "2h +1s h +1s h =closed b =open"}, {"calls that end", hang, .5, "3h +1s g rg rg rg +1s g =closed"},
		{"calls that end in time, badly", hang, .5, "3h +1s g rb rb =closed rb =open"}, {"a look at the end alone", hang, .5, "3h +5s g =closed +1s x =open"},
		{"they are counted once", hang, .5, "2h +1s h +1s g rb rb 2b =closed b =open"}, {"trials that hang have their lease", hang, .5, "3b +2s h +3.9s h =half-open rg rg =ramping"},
		{"calls that hang in the ramp", hang, .05, "3b +2s 2g 3h =ramping +1s g +1s x =open"},
	} {
		t.Run(c.name, func(t *testing.T) { script(t, c.policy, c.draw, c.words) })
	}
}

// Each of a service's first 63 methods has breakers of its own; all others share one.
func TestMethodsThatShareABreaker(t *testing.T) {
	for _, c := range []struct {
		fails, called int // numbers of methods, in the order in which they were first called
		open          bool
	}{{1, 1, true}, {1, 2, false}, {63, 63, true}, {63, 64, false}, {64, 63, false}, {64, 65, true}, {65, 64, true}, {64, 0, true}, {0, 64, true}, {0, 63, false}} {
		w, _ := still(t, fleet(1), neverEject(), router.WithBreakers(router.Breakers{PerMethod: true, FailFast: true}))
		method := func(n int) router.SelectOption {
			if n == 0 {
				return router.Method("")
			}
			return router.Method(fmt.Sprint("m", n))
		}
		for n := 1; n <= 66; n++ {
			w.pick(t, method(n)).Done(ok(""))
		}
		for range 5 {
			w.pick(t, method(c.fails)).Done(router.Outcome{Class: router.Timeout})
		}
		p, err := w.Pick(t.Context(), "greeter", method(c.called))
		if errors.Is(err, router.ErrOpen) != c.open {
			t.Errorf("method %d failed: method %d gets %v, want it open: %v", c.fails, c.called, err, c.open)
		}
		p.Done(ok(""))
		if s := w.candidate(t, "n0000", method(c.called)); (s.Breaker == router.Open) != c.open || s.Trips != 1 || s.Breakers[router.Open] != 1 || s.Breakers[router.Closed] != 63 {
			t.Errorf("method %d failed: method %d is explained as %v, of %v, %d trips", c.fails, c.called, s.Breaker, s.Breakers, s.Trips)
		}
	}
}

// What a call is told whose breakers are all open: when the first one may let it through.
func TestWhenAnInstanceMayBeTried(t *testing.T) {
	for _, c := range []struct {
		at   [2]time.Duration // when they open
		now  time.Duration
		want time.Duration
	}{{[2]time.Duration{0, 0}, 0, 10 * time.Second}, {[2]time.Duration{0, 3 * time.Second}, 4 * time.Second, 6 * time.Second}, {[2]time.Duration{3 * time.Second, 0}, 4 * time.Second, 6 * time.Second}} {
		w, clock := still(t, fleet(2), neverEject(), router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Open: 10 * time.Second}, FailFast: true}))
		for _, at := range []time.Duration{0, 3 * time.Second} {
			clock.until(at)
			for i, opens := range c.at {
				if opens == at {
					w.called(t, fmt.Sprintf("n%04d", i), "5*t1")
				}
			}
		}
		clock.until(c.now)
		_, err := w.Pick(t.Context(), "greeter")
		var open *router.OpenError
		if !errors.As(err, &open) || open.After != c.want || open.Service != "greeter" {
			t.Errorf("opened after %v, at %v: %v, want %v", c.at, c.now, err, c.want)
		}
		for _, s := range w.Router.Stats("greeter") {
			if s.InFlight != 0 {
				t.Errorf("a call that was refused is in flight at %s", s.ID)
			}
		}
	}
}

// Instances whose breakers are open are passed over by every strategy, as those that
// are ejected. If too few are left none is, unless calls fail fast: then breakers hold
// and ejections don't.
func TestWhereCallsGoWhenBreakersAreOpen(t *testing.T) {
	for _, c := range []struct {
		instances      string // o: its breaker is open, e: it is ejected
		failFast, tick bool
		want           string
		panics         bool
	}{
		{"....", false, true, "....", false}, {"o...", false, true, "...", false}, {"oo..", false, true, "..", false}, {"ooo.", false, true, "ooo.", true}, {"oooo", false, true, "oooo", true},
		{"o...", true, true, "...", false}, {"ooo.", true, true, ".", true}, {"e...", false, true, "...", false}, {"eee.", false, true, "eee.", true}, {"eee.", true, true, "eee.", true},
		{"oe..", false, true, "..", false}, {"ooe.", false, true, "ooe.", true}, {"ooe.", true, true, "e.", true}, {"oooe", true, true, "e", true}, {"oeee", true, true, "eee", true},
		// Between two ticks no panic is known, and who is left gets the calls.
		{"ooo.", false, false, ".", false}, {"oooo", false, false, "oooo", true}, {"oooe", true, false, "e", true},
	} {
		for _, s := range []router.Strategy{router.Random(), router.RoundRobin(), router.LeastLoaded(), router.WeightedRoundRobin()} {
			w, clock := still(t, fleet(4), seeded(), router.WithStrategy(s), router.WithEjection(router.Ejection{Consecutive: 3, Share: 1, Cap: 1, Base: time.Hour, Max: time.Hour}),
				router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Consecutive: 1000, Least: 10, Open: time.Hour, Longest: time.Hour}, FailFast: c.failFast}))
			for i, kind := range c.instances {
				w.called(t, fmt.Sprintf("n%04d", i), map[rune]string{'o': strings.Repeat("t1 t1 1 ", 6), 'e': "3*t1"}[kind])
			}
			if c.tick {
				clock.forward(time.Second)
			}
			got, panics := map[string]bool{}, 0
			for range 200 {
				p, err := w.Pick(t.Context(), "greeter")
				if err != nil {
					t.Fatalf("%s, fail fast %v, %v: %v", c.instances, c.failFast, s, err)
				}
				if p.Panic {
					panics++
				}
				got[p.Instance.ID] = true
				p.Done(router.Outcome{Class: router.Cancelled})
			}
			called := ""
			for i := range c.instances {
				if got[fmt.Sprintf("n%04d", i)] {
					called += c.instances[i : i+1]
				}
			}
			if called != c.want || panics != 0 && panics != 200 || (panics > 0) != c.panics {
				t.Errorf("%s, fail fast %v, tick %v, %v: calls went to %q, %d of 200 in panic; want %q, %v", c.instances, c.failFast, c.tick, s, called, panics, c.want, c.panics)
			}
		}
	}
}
