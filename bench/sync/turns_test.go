package sync_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	gosync "sync"
	"sync/atomic"
	"testing"
	"time"
)

// locker is one of those that are compared; the first of several is ours. lock
// takes an id and returns how to release it.
type locker struct {
	name string
	lock func(id string) (unlock func(), err error)
}

// uncontended measures lock and unlock of ids that nobody else wants. The
// lockers take turns, so that what else the machine does hits all alike; the
// medians of the turns are compared.
func uncontended(b *testing.B, lockers ...locker) {
	const rounds, turn = 9, 100 * time.Millisecond
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			results := make([][]float64, len(lockers))
			allocs := make([]float64, len(lockers))
			for i, l := range lockers {
				spin(b, l, callers, turn/2)
				allocs[i] = allocations(b, l)
			}
			for range rounds {
				for i, l := range lockers {
					runtime.GC()
					results[i] = append(results[i], spin(b, l, callers, turn))
				}
			}
			b.ReportMetric(0, "ns/op")
			line := report(b, lockers, results, "µs", 1e3)
			for i, l := range lockers {
				line += fmt.Sprintf("; %s %.0f allocs", l.name, allocs[i])
			}
			b.Log(line)
		})
	}
}

// spin returns the wall time of one lock and unlock in nanoseconds.
func spin(b *testing.B, l locker, callers int, d time.Duration) float64 {
	var done atomic.Int64
	var wg gosync.WaitGroup
	start := time.Now()
	for c := range callers {
		id := fmt.Sprintf("%s-%d", l.name, c)
		wg.Go(func() {
			for time.Since(start) < d {
				unlock, err := l.lock(id)
				if err != nil {
					b.Error(err)
					return
				}
				unlock()
				done.Add(1)
			}
		})
	}
	wg.Wait()
	return float64(time.Since(start)) / float64(done.Load())
}

func allocations(b *testing.B, l locker) float64 {
	return testing.AllocsPerRun(50, func() {
		unlock, err := l.lock("allocations")
		if err != nil {
			b.Error(err)
			return
		}
		unlock()
	})
}

// handOff measures the time from the release by one holder to the grant to
// another who waits. Two parties take turns; each holds for 5 to 20 ms.
func handOff(b *testing.B, pairs ...[2]locker) {
	lockers := make([]locker, len(pairs))
	results := make([][]float64, len(pairs))
	for i, pair := range pairs {
		lockers[i] = pair[0]
		results[i] = waits(b, pair)
	}
	b.ReportMetric(0, "ns/op")
	b.Log(report(b, lockers, results, "ms", 1e6))
}

func waits(b *testing.B, pair [2]locker) []float64 {
	const enough = 40
	var all []float64
	var released atomic.Int64
	granted := [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)} // to the other one
	var wg gosync.WaitGroup
	for party, l := range pair {
		wg.Go(func() {
			defer close(granted[party])
			if party == 1 {
				<-granted[0] // begins to wait while the other holds
			}
			for n := range enough {
				unlock, err := l.lock("hand-off")
				if err != nil {
					b.Error(err)
					return
				}
				if at := released.Load(); at > 0 {
					all = append(all, float64(time.Now().UnixNano()-at)) // guarded by the lock
				}
				granted[party] <- struct{}{}
				<-time.After(time.Duration(5+(n*7+party*3)%16) * time.Millisecond)
				released.Store(time.Now().UnixNano())
				unlock()
				<-granted[1-party] // a holder that came again at once would measure itself
			}
		})
	}
	wg.Wait()
	return all
}

// report gives the medians, and ours as a multiple of the others'.
func report(b *testing.B, lockers []locker, results [][]float64, unit string, scale float64) string {
	var line strings.Builder
	var ours float64
	for i, l := range lockers {
		slices.Sort(results[i])
		median := results[i][len(results[i])/2] / scale
		b.ReportMetric(median, l.name+"-"+unit)
		fmt.Fprintf(&line, "  %s %.2f %s", l.name, median, unit)
		if i == 0 {
			ours = median
			continue
		}
		b.ReportMetric(ours/median, "x-"+l.name)
		fmt.Fprintf(&line, " (%.2fx)", ours/median)
	}
	return line.String()
}
