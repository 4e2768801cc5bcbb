package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/metrics"
)

// sink is a driver that remembers.
type sink struct {
	export  func(ctx context.Context, s *metrics.Snapshot) (metrics.Sent, error)
	ping    error
	samples int

	mu     sync.Mutex
	snaps  []metrics.Snapshot
	closed int
}

func (s *sink) Export(ctx context.Context, snap *metrics.Snapshot) (metrics.Sent, error) {
	s.mu.Lock()
	s.snaps = append(s.snaps, *snap)
	s.mu.Unlock()
	if s.export != nil {
		return s.export(ctx, snap)
	}
	return metrics.Sent{Packets: 1, Bytes: 10}, nil
}
func (s *sink) Ping(context.Context) error { return s.ping }
func (s *sink) Close() error               { s.closed++; return nil }

type samplingSink struct{ sink }

func (s *samplingSink) Samples() int { return s.samples }

func driver(name string, d metrics.Driver) metrics.Option {
	return metrics.WithDriver(name, func(context.Context) (metrics.Driver, error) { return d, nil })
}

func TestExportsEveryIntervalAndAtClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := &sink{}, &sink{}
		m, err := metrics.New(driver("a", a), driver("b", b), metrics.WithInterval(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		m.Counter("c").Inc()
		time.Sleep(25 * time.Second)
		m.Counter("c").Inc()
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.Counter("c").Inc()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := m.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		m.Counter("c").Inc()
		for _, s := range []*sink{a, b} {
			var got []uint64
			for _, snap := range s.snaps {
				one, _ := snap.Find("c")
				got = append(got, one.Count)
			}
			if fmt.Sprint(got) != "[1 1 2 3]" || s.closed != 1 {
				t.Errorf("exported %v, closed %d times", got, s.closed)
			}
		}
		if s := m.Stats().Exporters[0]; s.Exporter != "a" || s.Exports != 4 || s.Packets != 4 || s.Bytes != 40 {
			t.Errorf("%+v", s)
		}
	})
}

func TestIdleSeriesAreNotPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		m, _ := metrics.New(driver("s", s), metrics.WithInterval(time.Second), metrics.WithIdle(5*time.Second))
		defer m.Close(t.Context())
		g := m.Gauge("g")
		g.Set(1)
		has := func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			_, ok := s.snaps[len(s.snaps)-1].Find("g")
			return ok
		}
		time.Sleep(4500 * time.Millisecond)
		if !has() {
			t.Error("gone too early")
		}
		time.Sleep(5 * time.Second)
		if has() {
			t.Error("pushed without end")
		}
		g.Set(2)
		time.Sleep(time.Second)
		if !has() {
			t.Error("not back when it changed")
		}
		if _, ok := m.Snapshot().Find("g"); !ok {
			t.Error("an idle series is gone from the memory")
		}
	})
}

func TestAFailingBackendIsCountedAndHarmsNoOther(t *testing.T) {
	bad := &sink{export: func(context.Context, *metrics.Snapshot) (metrics.Sent, error) {
		return metrics.Sent{Dropped: 2}, fault.Markf(fault.Unavailable, "refused")
	}}
	good := &sink{}
	m, _ := metrics.New(driver("bad", bad), driver("good", good))
	err := m.Flush(t.Context())
	if !errors.Is(err, metrics.ErrUnavailable) || !strings.Contains(err.Error(), "metrics/bad: flush: ") {
		t.Errorf("Flush: %v", err)
	}
	if s := m.Stats().Exporters; s[0].Errors != 1 || s[0].Dropped != 2 || s[0].LastError == "" || s[1].Exports != 1 || s[1].Errors != 0 {
		t.Errorf("%+v", s)
	}
	if err := m.Close(t.Context()); !errors.Is(err, metrics.ErrUnavailable) || good.closed != 1 {
		t.Errorf("Close: %v", err)
	}
}

func TestCloseIsBoundedWhenABackendHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{export: func(ctx context.Context, _ *metrics.Snapshot) (metrics.Sent, error) {
			<-ctx.Done()
			return metrics.Sent{}, ctx.Err()
		}}
		m, _ := metrics.New(driver("s", s), metrics.WithInterval(time.Second), metrics.WithTimeout(time.Hour))
		time.Sleep(1500 * time.Millisecond) // an export hangs
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		if err := m.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > time.Second || s.closed != 1 {
			t.Errorf("Close took %v: %v", time.Since(began), err)
		}
	})
}

func TestNewFailsWhenABackendDoesNotAnswer(t *testing.T) {
	first, second := &sink{}, &sink{ping: errors.New("no route")}
	m, err := metrics.New(driver("first", first), driver("second", second))
	if m != nil || !errors.Is(err, metrics.ErrUnavailable) || !strings.HasPrefix(err.Error(), "metrics/second: new: ") || first.closed != 1 || second.closed != 1 {
		t.Errorf("New: %v; closed %d and %d", err, first.closed, second.closed)
	}
	m, err = metrics.New(driver("second", second), metrics.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	m.Close(t.Context())
}

// The weights of samples add up to exactly what was observed, whatever the
// number, for each driver on its own.
func TestSamplesStandForEveryObservation(t *testing.T) {
	for _, n := range []int{0, 1, 2, 9, 10, 11, 20, 21, 100, 1000, 12345} {
		a, b := &samplingSink{sink{samples: 10}}, &samplingSink{sink{samples: 64}}
		m, _ := metrics.New(driver("a", a), driver("b", b))
		h := m.Histogram("h")
		for i := range n {
			h.Observe(float64(i))
		}
		m.Flush(t.Context())
		m.Flush(t.Context())
		for _, s := range []*samplingSink{a, b} {
			one, _ := s.snaps[0].Find("h")
			var total uint64
			for _, x := range one.Samples {
				total += x.Weight
				if x.Weight&(x.Weight-1) != 0 {
					t.Errorf("weight %d is no power of two", x.Weight)
				}
				if x.Value < 0 || x.Value >= float64(n) {
					t.Errorf("value %v was never observed", x.Value)
				}
			}
			if total != uint64(n) || len(one.Samples) > s.samples+16 {
				t.Errorf("%d observations: %d samples stand for %d", n, len(one.Samples), total)
			}
			if again, _ := s.snaps[1].Find("h"); len(again.Samples) != 0 {
				t.Errorf("the same samples twice")
			}
		}
		m.Close(t.Context())
	}
}

func TestSamplesAreChosenEvenly(t *testing.T) {
	s := &samplingSink{sink{samples: 64}}
	m, _ := metrics.New(driver("s", s))
	defer m.Close(t.Context())
	h := m.Histogram("h")
	const n, rounds = 10_000, 50
	var sum, weight float64
	for range rounds {
		for i := range n {
			h.Observe(float64(i))
		}
		m.Flush(t.Context())
		one, _ := s.snaps[len(s.snaps)-1].Find("h")
		for _, x := range one.Samples {
			sum += x.Value * float64(x.Weight)
			weight += float64(x.Weight)
		}
	}
	if mean := sum / weight; mean < 0.97*n/2 || mean > 1.03*n/2 {
		t.Errorf("the samples' mean is %v, want about %v", mean, n/2)
	}
}

// A panic in a driver is an error like another, and an error that goes on is
// told once.
func TestFailedExportsAreToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out strings.Builder
		var well atomic.Bool
		s := &sink{export: func(context.Context, *metrics.Snapshot) (metrics.Sent, error) {
			if !well.Load() {
				panic("oops")
			}
			return metrics.Sent{Packets: 1}, nil
		}}
		m, err := metrics.New(driver("s", s), metrics.WithInterval(time.Second), metrics.WithLogger(slog.New(slog.NewTextHandler(&out, nil))))
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			time.Sleep(time.Hour)
			well.Store(true)
			time.Sleep(time.Minute)
			well.Store(false)
		}
		well.Store(true)
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := strings.Count(out.String(), "metrics: export failed"); n != 3 || !strings.Contains(out.String(), "oops") {
			t.Errorf("three outages of an hour are told %d times: %.500s", n, out.String())
		}
	})
}
