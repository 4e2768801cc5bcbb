package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/trace"
)

// Each character that a name or a key may have stays, its neighbours become "_".
// A digit or a dot may not come first, a colon not stand in a key.
func TestCharactersOfNamesAndKeys(t *testing.T) {
	m := open(t, metrics.WithSeriesLimit(-1))
	for name, want := range map[string][2]string{ // as a name, as a key
		"aa": {"aa", "aa"}, "zz": {"zz", "zz"}, "AA": {"AA", "AA"}, "ZZ": {"ZZ", "ZZ"}, "__": {"__", "__"},
		"``": {"__", "__"}, "{{": {"__", "__"}, "@@": {"__", "__"}, "[[": {"__", "__"}, "//": {"__", "__"}, ";;": {"__", "__"}, "--": {"__", "__"}, "\x7f\x80": {"__", "__"}, "ä": {"_", "_"},
		"x0": {"x0", "x0"}, "x9": {"x9", "x9"}, "x.": {"x.", "x."}, "x:": {"x:", "x_"}, ":x": {":x", "_x"}, "x/": {"x_", "x_"},
		"00": {"_00", "_00"}, "99": {"_99", "_99"}, ".x": {"_.x", "_.x"}, "x-9": {"x_9", "x_9"}, "9-x": {"_9_x", "_9_x"}, ".-:": {"_._:", "_.__"},
	} {
		scope := m.With(fmt.Sprintf("n%x", name))
		scope.CounterVec("c", []string{name}).With("v").Inc()
		snap := m.Snapshot()
		i := slices.IndexFunc(snap.Families, func(f metrics.Family) bool { return f.Name == fmt.Sprintf("n%x_c", name) })
		if i < 0 || snap.Families[i].Keys[0] != want[1] {
			t.Errorf("key %q is %q, want %q", name, snap.Families[max(i, 0)].Keys, want[1])
		}
		own := open(t)
		own.Counter(name).Inc()
		if got := own.Snapshot().Families; len(got) != 1 || got[0].Name != want[0] {
			t.Errorf("name %q is %+v, want %q", name, got, want[0])
		}
	}
	m.CounterVec("none", []string{""}).With("v").Inc()
	if _, ok := m.Snapshot().Find("none", "v"); !ok || len(m.Snapshot().Match("none", metrics.Label{Key: "_", Value: "v"})) != 1 {
		t.Error("a key that is empty is not \"_\"")
	}
}

// A prefix and a name are joined by what the two use, and one alone stands as it is.
func TestPrefixes(t *testing.T) {
	for _, c := range [][3]string{{"a", "b", "a_b"}, {"a.b", "c", "a.b.c"}, {"a", "b.c", "a.b.c"}, {"", "b", "b"}, {"a_b", "c_d", "a_b_c_d"}} {
		m := open(t, metrics.WithNamespace(c[0]))
		m.Counter(c[1]).Inc()
		find(t, m, c[2])
		m = open(t)
		m.With(c[0]).With("").Counter(c[1]).Inc()
		find(t, m, c[2])
		m.With(c[0]).Counter("").Inc()
		if n := m.Stats().Conflicts; n != 1 {
			t.Errorf("%v: a name that is empty: %d conflicts", c, n)
		}
	}
}

// An inner label replaces the outer one of its key, in its place.
func TestLabelsOfScopes(t *testing.T) {
	l := func(k, v string) metrics.Label { return metrics.Label{Key: k, Value: v} }
	m := open(t, metrics.WithLabels(l("a", "1"), l("b", "2")))
	inner := m.With("", l("b", "3"), l("c", "4"), l("c", "5"))
	inner.Counter("x").Inc()
	inner.GaugeFunc("f", func() float64 { return 7 }, l("a", "6"), l("d", "8"))
	m.Counter("y").Inc()
	find(t, m, "x", "1", "3", "5")
	find(t, m, "f", "6", "3", "5", "8")
	find(t, m, "y", "1", "2")
}

