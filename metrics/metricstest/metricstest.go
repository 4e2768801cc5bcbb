// Package metricstest is the conformance suite of push backends: what a driver
// of package metrics has to bring to its receiver.
//
//	func TestConformance(t *testing.T) {
//		metricstest.Run(t, metricstest.Harness{Backend: …})
//	}
package metricstest

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/metrics"
)

// Harness is one backend.
type Harness struct {
	// Backend returns the option of a backend that is up, and how to read what
	// its receiver has, by name: the total of a counter, the value of a gauge or
	// an up-down counter, the number of a histogram's observations. Both are new for each case.
	Backend func(t testing.TB) (option metrics.Option, read func(t testing.TB) map[string]float64)
	// Down returns the option of a backend that can't be reached; nil leaves
	// its cases out.
	Down func(t testing.TB) metrics.Option
}

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	leak.Check(t)
	for _, c := range []struct {
		name string
		run  func(t *testing.T)
	}{
		{"totals are exact over several exports", h.totals},
		{"what many goroutines count is exact", h.many},
		{"the last values are exported at Close", h.close},
		{"a backend that is down", h.down},
	} {
		t.Run(c.name, c.run)
	}
}

func (h Harness) open(t testing.TB) (metrics.Metrics, func(want map[string]float64)) {
	t.Helper()
	option, read := h.Backend(t)
	m, err := metrics.New(option, metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	return m, func(want map[string]float64) {
		t.Helper()
		var got map[string]float64
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			got = read(t)
			maps.DeleteFunc(got, func(name string, _ float64) bool { _, ok := want[name]; return !ok })
			if maps.Equal(got, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("the receiver has %v, want %v", got, want)
			}
		}
	}
}

func flush(t testing.TB, m metrics.Metrics) {
	t.Helper()
	if err := m.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func (h Harness) totals(t *testing.T) {
	m, await := h.open(t)
	c, u, g, d := m.Counter("suite_calls_total"), m.UpDownCounter("suite_in_progress"), m.Gauge("suite_level"), m.Histogram("suite_took_seconds")
	for i := range 3 {
		c.Add(int64(1000 + i))
		u.Add(int64(3 - 3*i))     // 3, 3, 0
		u.Dec()                   // 2, 1, -3
		g.Set(float64(10 - 10*i)) // 10, 0, -10
		for range 777 {
			d.Observe(.25)
		}
		flush(t, m)
	}
	flush(t, m) // nothing new
	await(map[string]float64{"suite_calls_total": 3003, "suite_in_progress": -3, "suite_level": -10, "suite_took_seconds": 2331})
	if s := m.Stats().Exporters[0]; s.Exports != 4 || s.Errors != 0 || s.Dropped != 0 || s.Packets < 3 || s.Bytes == 0 {
		t.Errorf("%+v", s)
	}
}

func (h Harness) many(t *testing.T) {
	m, await := h.open(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 5000 {
				m.Counter("suite_many_total").Inc()
				if i%1000 == 0 {
					_ = m.Flush(t.Context())
				}
			}
		})
	}
	wg.Wait()
	flush(t, m)
	await(map[string]float64{"suite_many_total": 40_000})
}

func (h Harness) close(t *testing.T) {
	m, await := h.open(t)
	m.Counter("suite_last_total").Add(7)
	if err := errors.Join(m.Close(t.Context()), m.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	await(map[string]float64{"suite_last_total": 7})
	if err := m.Flush(t.Context()); !errors.Is(err, metrics.ErrClosed) {
		t.Errorf("Flush: %v, want ErrClosed", err)
	}
}

func (h Harness) down(t *testing.T) {
	if h.Down == nil {
		t.Skip("whether this backend is down can't be known")
	}
	if m, err := metrics.New(h.Down(t), metrics.WithDialTimeout(2*time.Second)); !errors.Is(err, metrics.ErrUnavailable) || m != nil {
		t.Errorf("New: %v, want ErrUnavailable", err)
	}
	m, err := metrics.New(h.Down(t), metrics.WithLazy(), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	m.Counter("suite_lost_total").Inc()
	if err := m.Flush(t.Context()); !errors.Is(err, metrics.ErrUnavailable) {
		t.Errorf("Flush: %v, want ErrUnavailable", err)
	}
	if s := m.Stats().Exporters[0]; s.Errors != 1 || s.LastError == "" {
		t.Errorf("%+v", s)
	}
	if err := m.Close(t.Context()); !errors.Is(err, metrics.ErrUnavailable) {
		t.Errorf("Close: %v, want ErrUnavailable", err)
	}
}
