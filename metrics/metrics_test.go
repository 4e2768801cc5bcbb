package metrics_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/metrics"
)

func open(t testing.TB, opts ...metrics.Option) metrics.Metrics {
	t.Helper()
	m, err := metrics.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	return m
}

func find(t testing.TB, m metrics.Metrics, name string, values ...string) metrics.Series {
	t.Helper()
	s, ok := m.Snapshot().Find(name, values...)
	if !ok {
		t.Fatalf("no series %s%q in %+v", name, values, m.Snapshot().Families)
	}
	return s
}

func TestCounter(t *testing.T) {
	m := open(t)
	c := m.Counter("requests_total")
	c.Inc()
	c.Add(4)
	c.Add(0)
	c.Add(-3)
	if s := find(t, m, "requests_total"); s.Count != 5 || s.Value != 5 {
		t.Errorf("%+v, want 5", s)
	}
	if n := m.Stats().Invalid; n != 1 {
		t.Errorf("%d invalid values, want the negative one", n)
	}
	m.Counter("requests_total").Inc()
	if s := find(t, m, "requests_total"); s.Count != 6 {
		t.Errorf("the same name is another counter: %d", s.Count)
	}
}

func TestGauge(t *testing.T) {
	m := open(t)
	g := m.Gauge("depth")
	g.Set(-5)
	g.Add(2.5)
	g.Set(math.NaN())
	g.Set(math.Inf(1))
	g.Add(math.Inf(-1))
	if s := find(t, m, "depth"); s.Value != -2.5 {
		t.Errorf("%+v, want -2.5", s)
	}
	if n := m.Stats().Invalid; n != 3 {
		t.Errorf("%d invalid values, want 3", n)
	}
}

func TestHistogram(t *testing.T) {
	m := open(t)
	h := m.Histogram("size", metrics.Buckets(10, 1, 10, math.Inf(1), 5))
	for _, v := range []float64{0, 1, 1.5, 5, 7, 10, 11, -1} {
		h.Observe(v)
	}
	h.Observe(math.NaN())
	s := find(t, m, "size")
	if fmt.Sprint(s.Buckets) != "[3 2 2 1]" || s.Count != 8 || s.Sum != 34.5 {
		t.Errorf("%+v", s)
	}
	if b := m.Snapshot().Families[0].Bounds; fmt.Sprint(b) != "[1 5 10]" {
		t.Errorf("bounds %v", b)
	}
	many := make([]float64, 100)
	for i := range many {
		many[i] = float64(i)
	}
	h = m.Histogram("fine", metrics.Buckets(many...))
	h.Observe(41.5)
	h.Observe(42)
	if s := find(t, m, "fine"); s.Buckets[42] != 2 {
		t.Errorf("%v", s.Buckets)
	}
	h = m.Histogram("took_seconds")
	h.ObserveSince(time.Now().Add(-time.Second))
	if s := find(t, m, "took_seconds"); s.Sum < 1 || s.Sum > 10 {
		t.Errorf("a second is %v", s.Sum)
	}
}

func TestVec(t *testing.T) {
	m := open(t)
	v := m.CounterVec("calls", []string{"method", "code"})
	for i := range 300 {
		v.With("GET", fmt.Sprint(i)).Add(int64(i))
	}
	v.With("", "\x00").Inc()
	v.With("\x00", "").Add(2)
	for i := range 300 {
		if s := find(t, m, "calls", "GET", fmt.Sprint(i)); s.Count != uint64(i) {
			t.Fatalf("%d: %+v", i, s)
		}
	}
	if a, b := find(t, m, "calls", "", "\x00"), find(t, m, "calls", "\x00", ""); a.Count != 1 || b.Count != 2 {
		t.Errorf("values with NULs meet: %d, %d", a.Count, b.Count)
	}
	v.With("one").Inc()
	v.With("a", "b", "c").Inc()
	if n := m.Stats().Invalid; n != 2 {
		t.Errorf("%d invalid, want the two with a wrong number of values", n)
	}
	if !v.Delete("GET", "7") || v.Delete("GET", "7") || v.Delete("x") {
		t.Error("Delete does not say what it did")
	}
	v.With("GET", "7").Inc()
	if s := find(t, m, "calls", "GET", "7"); s.Count != 1 {
		t.Errorf("a deleted series goes on at %d", s.Count)
	}
	if s := find(t, m, "calls", "GET", "8"); s.Count != 8 {
		t.Errorf("its neighbour is at %d", s.Count)
	}
}

