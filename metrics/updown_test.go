package metrics_test

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
)

func TestUpDownCounter(t *testing.T) {
	for name, c := range map[string]struct {
		do      func(metrics.UpDownCounter)
		want    float64
		invalid uint64
	}{
		"begins at 0":           {func(metrics.UpDownCounter) {}, 0, 0},
		"up and down":           {func(u metrics.UpDownCounter) { u.Inc(); u.Inc(); u.Dec(); u.Add(7); u.Add(-3) }, 5, 0},
		"below 0":               {func(u metrics.UpDownCounter) { u.Dec(); u.Add(-2) }, -3, 0},
		"almost too much":       {func(u metrics.UpDownCounter) { u.Add(1<<61 - 1); u.Add(-(1<<61 - 1)); u.Inc() }, 1, 0},
		"too much":              {func(u metrics.UpDownCounter) { u.Inc(); u.Add(1 << 61); u.Add(math.MaxInt64) }, 1, 2},
		"too much downwards":    {func(u metrics.UpDownCounter) { u.Inc(); u.Add(-1 << 61); u.Add(math.MinInt64) }, 1, 2},
		"and then goes on well": {func(u metrics.UpDownCounter) { u.Add(math.MaxInt64); u.Add(4) }, 4, 1},
	} {
		m := open(t)
		c.do(m.UpDownCounter("n"))
		c.do(m.UpDownCounterVec("labelled", []string{"k"}).With("v"))
		for _, s := range []metrics.Series{find(t, m, "n"), find(t, m, "labelled", "v")} {
			if s.Value != c.want || s.Count != 0 {
				t.Errorf("%s: %+v, want %v", name, s, c.want)
			}
		}
		if n := m.Stats().Invalid; n != 2*c.invalid {
			t.Errorf("%s: %d invalid values, want %d for each of the two", name, n, c.invalid)
		}
	}
}

// A name has one kind: the second one asked for is refused and harms nothing.
func TestAnUpDownCounterIsNoOtherKind(t *testing.T) {
	m := open(t, metrics.WithLogger(slog.New(slog.DiscardHandler)))
	m.UpDownCounter("up").Add(2)
	m.Gauge("up").Set(9)
	m.Counter("up").Add(9)
	m.Gauge("level").Set(3)
	m.UpDownCounter("level").Dec()
	if up, level := find(t, m, "up").Value, find(t, m, "level").Value; up != 2 || level != 3 {
		t.Errorf("%v and %v, want 2 and 3", up, level)
	}
	if n := m.Stats().Conflicts; n != 3 {
		t.Errorf("%d conflicts, want 3", n)
	}
}

// One that is idle at 0 is freed, another is not, and handles that were kept count on.
func TestIdleUpDownCountersAreFreedAtZeroAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t, metrics.WithIdle(time.Minute))
		v := m.UpDownCounterVec("n", []string{"k"})
		kept, replaced, high, low := v.With("kept"), v.With("replaced"), v.With("high"), v.With("low")
		kept.Inc()
		kept.Dec()
		high.Inc()
		low.Dec()
		time.Sleep(3 * time.Minute)
		if s := m.Stats(); s.Series != 2 || s.Freed != 2 {
			t.Fatalf("%d are left and %d freed, want 2 and 2", s.Series, s.Freed)
		}
		v.With("replaced").Add(5)
		replaced.Dec()
		replaced.Add(-2)
		kept.Dec()
		for k, want := range map[string]float64{"kept": -1, "replaced": 2, "high": 1, "low": -1} {
			if s := find(t, m, "n", k); s.Value != want {
				t.Errorf("%s is %v, want %v", k, s.Value, want)
			}
		}
		v.With("replaced").Add(-2)
		time.Sleep(3 * time.Minute) // and the other way round
		replaced.Inc()
		v.With("replaced").Inc()
		if s := find(t, m, "n", "replaced"); s.Value != 2 {
			t.Errorf("replaced is %v after it was freed again, want 2", s.Value)
		}
	})
}

// Whatever is freed while others count comes out even.
func TestUpDownCountersComeOutEven(t *testing.T) {
	m := open(t, metrics.WithIdle(time.Millisecond))
	v := m.UpDownCounterVec("n", []string{"k"})
	var handles []metrics.UpDownCounter
	for k := range 4 {
		handles = append(handles, v.With(fmt.Sprint(k)))
	}
	end := time.Now().Add(20 * time.Second)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := 0; m.Stats().Freed < 100 && time.Now().Before(end); n++ {
				k := (g + n) % 4
				handles[k].Add(2)
				v.With(fmt.Sprint(k)).Dec()
				handles[k].Dec()
				if n%100 == 0 {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	if n := m.Stats().Freed; n < 100 {
		t.Errorf("%d were freed: too few to show anything", n)
	}
	for _, f := range m.Snapshot().Families {
		for _, s := range f.Series {
			if s.Value != 0 {
				t.Errorf("%v is %v, want 0", s.Values, s.Value)
			}
		}
	}
}

func TestUpDownCountersDoNotAllocate(t *testing.T) {
	m := open(t)
	u := m.UpDownCounter("n")
	if n := testing.AllocsPerRun(100, func() { u.Inc(); u.Dec(); u.Add(3) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