// What was refused does nothing, whatever is asked of it.
func TestHandlesOfRefusedInstruments(t *testing.T) {
	m := open(t, metrics.WithLogger(slog.New(slog.DiscardHandler)))
	m.Counter("taken").Inc()
	keys := []string{"k"}
	g, h, u := m.GaugeVec("taken", keys), m.HistogramVec("taken", keys), m.UpDownCounterVec("taken", keys)
	c := m.CounterVec("taken", keys)
	c.With("v").Add(2)
	c.With("v").Inc()
	c.With().Inc()
	g.With("v").Set(2)
	g.With("v").Add(2)
	u.With("v").Inc()
	u.With("v").Dec()
	u.With("v").Add(2)
	h.With("v").Observe(2)
	h.With("v").ObserveContext(t.Context(), 2)
	h.With("v").ObserveSince(time.Now())
	if c.Delete("v") || g.Delete("v") || h.Delete("v") || u.Delete("v") || c.Delete() {
		t.Error("Delete says that there was one")
	}
	m.GaugeFunc("taken", func() float64 { return 9 })()
	m.GaugeFunc("nothing", nil)()
	m.OnCollect(nil)
	if s := find(t, m, "taken"); s.Count != 1 || len(m.Snapshot().Families) != 1 || m.Stats().Invalid != 0 || m.Stats().Conflicts != 5 {
		t.Errorf("%+v, %+v", m.Snapshot().Families, m.Stats())
	}
	if ok := m.CounterVec("there", keys); ok.Delete() || ok.Delete("v", "w") || ok.Delete("v") {
		t.Error("Delete of what is not there")
	}
}

// A hundred refused instruments are logged one by one.
func TestHowManyRefusedInstrumentsAreLogged(t *testing.T) {
	for n, want := range map[int]int{99: 99, 100: 100, 101: 100} {
		out, logger := logged()
		m := open(t, logger)
		m.Counter("a")
		for range 2 {
			for i := range n {
				m.GaugeVec("a", []string{fmt.Sprint("k", i)})
			}
		}
		if got := strings.Count(out.String(), "instrument refused"); got != want || int(m.Stats().Conflicts) != 2*n {
			t.Errorf("%d refused: %d are logged, want %d; %d conflicts", n, got, want, m.Stats().Conflicts)
		}
	}
}

// An instrument has as many series as its limit says, one without labels has one
// at any limit.
func TestTheLimitOfSeries(t *testing.T) {
	for limit, want := range map[int]string{1: "1 and 9", 2: "2 and 8", 9: "9 and 1", 10: "10 and 0", 11: "10 and 0", -1: "10 and 0"} {
		for name, own := range map[string]bool{"of the whole": false, "of its own": true} {
			out, logger := logged()
			opts := []metrics.InstrumentOption{metrics.Limit(0)}
			m := open(t, logger, metrics.WithSeriesLimit(limit))
			if own {
				m, opts = open(t, logger, metrics.WithSeriesLimit(5)), []metrics.InstrumentOption{metrics.Limit(limit)}
			}
			v := m.CounterVec("c", []string{"k"}, opts...)
			for i := range 10 {
				v.With(fmt.Sprint(i)).Inc()
			}
			m.Counter("single", opts...).Inc()
			m.Gauge("level", opts...).Set(1)
			rest, _ := m.Snapshot().Find("c", metrics.Overflow)
			series := len(m.Snapshot().Match("c"))
			if rest.Count > 0 {
				series--
			}
			if got := fmt.Sprintf("%d and %d", series, rest.Count); got != want || m.Stats().Overflowed["c"] != rest.Count || strings.Count(out.String(), "too many series") != int(min(rest.Count, 1)) {
				t.Errorf("limit %d %s: %s, want %s; %v; %s", limit, name, got, want, m.Stats().Overflowed, out)
			}
			find(t, m, "single")
			find(t, m, "level")
			if n := len(m.Stats().Overflowed); n != int(min(rest.Count, 1)) {
				t.Errorf("limit %d %s: %v", limit, name, m.Stats().Overflowed)
			}
		}
	}
}

