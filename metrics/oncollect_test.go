package metrics_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
)

// What is read elsewhere is what it is when a snapshot, an export or a scope is read.
func TestOnCollectIsCalledBeforeEachSnapshot(t *testing.T) {
	pushed := &sink{}
	m := open(t, driver("sink", pushed), metrics.WithInterval(time.Hour))
	var level atomic.Int64
	gauge := m.Gauge("level")
	stop := m.OnCollect(func() { gauge.Set(float64(level.Load())) })
	other := m.With("scope").OnCollect(func() { m.Counter("collected").Inc() })
	m.OnCollect(nil)()

	level.Store(7)
	if s := find(t, m, "level"); s.Value != 7 {
		t.Errorf("a snapshot has %v, want 7", s.Value)
	}
	level.Store(8)
	flush := func(want float64) {
		t.Helper()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		pushed.mu.Lock()
		defer pushed.mu.Unlock()
		if s, ok := pushed.snaps[len(pushed.snaps)-1].Find("level"); !ok || s.Value != want {
			t.Errorf("pushed %+v, %v, want %v", s, ok, want)
		}
	}
	flush(8)
	if s := find(t, m, "collected"); s.Count != 3 {
		t.Errorf("that of the scope was called %d times, want 3", s.Count)
	}
	stop()
	stop()
	level.Store(9)
	gauge.Add(.5)
	flush(8.5)
	if s := find(t, m, "collected"); s.Count != 5 {
		t.Errorf("that of the scope was called %d times, want 5: it is another's", s.Count)
	}
	other()
	if s := find(t, m, "collected"); s.Count != 5 {
		t.Errorf("it was called after it was taken back: %d times", s.Count)
	}
}

func TestOnCollectThatPanicsHarmsNoOther(t *testing.T) {
	out, logger := logged()
	m := open(t, logger)
	m.OnCollect(func() { panic(errors.New("no router")) })
	m.OnCollect(func() { m.Counter("good").Inc() })
	for i := range 3 {
		if s := find(t, m, "good"); s.Count != uint64(i+1) {
			t.Errorf("%d calls of the other one, want %d", s.Count, i+1)
		}
	}
	if n := strings.Count(out.String(), "no router"); n != 1 {
		t.Errorf("logged %d times: %s", n, out)
	}
}

func TestOnCollectThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, logger := logged()
		m := open(t, logger)
		release := make(chan struct{})
		var calls atomic.Int64
		m.OnCollect(func() { calls.Add(1); <-release })
		m.OnCollect(func() { <-release })
		for i, want := range []time.Duration{time.Second, 0, 0} {
			start := time.Now()
			m.Snapshot()
			if took := time.Since(start); took != want {
				t.Errorf("snapshot %d took %v, want %v", i, took, want)
			}
		}
		if n := strings.Count(out.String(), "did not return within 1s"); n != 2 || calls.Load() != 1 {
			t.Errorf("%d calls, logged %d times: %s", calls.Load(), n, out)
		}
		close(release)
		synctest.Wait()
		if m.Snapshot(); calls.Load() != 2 {
			t.Errorf("%d calls after it returned, want 2", calls.Load())
		}
	})
}

// Those who collect at the same time share one call: differences are added once.
func TestOnCollectIsNotConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t)
		var running, most, calls atomic.Int64
		m.OnCollect(func() {
			calls.Add(1)
			most.Store(max(most.Load(), running.Add(1)))
			time.Sleep(500 * time.Millisecond)
			running.Add(-1)
		})
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { m.Snapshot() })
		}
		all.Wait()
		if most.Load() != 1 || calls.Load() != 1 {
			t.Errorf("%d at once of %d, want 1 and 1", most.Load(), calls.Load())
		}
		m.Close(context.Background())
	})
}