func TestConcurrentUse(t *testing.T) {
	m := open(t, metrics.WithRuntime())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			v := m.CounterVec("c", []string{"k"})
			h := m.HistogramVec("h", []string{"k"})
			g := m.Gauge("g")
			for i := range 2000 {
				k := fmt.Sprint(i % 50)
				v.With(k).Inc()
				h.With(k).Observe(1)
				g.Add(1)
				if i%500 == 0 {
					m.Snapshot()
					m.Stats()
				}
			}
		})
	}
	wg.Wait()
	for i := range 50 {
		k := fmt.Sprint(i)
		if c, h := find(t, m, "c", k), find(t, m, "h", k); c.Count != 320 || h.Count != 320 || h.Sum != 320 {
			t.Errorf("%s: %d and %d of 320", k, c.Count, h.Count)
		}
	}
	if g := find(t, m, "g"); g.Value != 16000 {
		t.Errorf("gauge %v", g.Value)
	}
}

func TestSeriesLimit(t *testing.T) {
	var log bytes.Buffer
	m := open(t, metrics.WithSeriesLimit(100), metrics.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
	v := m.CounterVec("c", []string{"user", "x"})
	for i := range 10_000 {
		v.With(fmt.Sprint(i), "").Inc()
	}
	snap := m.Snapshot()
	if n := len(snap.Families[0].Series); n != 101 {
		t.Errorf("%d series, want 100 and the overflow", n)
	}
	if s, _ := snap.Find("c", metrics.Overflow, metrics.Overflow); s.Count != 9900 {
		t.Errorf("overflow has %d", s.Count)
	}
	if n := m.Stats().Overflowed["c"]; n != 9900 {
		t.Errorf("Stats has %d", n)
	}
	if n := strings.Count(log.String(), "too many series"); n != 1 {
		t.Errorf("told %d times: %s", n, log.String())
	}
	own := m.CounterVec("own", []string{"k"}, metrics.Limit(2))
	none := m.CounterVec("none", []string{"k"}, metrics.Limit(-1))
	for i := range 500 {
		own.With(fmt.Sprint(i)).Inc()
		none.With(fmt.Sprint(i)).Inc()
	}
	for _, f := range m.Snapshot().Families {
		if want := map[string]int{"own": 3, "none": 500}[f.Name]; want > 0 && len(f.Series) != want {
			t.Errorf("%s has %d series, want %d", f.Name, len(f.Series), want)
		}
	}
}

func TestAnotherKindOrKeysIsRefusedWithoutHarm(t *testing.T) {
	m := open(t)
	m.Counter("a").Inc()
	m.Gauge("a").Set(7)
	m.Histogram("a").Observe(7)
	m.CounterVec("a", []string{"k"}).With("v").Inc()
	m.CounterVec("twice", []string{"k", "k"}).With("a", "b").Inc()
	m.Counter("").Inc()
	if s := find(t, m, "a"); s.Value != 1 || len(m.Snapshot().Families) != 1 {
		t.Errorf("%+v", m.Snapshot().Families)
	}
	if n := m.Stats().Conflicts; n != 5 {
		t.Errorf("%d conflicts, want 5", n)
	}
}

func TestScopes(t *testing.T) {
	m := open(t, metrics.WithNamespace("shop"), metrics.WithLabels(metrics.Label{"env", "dev"}))
	db := m.With("db", metrics.Label{"pool", "a"})
	db.CounterVec("queries", []string{"op"}).With("select").Inc()
	m.With("db", metrics.Label{"pool", "b"}).CounterVec("queries", []string{"op"}).With("select").Add(2)
	db.With("", metrics.Label{"env", "test"}).Gauge("open").Set(3)
	if s := find(t, m, "shop_db_queries", "dev", "a", "select"); s.Count != 1 {
		t.Errorf("%+v", s)
	}
	if s := find(t, m, "shop_db_queries", "dev", "b", "select"); s.Count != 2 {
		t.Errorf("%+v", s)
	}
	find(t, m, "shop_db_open", "test", "a")
	if err := db.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Flush(t.Context()); err != nil {
		t.Errorf("closing a scope closed all: %v", err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := db.Flush(t.Context()); !errors.Is(err, metrics.ErrClosed) {
		t.Errorf("Flush after Close: %v", err)
	}
}

func TestGaugeFunc(t *testing.T) {
	m := open(t)
	m.GaugeFunc("depth", func() float64 { return 1 }, metrics.Label{"q", "a"})
	stop := m.GaugeFunc("depth", func() float64 { return 2 }, metrics.Label{"q", "b"})
	m.GaugeFunc("broken", func() float64 { return math.NaN() })
	again := m.GaugeFunc("depth", func() float64 { return 3 }, metrics.Label{"q", "b"})
	m.GaugeVec("depth", []string{"q"}).With("a").Set(9)
	if s := find(t, m, "depth", "b"); s.Value != 3 {
		t.Errorf("the second function gives %v", s.Value)
	}
	if s := find(t, m, "depth", "a"); s.Value != 1 {
		t.Errorf("%v", s.Value)
	}
	stop() // replaced: does nothing
	find(t, m, "depth", "b")
	again()
	if _, ok := m.Snapshot().Find("depth", "b"); ok {
		t.Error("unregistered, but there")
	}
	if _, ok := m.Snapshot().Find("broken"); ok {
		t.Error("NaN is shown")
	}
}

func TestNamesAreMadeToFit(t *testing.T) {
	m := open(t)
	m.CounterVec("http.requests/s", []string{"status code", "le", "1st", "ä", "http.route"}).With("a", "b", "c", "d", "e").Inc()
	m.Counter("2nd").Inc()
	m.Counter(".x").Inc()
	f := m.Snapshot().Families
	if f[0].Name != "_.x" || f[1].Name != "_2nd" || f[2].Name != "http.requests_s" || fmt.Sprint(f[2].Keys) != "[status_code le _1st _ http.route]" {
		t.Errorf("%q %q %q %q", f[0].Name, f[1].Name, f[2].Name, f[2].Keys)
	}
}

// Two names that Prometheus would show as one make a page that nobody can read,
// and so do two keys.
func TestDottedNamesMeetTheirUnderscoredTwins(t *testing.T) {
	m := open(t)
	m.Histogram("call.duration", metrics.Unit("s")).Observe(1)
	m.Gauge("call_duration_seconds").Set(1)       // the family
	m.Gauge("call.duration.seconds.count").Set(1) // a sample of it
	m.Gauge("call.duration").Set(1)               // the name
	m.Gauge("call_duration").Set(1)               // nobody's
	m.CounterVec("keys", []string{"http.route", "http_route"}).With("a", "b").Inc()
	if n := m.Stats().Conflicts; n != 4 || len(m.Snapshot().Families) != 2 {
		t.Errorf("%d conflicts, want 4: %+v", n, m.Snapshot().Families)
	}
}

func TestScopesOfDottedNames(t *testing.T) {
	m := open(t, metrics.WithNamespace("shop"))
	m.Counter("http.calls").Inc()
	m.With("a.b").Counter("c").Inc()
	find(t, m, "shop.http.calls")
	find(t, m, "shop.a.b.c")
}

func TestMatchFindsSeriesByTheirLabels(t *testing.T) {
	m := open(t)
	v := m.CounterVec("calls", []string{"route", "error.type"})
	v.With("/a", "").Add(3)
	v.With("/a", "500").Add(2)
	v.With("/b", "").Add(1)
	label := func(k, v string) metrics.Label { return metrics.Label{Key: k, Value: v} }
	for _, c := range []struct {
		labels []metrics.Label
		want   uint64
	}{
		{nil, 6},
		{[]metrics.Label{label("route", "/a")}, 5},
		{[]metrics.Label{label("route", "/a"), label("error.type", "")}, 3},
		{[]metrics.Label{label("error.type", "500")}, 2},
		{[]metrics.Label{label("other", "")}, 6},
		{[]metrics.Label{label("other", "x")}, 0},
	} {
		var got uint64
		for _, s := range m.Snapshot().Match("calls", c.labels...) {
			got += s.Count
		}
		if got != c.want {
			t.Errorf("%v: %d, want %d", c.labels, got, c.want)
		}
	}
	if s := m.Snapshot().Match("no"); s != nil {
		t.Errorf("%v", s)
	}
}

func TestResource(t *testing.T) {
	label := func(k, v string) metrics.Label { return metrics.Label{Key: k, Value: v} }
	m := open(t, metrics.WithResource(label("service.version", "1"), label("service.name", "a\xff")), metrics.WithResource(label("service.version", "2")))
	if got := fmt.Sprint(m.Snapshot().Resource); got != "[{service.name a\uFFFD} {service.version 2}]" {
		t.Error(got)
	}
	if _, err := metrics.New(metrics.WithResource(label("", "x"))); !errors.Is(err, metrics.ErrInvalid) {
		t.Errorf("a key that is empty: %v", err)
	}
}

// loaded is when the tests began: later than the process.
var loaded = time.Now()

func TestRuntime(t *testing.T) {
	m := open(t, metrics.WithRuntime())
	snap := m.Snapshot()
	for name := range metrics.RuntimeFamilies() {
		if len(snap.Match(name)) != 1 {
			t.Errorf("%s is not there", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "process_open_fds", "go_memstats_sys_bytes", "process_threads"} {
		if s, _ := snap.Find(name); s.Value < 1 {
			t.Errorf("%s is %v", name, s.Value)
		}
	}
	if s, _ := snap.Find("process_start_time_seconds"); time.Since(time.Unix(int64(s.Value), 0)) > time.Hour || s.Value >= float64(loaded.UnixNano())/1e9 {
		t.Errorf("the process started at %v, want before the %v at which its tests were loaded", s.Value, loaded)
	}
	for i := range snap.Families[1:] {
		if snap.Families[i].Name >= snap.Families[i+1].Name {
			t.Errorf("%s before %s", snap.Families[i].Name, snap.Families[i+1].Name)
		}
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	m := open(t)
	c, g, h := m.Counter("c"), m.Gauge("g"), m.Histogram("h")
	v := m.CounterVec("v", []string{"a", "b"})
	v.With("x", "y")
	for name, f := range map[string]func(){
		"counter": func() { c.Inc(); c.Add(2) }, "gauge": func() { g.Set(1); g.Add(1) }, "histogram": func() { h.Observe(1) },
		"look-up": func() { v.With("x", "y").Inc() },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestNewRefusesWhatCannotBe(t *testing.T) {
	for name, opt := range map[string]metrics.Option{
		"nil": nil, "logger": metrics.WithLogger(nil), "interval": metrics.WithInterval(0), "idle": metrics.WithIdle(-1),
		"limit": metrics.WithSeriesLimit(0), "label": metrics.WithLabels(metrics.Label{"", "x"}), "driver": metrics.WithDriver("x", nil),
		"resource": metrics.WithResource(metrics.Label{"service.name", "shop"}, metrics.Label{"", "x"}), "dial": metrics.WithDialTimeout(0), "timeout": metrics.WithTimeout(0),
	} {
		if m, err := metrics.New(opt); m != nil || !errors.Is(err, metrics.ErrInvalid) || !strings.HasPrefix(err.Error(), "metrics: new: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func BenchmarkCounter(b *testing.B) {
	c := open(b).Counter("c")
	b.ReportAllocs()
	for b.Loop() {
		c.Inc()
	}
}

func BenchmarkHistogram(b *testing.B) {
	h := open(b).Histogram("h")
	b.ReportAllocs()
	for b.Loop() {
		h.Observe(.02)
	}
}

func BenchmarkVecWith(b *testing.B) {
	v := open(b).CounterVec("v", []string{"method", "code"})
	b.ReportAllocs()
	for b.Loop() {
		v.With("GET", "200").Inc()
	}
}