// The values at the ends of what each instrument takes.
func TestTheEndsOfValues(t *testing.T) {
	m := open(t)
	c, g, h := m.Counter("c"), m.Gauge("g"), m.Histogram("h", metrics.Buckets(-1, 0, 1))
	c.Add(math.MaxInt64)
	c.Add(-1)
	c.Add(0)
	g.Set(math.MaxFloat64)
	g.Add(math.MaxFloat64) // would be infinite
	if s := find(t, m, "c"); s.Count != math.MaxInt64 {
		t.Errorf("counter %d", s.Count)
	}
	if s := find(t, m, "g"); s.Value != math.MaxFloat64 {
		t.Errorf("gauge %v", s.Value)
	}
	for _, v := range []float64{-2, -1, math.Nextafter(-1, 0), 0, math.Copysign(0, -1), math.SmallestNonzeroFloat64, 1, math.Nextafter(1, 2)} {
		h.Observe(v)
	}
	if s := find(t, m, "h"); fmt.Sprint(s.Buckets) != "[2 3 2 1]" {
		t.Errorf("%v", s.Buckets)
	}
	for _, n := range []int{23, 24, 25, 60} { // many bounds are searched in another way
		var bounds []float64
		for i := range n {
			bounds = append(bounds, float64(i))
		}
		fine := m.Histogram(fmt.Sprint("fine", n), metrics.Buckets(bounds...))
		for i := range n {
			fine.Observe(float64(i))
			fine.Observe(float64(i) + .5)
		}
		want := append([]uint64{1}, slices.Repeat([]uint64{2}, n-1)...)
		if s := find(t, m, fmt.Sprint("fine", n)); !slices.Equal(s.Buckets, append(want, 1)) {
			t.Errorf("%d bounds: %v", n, s.Buckets)
		}
	}
	if n := m.Stats().Invalid; n != 2 {
		t.Errorf("%d invalid values, want 2", n)
	}
}

// Counts of the Go runtime follow what it does, and add up.
func TestRuntimeNumbersAddUp(t *testing.T) {
	began := time.Now()
	m := open(t, metrics.WithRuntime())
	runtime.GC()
	snap := m.Snapshot()
	value := func(name string) float64 {
		s, ok := snap.Find(name)
		if !ok {
			t.Errorf("%s is not there", name)
		}
		return s.Value
	}
	if at := value("go_memstats_last_gc_time_seconds"); at < float64(began.UnixNano())/1e9 || at > float64(time.Now().UnixNano())/1e9+1e-3 {
		t.Errorf("the last collection ended at %v, the test began at %v", at, began.Unix())
	}
	for name, sum := range map[string]float64{
		"go_memstats_heap_sys_bytes":   value("go_memstats_heap_idle_bytes") + value("go_memstats_heap_inuse_bytes"),
		"go_memstats_heap_alloc_bytes": value("go_memstats_alloc_bytes"),
	} {
		if value(name) != sum || sum < 1<<16 {
			t.Errorf("%s is %v, want %v", name, value(name), sum)
		}
	}
	if value("go_sched_gomaxprocs_threads") != float64(runtime.GOMAXPROCS(0)) || value("go_memstats_mallocs_total") < value("go_memstats_frees_total") {
		t.Errorf("%v threads, %v made and %v freed", value("go_sched_gomaxprocs_threads"), value("go_memstats_mallocs_total"), value("go_memstats_frees_total"))
	}
	if s, ok := snap.Find("go_info", runtime.Version()); !ok || s.Value != 1 {
		t.Errorf("go_info: %+v", s)
	}
	pauses, _ := snap.Find("go_gc_duration_seconds")
	if pauses.Count == 0 || pauses.Sum <= 0 || len(pauses.Quantiles) != 5 {
		t.Errorf("pauses: %+v", pauses)
	}
	for i, q := range pauses.Quantiles {
		if q.Share != float64(i)/4 || i > 0 && q.Value < pauses.Quantiles[i-1].Value {
			t.Errorf("pauses: %+v", pauses)
		}
	}
	mallocs, _ := snap.Find("go_memstats_mallocs_total")
	if float64(mallocs.Count) != mallocs.Value {
		t.Errorf("a counter has %d and %v", mallocs.Count, mallocs.Value)
	}
	m.Gauge("go_goroutines").Set(-1) // the name is taken
	if find(t, m, "go_goroutines").Value < 1 || m.Stats().Conflicts != 1 {
		t.Error("a gauge takes the place of a number of the runtime")
	}
}

