package kv_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// contender is one of those that are compared. The first is ours.
type contender struct {
	name string
	op   func(i int) // the i-th operation; called by many goroutines
}

// compare runs the contenders in turns, so that what else the machine does hits
// all alike, and reports the best time of an operation of each, since noise only adds, and
// ours as a multiple of each other's. Less than 1 is faster.
func compare(b *testing.B, callers int, contenders ...contender) {
	b.Helper()
	const rounds, slice = 15, 40 * time.Millisecond
	for _, c := range contenders {
		run(callers, 20*time.Millisecond, c.op)
	}
	all := make([][]float64, len(contenders))
	for range rounds {
		for i, c := range contenders {
			all[i] = append(all[i], run(callers, slice, c.op))
		}
	}
	line := fmt.Sprintf("%2d callers:", callers)
	ours := slices.Min(all[0])
	b.ReportMetric(0, "ns/op")
	for i, c := range contenders {
		best := slices.Min(all[i])
		b.ReportMetric(best, c.name+"-ns")
		line += fmt.Sprintf("  %s %.0f ns", c.name, best)
		if i > 0 {
			b.ReportMetric(ours/best, "x-"+c.name)
			line += fmt.Sprintf(" (%.2fx)", ours/best)
		}
	}
	b.Log(line)
}

// run has callers do op for a while and returns the wall time of one, in
// nanoseconds.
func run(callers int, d time.Duration, op func(i int)) float64 {
	var done atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	start := time.Now()
	for c := range callers {
		wg.Go(func() {
			n := 0
			for i := c * 7919; ; i++ {
				op(i)
				n++
				if n&15 == 0 && stop.Load() {
					break
				}
			}
			done.Add(int64(n))
		})
	}
	t := time.AfterFunc(d, func() { stop.Store(true) })
	wg.Wait()
	t.Stop()
	return float64(time.Since(start)) / float64(done.Load())
}
