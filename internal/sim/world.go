package sim

import (
	"cmp"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// World is code under simulation: what may happen to it, and what must hold.
type World struct {
	Seeds int                // run by Test, from 1 on, unless SIM_SEEDS says otherwise
	Known []Case             // found once, run first, always
	Run   func(*Sim)         // builds the world, plays the faults, checks, and closes all that it made
	Draw  func(*Sim) []Fault // makes up the faults; nil: Mix
	Mix   Mix
}

// Case is a run that once failed.
type Case struct {
	Name   string // what was wrong, in words
	Seed   uint64
	Faults []Fault // those that it takes; nil: all that the seed makes up
}

// outcome is what came of one run.
type outcome struct {
	failures []string
	log      []string
	faults   []Fault // as they were played, with what became of them
	virtual  time.Duration
}

func (o *outcome) failed() bool { return len(o.failures) > 0 }

// Test runs w: the known cases, then the seeds 1 to w.Seeds, each in a synctest
// bubble of its own. The first seed that fails is shrunk, reported, and ends the test.
// The race detector makes a world seven times as slow, and what it finds it finds in a
// few runs: under it every tenth known case and every tenth seed is run, two of each at
// the least. CI runs all of them without it.
//
// SIM_SEEDS is another number of seeds, SIM_FIRST another first one. SIM_SEED
// runs one seed alone and prints all that happened in it. SIM_FIND only looks for
// a seed that fails: the known cases are left out, and nothing is shrunk.
func Test(t *testing.T, w World) {
	t.Helper()
	if one := number(t, "SIM_SEED", 0); one != 0 {
		out := w.play(t, one, w.faults(one))
		t.Log(out.report(one, "all that happened", len(out.log)))
		if out.failed() {
			t.Fail()
		}
		return
	}
	find := os.Getenv("SIM_FIND") != ""
	known := w.Known
	if find {
		known = nil
	}
	first, seeds := number(t, "SIM_FIRST", 1), number(t, "SIM_SEEDS", uint64(w.Seeds))
	some := raceEnabled && os.Getenv("SIM_SEEDS") == ""
	for i, c := range known {
		if uint64(i)%step(uint64(len(known)), some) != 0 {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: known case %d, seed %d\n", t.Name(), i, c.Seed)
		faults := c.Faults
		if faults == nil {
			faults = w.faults(c.Seed)
		}
		if out := w.play(t, c.Seed, faults); out.failed() {
			t.Errorf("a fault that was known is back: %s\n%s", c.Name, out.report(c.Seed, "", keepLines))
		}
	}
	var faults, done int
	var virtual time.Duration
	start := time.Now()
	fmt.Fprintf(os.Stderr, "%s: seeds", t.Name())
	for seed := first; seed < first+seeds && !t.Failed(); seed += step(seeds, some) {
		if done > 0 && done%20 == 0 {
			fmt.Fprintln(os.Stderr)
		}
		fmt.Fprintf(os.Stderr, " %d", seed) // the last one before a panic, or the end of go test's patience, is the one to blame
		plan := w.faults(seed)
		out := w.play(t, seed, plan)
		for _, f := range out.faults {
			if f.skipped == "" {
				faults++
			}
		}
		done++
		virtual += out.virtual
		switch {
		case out.failed() && find:
			t.Error(out.report(seed, "", keepLines))
		case out.failed():
			t.Error(w.explain(t, seed, plan, out))
		}
	}
	fmt.Fprintln(os.Stderr)
	took := time.Since(start)
	t.Logf("%d seeds in %v, %.1f a second; %.1f faults a seed; %v of virtual time", done, took.Round(time.Millisecond),
		float64(done)/took.Seconds(), float64(faults)/float64(max(done, 1)), virtual.Round(time.Second))
}

// step leads from one run of n to the next: of some to the tenth, as long as two are left.
func step(n uint64, some bool) uint64 {
	if !some {
		return 1
	}
	return min(10, (n+1)/2)
}

func number(t *testing.T, name string, otherwise uint64) uint64 {
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		t.Fatalf("%s=%q: %v", name, text, err)
	}
	return n
}

// faults makes up a seed's faults.
func (w *World) faults(seed uint64) []Fault {
	s := &Sim{seed: seed}
	if w.Draw != nil {
		return sorted(w.Draw(s))
	}
	return sorted(w.Mix.Draw(s.Dice("faults")))
}

func sorted(faults []Fault) []Fault {
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}

// play runs one seed with the given faults.
func (w *World) play(t *testing.T, seed uint64, faults []Fault) (out outcome) {
	s := &Sim{seed: seed, plan: faults}
	defer func() {
		// A bubble whose goroutines all wait for each other, or outlive its body, panics here.
		if r := recover(); r != nil {
			text := fmt.Sprint(r)
			if !strings.Contains(text, "deadlock") {
				panic(r)
			}
			s.Failf("something waits indefinitely: %s\n%s", text, debug.Stack())
			out = s.outcome()
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		s.enter(t)
		w.Run(s)
		s.leave()
	})
	return s.outcome()
}