// Each observation of a block stands for it as often as the others.
func TestWhichOfABlockIsChosen(t *testing.T) {
	s := &samplingSink{sink{samples: 64}}
	m := open(t, driver("s", s), metrics.WithInterval(time.Hour))
	h := m.Histogram("h")
	places, samples := map[int]int{}, 0
	for range 50 {
		for i := range 1024 {
			h.Observe(float64(i))
		}
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		one, _ := s.snaps[len(s.snaps)-1].Find("h")
		for _, x := range one.Samples {
			if x.Weight == 16 {
				places[int(x.Value)%16]++
				samples++
			}
		}
	}
	for at := range 16 {
		if n := places[at]; samples < 1000 || n < samples/40 || n > samples/7 {
			t.Errorf("of %d blocks, observation %d stands for %d, want about a sixteenth", samples, at, n)
		}
	}
}

// What is over the bound of samples, and what the last block has, is kept in
// powers of two.
func TestSamplesOfEveryNumber(t *testing.T) {
	s := &samplingSink{sink{samples: 3}} // an odd number: two are kept
	m := open(t, driver("s", s), metrics.WithInterval(time.Hour))
	h := m.Histogram("h")
	for n := range 200 {
		for i := range n {
			h.Observe(float64(i + 1))
		}
		if err := m.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		one, _ := s.snaps[len(s.snaps)-1].Find("h")
		var sum uint64
		for _, x := range one.Samples {
			sum += x.Weight
			if x.Weight&(x.Weight-1) != 0 || x.Value < 1 || x.Value > float64(n) {
				t.Errorf("%d observations: sample %+v", n, x)
			}
		}
		if sum != uint64(n) {
			t.Errorf("%d observations are %d", n, sum)
		}
	}
}

// An idle series is pushed for as long as it may be, and again once its value or
// its count is another.
func TestTheMomentASeriesIsNotPushed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &sink{}
		m := open(t, driver("s", s), metrics.WithInterval(time.Hour), metrics.WithIdle(10*time.Second))
		g, c, h := m.Gauge("g"), m.Counter("c"), m.Histogram("h")
		pushed := func(after time.Duration) string {
			time.Sleep(after)
			if err := m.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			all := ""
			for _, f := range s.snaps[len(s.snaps)-1].Families {
				if len(f.Series) > 0 {
					all += f.Name
				}
			}
			return all
		}
		g.Set(1)
		c.Inc()
		h.Observe(0)
		for i, x := range []struct {
			do    func()
			after time.Duration
			want  string
		}{
			{func() {}, 0, "cgh"}, {func() {}, 10*time.Second - 1, "cgh"}, {func() {}, 1, ""},
			{func() { g.Set(1) }, 0, ""}, {func() { g.Set(2) }, 0, "g"}, {func() { c.Inc() }, time.Second, "cg"}, {func() { h.Observe(0) }, time.Second, "cgh"},
			{func() {}, 8 * time.Second, "ch"}, {func() {}, time.Second, "h"}, {func() {}, time.Second, ""},
		} {
			x.do()
			if got := pushed(x.after); got != x.want {
				t.Errorf("step %d: pushed are %q, want %q", i, got, x.want)
			}
		}
	})
}

