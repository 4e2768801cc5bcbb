// Package compare measures contenders against each other in one run.
package compare

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// Contender is one of those that are compared. The first is ours.
type Contender struct {
	Name string
	Loop func(n int) // does the operation n times
}

// Run runs the contenders in turns, so that what else the machine does hits
// all alike, and reports the best time of an operation of each, since noise only
// adds, and ours as a multiple of each other's. Less than 1 is faster.
func Run(b *testing.B, callers int, contenders ...Contender) {
	b.Helper()
	const rounds, slice = 15, 20 * time.Millisecond
	all := make([][]float64, len(contenders))
	sizes := make([]int, len(contenders))
	for i, c := range contenders {
		n := 64
		for once(callers, n, c.Loop)*float64(n) < float64(slice) {
			n *= 2
		}
		sizes[i] = n
	}
	for range rounds {
		for i, c := range contenders {
			all[i] = append(all[i], once(callers, sizes[i], c.Loop))
		}
	}
	ours := slices.Min(all[0])
	line := fmt.Sprintf("%d callers:", callers)
	b.ReportMetric(0, "ns/op")
	for i, c := range contenders {
		best := slices.Min(all[i])
		allocs := testing.AllocsPerRun(1, func() { c.Loop(1000) }) / 1000
		b.ReportMetric(best, c.Name+"-ns")
		line += fmt.Sprintf("  %s %.0f ns %.0f allocs", c.Name, best, allocs)
		if i > 0 {
			b.ReportMetric(ours/best, "x-"+c.Name)
			line += fmt.Sprintf(" (%.2fx)", ours/best)
		}
	}
	b.Log(line)
}

// once has callers do loop(n) each and returns the wall time of one operation of
// one caller, in nanoseconds.
func once(callers, n int, loop func(int)) float64 {
	var wg sync.WaitGroup
	start := time.Now()
	if callers == 1 {
		loop(n)
	} else {
		for range callers {
			wg.Go(func() { loop(n) })
		}
		wg.Wait()
	}
	return float64(time.Since(start)) / float64(n)
}
