package metrics_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
)

func logged() (*bytes.Buffer, metrics.Option) {
	var b bytes.Buffer
	return &b, metrics.WithLogger(slog.New(slog.NewTextHandler(&b, nil)))
}

// What two instruments would both write makes a page that no scraper can read.
func TestNamesThatBackendsCannotTellApart(t *testing.T) {
	counter := func(m metrics.Metrics, name string) { m.Counter(name).Inc() }
	gauge := func(m metrics.Metrics, name string) { m.Gauge(name).Set(1) }
	upDown := func(m metrics.Metrics, name string) { m.UpDownCounter(name).Inc() }
	gaugeFunc := func(m metrics.Metrics, name string) { m.GaugeFunc(name, func() float64 { return 1 }) }
	histogram := func(m metrics.Metrics, name string) { m.Histogram(name).Observe(1) }
	for _, c := range []struct {
		first, second string
		makeFirst     func(metrics.Metrics, string)
		makeSecond    func(metrics.Metrics, string)
		refused       bool
	}{
		{"y", "y_total", counter, gauge, true},
		{"y_total", "y", gauge, counter, true},
		{"y_total", "y", upDown, counter, true},
		{"y", "y_total", counter, upDown, true},
		{"y.z", "y_z", upDown, gauge, true},
		{"y", "y_totals", counter, upDown, false},
		{"x_total", "x", counter, gauge, true},
		{"x", "x_total", counter, counter, true},
		{"x", "x_totals", counter, counter, false},
		{"req", "req_count", histogram, gauge, true},
		{"req", "req_sum", histogram, gaugeFunc, true},
		{"req", "req_bucket", histogram, counter, true},
		{"req_count", "req", gauge, histogram, true},
		{"req", "req_counts", histogram, gauge, false},
		{"req", "req_count", counter, gauge, false},
		{"req", "req_total", histogram, gauge, false},
	} {
		t.Run(c.first+" "+c.second, func(t *testing.T) {
			out, logger := logged()
			m := open(t, logger)
			c.makeFirst(m, c.first)
			for range 3 {
				c.makeSecond(m, c.second)
			}
			families := len(m.Snapshot().Families)
			if want := map[bool]int{true: 1, false: 2}[c.refused]; families != want {
				t.Errorf("%d families, want %d", families, want)
			}
			if n := m.Stats().Conflicts; (n > 0) != c.refused {
				t.Errorf("%d conflicts", n)
			}
			if n := strings.Count(out.String(), "instrument refused"); n != map[bool]int{true: 1}[c.refused] {
				t.Errorf("logged %d times: %s", n, out)
			}
		})
	}
}

func TestAnInstrumentWithANilOptionIsRefused(t *testing.T) {
	out, logger := logged()
	m := open(t, logger)
	m.Counter("good", metrics.Help("calls")).Inc()
	m.Counter("bad", metrics.Help("calls"), nil).Inc()
	m.HistogramVec("worse", []string{"k"}, nil).With("v").Observe(1)
	if got := m.Snapshot().Families; len(got) != 1 || got[0].Name != "good" || m.Stats().Conflicts != 2 {
		t.Errorf("%+v, %d conflicts", got, m.Stats().Conflicts)
	}
	if n := strings.Count(out.String(), "an option is nil"); n != 2 {
		t.Errorf("logged %d times: %s", n, out)
	}
}

func TestEachRefusedInstrumentIsLoggedOnce(t *testing.T) {
	out, logger := logged()
	m := open(t, logger)
	m.Counter("a")
	m.HistogramVec("h", []string{"k"}, metrics.Buckets(1, 2))
	for range 3 {
		m.Gauge("a")
		m.Histogram("a")
		m.HistogramVec("h", []string{"k"}, metrics.Buckets(1, 2)) // the same
		m.HistogramVec("h", []string{"k"})                        // whatever it has
		m.HistogramVec("h", []string{"k"}, metrics.Buckets(5)).With("v").Observe(1)
	}
	if n := strings.Count(out.String(), "instrument refused"); n != 3 || m.Stats().Conflicts != 9 {
		t.Errorf("logged %d times, %d conflicts:\n%s", n, m.Stats().Conflicts, out)
	}
	if s := find(t, m, "h", "v"); s.Count != 3 || len(s.Buckets) != 3 {
		t.Errorf("what is observed with other buckets: %+v", s)
	}
	for i := range 500 { // names of strangers don't fill the log
		m.Gauge("a_total" + strings.Repeat("_total", i%2))
		m.GaugeVec("a", []string{fmt.Sprint("k", i)})
	}
	if n := strings.Count(out.String(), "instrument refused"); n > 100 {
		t.Errorf("logged %d times", n)
	}
}