// The last error that says what is wrong with a backend stays in the stats; that
// of a Flush whose caller gave up does not take its place.
func TestTheLastErrorOfABackend(t *testing.T) {
	answers := []error{errors.New("refused"), nil, context.Canceled, errors.New("denied"), fmt.Errorf("sent: %w", context.Canceled)}
	s := &sink{}
	s.export = func(context.Context, *metrics.Snapshot) (metrics.Sent, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return metrics.Sent{Packets: 1, Bytes: 2, Dropped: 3, Sanitized: 4}, answers[(len(s.snaps)-1)%len(answers)]
	}
	out, logger := logged()
	m := open(t, logger, driver("s", s), metrics.WithInterval(time.Hour))
	for i, want := range []string{"refused", "refused", "refused", "denied", "denied"} {
		if err := m.Flush(t.Context()); !errors.Is(err, answers[i]) && (err != nil) != (answers[i] != nil) {
			t.Errorf("export %d: %v, want %v", i, err, answers[i])
		}
		n := uint64(i + 1)
		if got := m.Stats().Exporters[0]; !strings.Contains(got.LastError, want) || got.Exports != n || got.Errors != []uint64{1, 1, 2, 3, 4}[i] || got.Packets != n || got.Bytes != 2*n || got.Dropped != 3*n || got.Sanitized != 4*n {
			t.Errorf("export %d: %+v, want %q", i, got, want)
		}
	}
	if n := strings.Count(out.String(), "export failed"); n != 1 && n != 2 || strings.Contains(out.String(), "canceled") {
		t.Errorf("told: %s", out)
	}
}

// An export has its time, and no more.
func TestTheTimeOfAnExport(t *testing.T) {
	for _, c := range []struct {
		opts []metrics.Option
		want time.Duration
	}{{nil, 5 * time.Second}, {[]metrics.Option{metrics.WithTimeout(time.Minute)}, time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			s := &sink{export: func(ctx context.Context, _ *metrics.Snapshot) (metrics.Sent, error) {
				<-ctx.Done()
				return metrics.Sent{}, ctx.Err()
			}}
			m := open(t, append(c.opts, driver("s", s), metrics.WithInterval(time.Hour), metrics.WithLogger(slog.New(slog.DiscardHandler)))...)
			began := time.Now()
			err := m.Flush(t.Context())
			if took := time.Since(began); took != c.want || !errors.Is(err, metrics.ErrUnavailable) {
				t.Errorf("Flush took %v, want %v: %v", took, c.want, err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			began = time.Now()
			if err := m.Flush(ctx); !errors.Is(err, context.Canceled) || time.Since(began) != 0 || len(s.snaps) != 1 {
				t.Errorf("Flush of a caller who gave up: %v after %v, %d exports", err, time.Since(began), len(s.snaps))
			}
			m.Close(ctx)
		})
	}
}

// The buckets of a native histogram at the bound of their number, and its scale
// when they are one more.
func TestTheBoundOfNativeBuckets(t *testing.T) {
	at := func(i int) float64 { return math.Exp2((float64(i) + .5) / 256) } // within bucket i of scale 8
	for _, c := range []struct {
		name   string
		values []float64
		scale  int
		counts int
	}{
		{"as many as fit", []float64{at(0), at(159)}, 8, 160},
		{"one more above", []float64{at(0), at(160)}, 7, 81},
		{"one more below", []float64{at(160), at(0)}, 7, 81},
		{"in between", []float64{at(0), at(159), at(80), at(0), at(159)}, 8, 160},
		{"twice as many", []float64{at(0), at(319)}, 7, 160},
		{"twice as many and one", []float64{at(0), at(320)}, 6, 81},
		{"beginning at an odd one", []float64{at(1), at(161)}, 7, 81},
		{"downwards by one", []float64{at(10), at(9)}, 8, 2},
	} {
		for _, sign := range []float64{1, -1} {
			values := slices.Clone(c.values)
			for i := range values {
				values[i] *= sign
			}
			n := nativeOf(t, values...)
			side, other := n.Positive, n.Negative
			if sign < 0 {
				side, other = other, side
			}
			if n.Scale != c.scale || len(side.Counts) != c.counts || total(side) != uint64(len(values)) || side.Counts[0] == 0 || side.Counts[len(side.Counts)-1] == 0 || len(other.Counts) != 0 {
				t.Errorf("%s, sign %v: scale %d with %d buckets of %d values, want %d with %d", c.name, sign, n.Scale, len(side.Counts), total(side), c.scale, c.counts)
			}
		}
	}
}

// Since subtracts what was there, also where the sides have moved apart.
func TestSinceOfMovedBuckets(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		m := open(t, metrics.WithNativeHistograms())
		h := m.Histogram("h")
		observe := func() (zero, up, down uint64) {
			for range r.IntN(50) {
				v := math.Exp(r.NormFloat64()*3) * float64(r.IntN(3)-1)
				h.Observe(v)
				switch {
				case v == 0:
					zero++
				case v > 0:
					up++
				default:
					down++
				}
			}
			return zero, up, down
		}
		observe()
		before := find(t, m, "h").Native
		zero, up, down := observe()
		d := find(t, m, "h").Native.Since(before)
		if d.ZeroCount != zero || total(d.Positive) != up || total(d.Negative) != down {
			t.Fatalf("%+v, want %d, %d and %d", d, zero, up, down)
		}
		for _, side := range []metrics.NativeBuckets{d.Positive, d.Negative} {
			for _, n := range side.Counts {
				if n > 50 {
					t.Fatalf("a bucket has %d", n)
				}
			}
		}
	}
}

