package sim

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

const (
	keepLines  = 60               // of the history, in a report
	tries      = 3                // how often fewer faults have to pass before they are believed to
	shrinkRuns = 150              // at most
	shrinkTime = 20 * time.Second // of the wall clock, about
)

// explain reports a seed that failed, with as few of its faults as still fail.
func (w *World) explain(t *testing.T, seed uint64, plan []Fault, out outcome) string {
	runs, start := 0, time.Now()
	again := func(faults []Fault) (outcome, bool) {
		for range tries {
			runs++
			if runs > shrinkRuns || time.Since(start) > shrinkTime {
				return outcome{}, false
			}
			if o := w.play(t, seed, faults); o.failed() {
				return o, true
			}
		}
		return outcome{}, false
	}
	least := shrink(plan, func(faults []Fault) bool {
		o, failed := again(faults)
		if failed {
			out = o
		}
		return failed
	})
	return out.report(seed, fmt.Sprintf("%d of %d faults, after %d runs", len(least), len(plan), min(runs, shrinkRuns)), keepLines)
}

// shrink returns some of the faults that fail still, of which none can be left
// out: delta debugging (Zeller and Hildebrandt, 2002), by complements.
func shrink(faults []Fault, fails func([]Fault) bool) []Fault {
	for parts := 2; len(faults) > 0; {
		parts = min(parts, len(faults))
		smaller := false
		for i := range parts {
			from, to := i*len(faults)/parts, (i+1)*len(faults)/parts
			rest := append(append([]Fault{}, faults[:from]...), faults[to:]...)
			if fails(rest) {
				faults, parts, smaller = rest, max(parts-1, 2), true
				break
			}
		}
		if !smaller {
			if parts == len(faults) {
				break
			}
			parts *= 2
		}
	}
	return faults
}

// report says what failed, and the faults as a time line and as Go, for a Case.
func (o *outcome) report(seed uint64, how string, lines int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d", seed)
	if how != "" {
		fmt.Fprintf(&b, ": %s", how)
	}
	for i, f := range o.failures {
		if i == 10 {
			fmt.Fprintf(&b, "\n  and %d more", len(o.failures)-i)
			break
		}
		fmt.Fprintf(&b, "\n  %s", f)
	}
	fmt.Fprintf(&b, "\n\ntime line")
	for _, f := range o.faults {
		fmt.Fprintf(&b, "\n  %10.6fs to %10.6fs  %s", f.At.Seconds(), (f.At + f.For).Seconds(), f)
		if f.skipped != "" {
			fmt.Fprintf(&b, "  (did not happen: %s)", f.skipped)
		}
	}
	fmt.Fprintf(&b, "\n\nthe same as a Case\n\t{Seed: %d, Faults: []sim.Fault{", seed)
	for _, f := range o.faults {
		fmt.Fprintf(&b, "\n\t\t{At: %d, For: %d, Kind: %q, From: %q, To: %q, Size: %d},", f.At, f.For, string(f.Kind), f.From, f.To, f.Size)
	}
	fmt.Fprintf(&b, "\n\t}},\n\nhistory")
	if left := len(o.log) - lines; left > 0 {
		fmt.Fprintf(&b, ", without its first %d lines", left)
		o.log = o.log[left:]
	}
	for _, l := range o.log {
		fmt.Fprintf(&b, "\n  %s", l)
	}
	return b.String()
}
