// Package soak keeps packages under load with faults for a long time, and fails
// when memory, goroutines, file descriptors or connections grow:
//
//	make soak SOAK=10m SOAK_OUT=samples
//
// The loads run side by side, each in a process of its own, at a rate of some tens
// of calls a second. Each has a third of the time to warm up: a busy machine takes
// a minute. bench/soak.md has the figures of such a run.
//
// SOAK_OUT names a folder for the samples, one CSV file for each load; a plot of each
// and a table of all are drawn from them.
package soak

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// sample is what the process holds at one moment.
type sample struct {
	at                    time.Duration
	heap                  uint64 // bytes that live, after a collection
	goroutines            int
	files                 int // open descriptors; 0 where /proc has none
	sockets               int // of them
	calls, failed, faults int64
}

func take(start time.Time) sample {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := sample{at: time.Since(start), heap: m.HeapAlloc, goroutines: runtime.NumGoroutine()}
	list, _ := os.ReadDir("/proc/self/fd")
	for _, f := range list {
		s.files++
		if to, err := os.Readlink("/proc/self/fd/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			s.sockets++
		}
	}
	return s
}

// flat compares the last third of the samples with the one before it, by their
// medians: the first warms up.
func flat(t testing.TB, all []sample) {
	third := len(all) / 3
	if third < 3 {
		t.Fatalf("%d samples are too few", len(all))
	}
	middle, last := all[third:2*third], all[2*third:]
	for _, c := range []struct {
		what  string
		of    func(sample) float64
		share float64 // how much more is within the noise
		plus  float64
	}{
		{"heap bytes", func(s sample) float64 { return float64(s.heap) }, .05, 1 << 20},
		{"goroutines", func(s sample) float64 { return float64(s.goroutines) }, .1, 8},
		{"file descriptors", func(s sample) float64 { return float64(s.files) }, .1, 8},
		{"connections", func(s sample) float64 { return float64(s.sockets) }, .1, 8},
	} {
		before, after := median(middle, c.of), median(last, c.of)
		t.Logf("%-16s %12.0f → %12.0f", c.what, before, after)
		if after > before*(1+c.share)+c.plus {
			t.Errorf("%s grow: %.0f, then %.0f", c.what, before, after)
		}
	}
}

func median(of []sample, f func(sample) float64) float64 {
	sorted := slices.SortedFunc(slices.Values(of), func(a, b sample) int { return cmp.Compare(f(a), f(b)) })
	return f(sorted[len(sorted)/2])
}

// write leaves the samples in SOAK_OUT.
func write(t testing.TB, name string, all []sample) {
	dir := os.Getenv("SOAK_OUT")
	if dir == "" {
		return
	}
	var b strings.Builder
	b.WriteString("seconds,heap,goroutines,files,sockets,calls,failed,faults\n")
	for _, s := range all {
		fmt.Fprintf(&b, "%.1f,%d,%d,%d,%d,%d,%d,%d\n", s.at.Seconds(), s.heap, s.goroutines, s.files, s.sockets, s.calls, s.failed, s.faults)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(filepath.Join(dir, strings.ReplaceAll(name, " ", "-")+".csv"), []byte(b.String()), 0o644); err != nil {
		t.Error(err)
	}
}
