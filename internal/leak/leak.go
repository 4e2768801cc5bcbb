// Package leak fails tests that leave goroutines behind.
package leak

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// grace is how long goroutines that are on their way out may take.
const grace = 30 * time.Second

// Check fails t if, when t and its subtests have ended and every other clean-up
// has run, goroutines are alive that were not there at the call. Call it first,
// so that it runs last. It must not be used in parallel tests: it would see
// their goroutines.
func Check(t testing.TB) {
	t.Helper()
	check(t, grace)
}

// check is Check with a grace period of its own.
func check(t testing.TB, grace time.Duration) {
	t.Helper()
	before := map[string]bool{}
	for _, g := range stacks() {
		before[id(g)] = true
	}
	t.Cleanup(func() {
		if left := settle(before, grace); len(left) > 0 {
			t.Errorf("%d goroutines leaked:\n\n%s", len(left), strings.Join(left, "\n\n"))
		}
	})
}

// Main runs a package's tests and fails if goroutines are left at the end:
//
//	func TestMain(m *testing.M) { leak.Main(m) }
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := settle(nil, grace); len(left) > 0 {
			fmt.Fprintf(os.Stderr, "%d goroutines leaked:\n\n%s\n", len(left), strings.Join(left, "\n\n"))
			code = 1
		}
	}
	os.Exit(code)
}

// settle returns the stacks that remain after the grace period, without those
// whose ids are in before.
func settle(before map[string]bool, grace time.Duration) []string {
	deadline := time.Now().Add(grace)
	for wait := time.Millisecond; ; wait = min(2*wait, 100*time.Millisecond) {
		var left []string
		for _, g := range stacks() {
			if !before[id(g)] && !ours(g) {
				left = append(left, g)
			}
		}
		if len(left) == 0 || time.Now().After(deadline) {
			return left
		}
		time.Sleep(wait)
	}
}

func stacks() []string {
	buf := make([]byte, 1<<20)
	for {
		n := runtime.Stack(buf, true)
		if n < len(buf) {
			return strings.Split(strings.TrimSpace(string(buf[:n])), "\n\n")
		}
		buf = make([]byte, 2*len(buf))
	}
}

// id is the "goroutine 12" at the start of a stack.
func id(stack string) string {
	head, _, _ := strings.Cut(stack, " [")
	return head
}

// ours reports whether a goroutine belongs to the test runner or the runtime.
func ours(stack string) bool {
	for _, s := range []string{
		"testing.Main(", "testing.(*T).Run(", "testing.(*M).", "testing.RunTests", "testing.tRunner.func",
		"testing.runTests", "testing.runFuzzing", "testing.(*F).Fuzz", "runtime.goexit0", "created by runtime.gc", "runtime.MHeap_Scavenger",
		"signal.signal_recv", "os/signal.loop", "runtime/trace.Start", "created by os/signal.Notify",
		"leak.stacks(", "runtime.ReadTrace", "runtime_mcall", "created by testing.(*T).Run",
		"internal/servertest.", // servers that a test process shares
	} {
		if strings.Contains(stack, s) {
			return true
		}
	}
	return false
}
