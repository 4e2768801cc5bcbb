package compare

import (
	"fmt"
	"syscall"
	"testing"
	"time"
)

// Processor reports what processor time of this process an operation of each
// costs, all its goroutines together, and ours as a multiple of each other's: what
// other processes do to the wall time is not in it. Each round does n operations.
func Processor(b *testing.B, n int, contenders ...Contender) {
	b.Helper()
	const rounds = 20
	used := make([]float64, len(contenders)) // in all, so that each pays for its garbage
	for range rounds {
		for i, c := range contenders {
			before := processor(b)
			c.Loop(n)
			used[i] += float64(processor(b)-before) / float64(n*rounds)
		}
	}
	line := "processor time:"
	for i, c := range contenders {
		b.ReportMetric(used[i], c.Name+"-cpu-ns")
		line += fmt.Sprintf("  %s %.0f ns", c.Name, used[i])
		if i > 0 {
			x := used[0] / used[i]
			b.ReportMetric(x, "x-"+c.Name+"-cpu")
			line += fmt.Sprintf(" (%.2fx)", x)
		}
	}
	b.Log(line)
}

func processor(b *testing.B) time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