// Find and Match take a series by all of its labels.
func TestFindAndMatch(t *testing.T) {
	m := open(t)
	v := m.GaugeVec("g", []string{"a", "b"})
	v.With("x", "y").Set(1)
	v.With("x", "").Set(2)
	m.Gauge("h").Set(3)
	snap := m.Snapshot()
	for _, c := range []struct {
		name   string
		values []string
		want   float64 // 0: not there
	}{{"g", []string{"x", "y"}, 1}, {"g", []string{"x", ""}, 2}, {"g", []string{"x"}, 0}, {"g", []string{"y", "x"}, 0}, {"g", nil, 0}, {"h", nil, 3}, {"h", []string{""}, 0}, {"i", nil, 0}} {
		if s, ok := snap.Find(c.name, c.values...); ok != (c.want != 0) || s.Value != c.want {
			t.Errorf("%s%q: %+v, %v", c.name, c.values, s, ok)
		}
	}
	for _, c := range []struct {
		labels []metrics.Label
		want   int
	}{{nil, 2}, {[]metrics.Label{{Key: "a", Value: "x"}}, 2}, {[]metrics.Label{{Key: "a", Value: "x"}, {Key: "b", Value: "z"}}, 0}, {[]metrics.Label{{Key: "b", Value: "y"}, {Key: "a", Value: "x"}}, 1}, {[]metrics.Label{{Key: "a", Value: ""}}, 0}} {
		if got := snap.Match("g", c.labels...); len(got) != c.want {
			t.Errorf("%v: %+v", c.labels, got)
		}
	}
}