func TestRefusedInstrumentsAreLoggedByDefault(t *testing.T) {
	out, _ := logged()
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(out, nil)))
	defer slog.SetDefault(before)
	m := open(t)
	m.Counter("a")
	m.Gauge("a")
	if !strings.Contains(out.String(), "instrument refused") {
		t.Errorf("logged: %q", out)
	}
}

func TestAGaugeFuncThatPanicsHasNoValue(t *testing.T) {
	out, logger := logged()
	m := open(t, logger)
	var broken atomic.Bool
	broken.Store(true)
	m.GaugeFunc("bad", func() float64 {
		if broken.Load() {
			panic("no pool")
		}
		return 5
	})
	m.Gauge("good").Set(1)
	for range 3 {
		snap := m.Snapshot()
		if _, ok := snap.Find("bad"); ok || len(snap.Families) != 1 {
			t.Fatalf("%+v", snap.Families)
		}
	}
	if n := strings.Count(out.String(), "no pool"); n != 1 || m.Stats().Invalid != 1 {
		t.Errorf("logged %d times, %d invalid: %s", n, m.Stats().Invalid, out)
	}
	broken.Store(false)
	if s := find(t, m, "bad"); s.Value != 5 {
		t.Errorf("afterwards %v", s.Value)
	}
}

func TestAGaugeFuncThatHangsIsWaitedForOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		out, logger := logged()
		m := open(t, logger)
		release := make(chan struct{})
		var calls atomic.Int64
		m.GaugeFunc("hangs", func() float64 { calls.Add(1); <-release; return 5 })
		m.Gauge("good").Set(1)
		for i, want := range []time.Duration{time.Second, 0, 0} {
			start := time.Now()
			if snap := m.Snapshot(); len(snap.Families) != 1 {
				t.Errorf("%+v", snap.Families)
			}
			if took := time.Since(start); took != want {
				t.Errorf("snapshot %d took %v, want %v", i, took, want)
			}
		}
		if calls.Load() != 1 || strings.Count(out.String(), "did not return within 1s") != 1 {
			t.Errorf("%d calls, logged %s", calls.Load(), out)
		}
		close(release)
		synctest.Wait()
		if s := find(t, m, "hangs"); s.Value != 5 || calls.Load() != 2 {
			t.Errorf("afterwards %v after %d calls", s.Value, calls.Load())
		}
	})
}

// Two scrapers at the same time both see a slow function's value.
func TestAGaugeFuncServesAllWhoAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t)
		m.GaugeFunc("slow", func() float64 { time.Sleep(900 * time.Millisecond); return 5 })
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if s, ok := m.Snapshot().Find("slow"); !ok || s.Value != 5 {
					t.Errorf("%+v, %v", s, ok)
				}
			})
		}
		all.Wait()
	})
}

func TestFunctionsAndScopesKeepTheSeriesLimit(t *testing.T) {
	out, logger := logged()
	m := open(t, logger, metrics.WithSeriesLimit(10))
	for i := range 30 {
		m.GaugeFunc("f", func() float64 { return float64(i) }, metrics.Label{Key: "k", Value: fmt.Sprint(i)})
	}
	m.GaugeFunc("f", func() float64 { return -1 }, metrics.Label{Key: "k", Value: "9"}) // is there: replaced
	if n := len(m.Snapshot().Families[0].Series); n != 10 {
		t.Errorf("%d functions, want 10", n)
	}
	if s := find(t, m, "f", "9"); s.Value != -1 {
		t.Errorf("the replaced function gives %v", s.Value)
	}
	if n := m.Stats().Overflowed["f"]; n != 20 || strings.Count(out.String(), "too many series") != 1 {
		t.Errorf("%d overflowed, logged %s", n, out)
	}
	heap := func() uint64 {
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return s.HeapAlloc
	}
	use := func(i int) {
		m.With("", metrics.Label{Key: "tenant", Value: fmt.Sprint(i)}).CounterVec("c", []string{"k"}).With("v").Inc()
	}
	for i := range 100 {
		use(i)
	}
	before := heap()
	for i := range 20_000 {
		use(i + 100)
	}
	if after := heap(); after > before+1<<20 {
		t.Errorf("20 000 scopes over the limit hold %d bytes", after-before)
	}
	if s := find(t, m, "c", metrics.Overflow, metrics.Overflow); s.Count != 20_090 {
		t.Errorf("the overflow has %d", s.Count)
	}
}
