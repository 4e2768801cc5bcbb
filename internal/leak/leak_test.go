package leak

import (
	"strings"
	"testing"
	"time"
)

// recorder is a testing.TB that remembers failures and runs clean-ups on call.
type recorder struct {
	testing.TB
	cleanups []func()
	failed   string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Errorf(f string, a ...any) { r.failed = f }

func TestCheckSeesALeak(t *testing.T) {
	r := &recorder{TB: t}
	check(r, 100*time.Millisecond)
	stop := make(chan struct{})
	go leaky(stop)
	r.cleanups[0]()
	close(stop)
	if !strings.Contains(r.failed, "leaked") {
		t.Error("a leaked goroutine was not reported")
	}
}

func TestCheckWaitsForStragglers(t *testing.T) {
	r := &recorder{TB: t}
	Check(r)
	stop := make(chan struct{})
	go leaky(stop)
	close(stop)
	r.cleanups[0]()
	if r.failed != "" {
		t.Error("a goroutine that ended was reported")
	}
}

func leaky(stop chan struct{}) { <-stop }