// A handle that gave what it counted to the series that took its place has nothing
// of it when that one is freed too and the handle's own comes back.
func TestHandlesTakeTurns(t *testing.T) {
	tr := tracer(t, trace.Ratio(1))
	ctx, span := tr.Start(t.Context(), "x")
	defer span.End()
	synctest.Test(t, func(t *testing.T) {
		m := open(t, metrics.WithIdle(time.Minute), metrics.WithNativeHistograms())
		keys := []string{"k"}
		c, g, h, u := m.CounterVec("c", keys), m.GaugeVec("g", keys), m.HistogramVec("h", keys, metrics.Buckets(1)), m.UpDownCounterVec("u", keys)
		oldC, oldG, oldH, oldU := c.With("v"), g.With("v"), h.With("v"), u.With("v")
		for round := range 3 {
			time.Sleep(3 * time.Minute) // all are freed
			if n := m.Stats().Series; n != 0 {
				t.Fatalf("round %d: %d series are left", round, n)
			}
			c.With("v").Inc()
			g.With("v").Set(1)
			h.With("v").ObserveContext(ctx, 5)
			u.With("v").Inc()
			oldC.Add(2)
			oldG.Add(2)
			oldH.Observe(.5)
			oldH.Observe(7)
			oldU.Add(2)
			hist := find(t, m, "h", "v")
			if got := fmt.Sprint(find(t, m, "c", "v").Count, find(t, m, "g", "v").Value, hist.Buckets, hist.Sum, total(hist.Native.Positive), find(t, m, "u", "v").Value); got != "3 3 [1 2] 12.5 3 3" {
				t.Errorf("round %d: both have counted %s", round, got)
			}
			oldG.Add(-3)
			oldU.Add(-3)
			time.Sleep(3 * time.Minute)
			oldC.Inc() // the handle's own comes back, and begins at nothing
			oldG.Add(4)
			oldH.Observe(.25)
			oldU.Inc()
			hist = find(t, m, "h", "v")
			if got := fmt.Sprint(find(t, m, "c", "v").Count, find(t, m, "g", "v").Value, hist.Buckets, hist.Sum, total(hist.Native.Positive), find(t, m, "u", "v").Value); got != "1 4 [1 0] 0.25 1 1" || hist.Exemplars != nil {
				t.Errorf("round %d: the one that came back has counted %s, exemplars %v", round, got, hist.Exemplars)
			}
			oldG.Add(-4)
			oldU.Dec()
		}
	})
}

// A function that replaces another one goes on with its series.
func TestAFunctionThatReplacesAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := open(t)
		m.GaugeFunc("f", func() float64 { return 1 })
		first := find(t, m, "f")
		time.Sleep(time.Hour)
		m.GaugeFunc("f", func() float64 { return 2 })
		if second := find(t, m, "f"); second.ID != first.ID || !second.Created.Equal(first.Created) || second.Value != 2 {
			t.Errorf("%+v, then %+v", first, second)
		}
		m.GaugeFunc("g", func() float64 { return 1 })()
		m.GaugeFunc("g", func() float64 { return 2 })
		if g := find(t, m, "g"); g.ID == first.ID || g.Value != 2 {
			t.Errorf("%+v", g)
		}
	})
}

// Attributes of the resource stand in the order of their keys.
func TestTheOrderOfAResource(t *testing.T) {
	m := open(t, metrics.WithResource(metrics.Label{Key: "c", Value: "1"}, metrics.Label{Key: "a", Value: "2"}), metrics.WithResource(metrics.Label{Key: "b", Value: "3"}))
	if got := fmt.Sprint(m.Snapshot().Resource); got != "[{a 2} {b 3} {c 1}]" {
		t.Error(got)
	}
}

// A state of another series takes nothing from what is outside of it.
func TestSinceAnotherSeries(t *testing.T) {
	now := &metrics.Native{Scale: 3, Positive: metrics.NativeBuckets{Offset: 10, Counts: []uint64{5, 6}}}
	for offset, want := range map[int]string{8: "[5 6]", 9: "[4 6]", 10: "[4 5]", 11: "[5 5]", 12: "[5 6]"} {
		before := &metrics.Native{Scale: 3, Positive: metrics.NativeBuckets{Offset: offset, Counts: []uint64{1, 1}}}
		if got := fmt.Sprint(now.Since(before).Positive.Counts); got != want {
			t.Errorf("from %d on: %s, want %s", offset, got, want)
		}
	}
}
