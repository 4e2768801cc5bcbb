package metrics

import (
	"context"
	"log/slog"
	"math"
	"runtime/metrics"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The fields of a process's stat are counted behind its name, which may hold
// anything. What is not there, or no number, is no number.
func TestFieldsOfAProcess(t *testing.T) {
	const stat, odd = "1 (a) R 4 5 6", "1 (4 5 (6 7) R 4 5 6"
	for _, c := range []struct {
		stat   string
		fields []int
		want   float64
		ok     bool
	}{
		{stat, []int{4}, 4, true}, {stat, []int{6}, 6, true}, {stat, []int{4, 6}, 10, true}, {stat, nil, 0, true}, {odd, []int{4}, 4, true}, {odd, []int{6}, 6, true},
		{stat, []int{3}, 0, false}, {stat, []int{7}, 0, false}, {stat, []int{4, 7}, 0, false}, {"1 a R 4", []int{4}, 0, false}, {"", []int{4}, 0, false},
	} {
		if got, ok := statFields(c.stat, c.fields...); got != c.want || ok != c.ok {
			t.Errorf("%q, fields %v: %v, %v, want %v, %v", c.stat, c.fields, got, ok, c.want, c.ok)
		}
	}
}

// A process began so many ticks after the system; where that is not said, now.
func TestTheStartOfAProcess(t *testing.T) {
	now := time.Unix(5e9, 0)
	stat := "1 (a) R" + strings.Repeat(" 0", 18) + " 250"
	began := time.Unix(1e9, 0).Add(2500 * time.Millisecond)
	for _, c := range []struct {
		stat, system string
		want         time.Time
	}{
		{stat, "cpu 1\nbtime 1000000000\nprocesses 7\n", began},
		{stat, "cpu 1\nbtime 1000000000", began},
		{stat, "cpu 1\nxbtime 1000000000\n", now},
		{stat, "cpu 1\nbtime x\n", now},
		{stat, "", now},
		{"1 (a) R 0", "cpu 1\nbtime 1000000000\n", now},
		{"", "cpu 1\nbtime 1000000000\n", now},
	} {
		if got := startOf(c.stat, c.system, now); !got.Equal(c.want) {
			t.Errorf("%q, %q: %v, want %v", c.stat, c.system, got, c.want)
		}
	}
}

func TestLimitsOfAProcess(t *testing.T) {
	const limits = "Limit                     Soft Limit           Hard Limit           Units     \n" +
		"Max cpu time              unlimited            unlimited            seconds   \n" +
		"Max open files            1024                 4096                 files     \n" +
		"Max odd                   x                    4096                 files     \n" +
		"Max nothing   "
	for _, c := range []struct {
		limits, name string
		want         float64
		ok           bool
	}{
		{limits, "Max open files", 1024, true}, {limits, "Max cpu time", math.MaxUint64, true},
		{limits, "Max odd", 0, false}, {limits, "Max nothing", 0, false}, {limits, "Max processes", 0, false}, {limits, "open files", 0, false}, {"", "Max open files", 0, false},
	} {
		if got, ok := limitOf(c.limits, c.name); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v, want %v, %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

func TestBytesOfANetwork(t *testing.T) {
	const netstat = "TcpExt: SyncookiesSent InOctets\nTcpExt: 1 2\nIpExt: InNoRoutes InOctets OutOctets Odd More\nIpExt: 0 70 80 x\n"
	for _, c := range []struct {
		netstat, name string
		want          float64
		ok            bool
	}{
		{netstat, "InNoRoutes", 0, true}, {netstat, "InOctets", 70, true}, {netstat, "OutOctets", 80, true},
		{strings.TrimPrefix(netstat, "TcpExt: SyncookiesSent InOctets\nTcpExt: 1 2\n"), "InOctets", 70, true},
		{netstat, "Odd", 0, false}, {netstat, "More", 0, false}, {netstat, "SyncookiesSent", 0, false}, {netstat, "None", 0, false},
		{"IpExt: InOctets", "InOctets", 0, false}, {"xIpExt: InOctets\nIpExt: 1", "InOctets", 0, false}, {"", "InOctets", 0, false},
	} {
		if got, ok := ipExt(c.netstat, c.name); got != c.want || ok != c.ok {
			t.Errorf("%s of %q: %v, %v, want %v, %v", c.name, c.netstat, got, ok, c.want, c.ok)
		}
	}
}

// A percentile is the upper end of its bucket, or the lower one of a bucket
// without an upper.
func TestPercentiles(t *testing.T) {
	inf := math.Inf(1)
	for _, c := range []struct {
		counts []uint64
		p      float64
		want   float64
	}{
		{[]uint64{0, 0, 0}, .99, 0},
		{[]uint64{1, 0, 0}, .99, 1}, {[]uint64{0, 1, 0}, .99, 2}, {[]uint64{0, 0, 1}, .99, 2}, // the last has no upper end
		{[]uint64{99, 1, 0}, .99, 1}, {[]uint64{98, 2, 0}, .99, 2}, {[]uint64{99, 0, 1}, .99, 1}, {[]uint64{98, 0, 2}, .99, 2},
		{[]uint64{1, 1, 0}, .5, 1}, {[]uint64{1, 2, 0}, .5, 2}, {[]uint64{0, 5, 5}, 0, 2}, {[]uint64{0, 5, 5}, 1, 2},
	} {
		if got := percentile(&metrics.Float64Histogram{Counts: c.counts, Buckets: []float64{0, 1, 2, inf}}, c.p); got != c.want {
			t.Errorf("%v of %v: %v, want %v", c.p, c.counts, got, c.want)
		}
	}
}

// Handles are found by their values, also where their hashes meet or stand at the
// end of the table.
func TestAHashTable(t *testing.T) {
	v := newVec[int](nil, nil, 1, nil, 0)
	table := v.table.Load()
	put := func(hash uint64, value string, handle int) *entry[int] {
		e := &entry[int]{hash: hash, values: []string{value}, handle: handle, series: &series{}}
		v.table.Load().put(e)
		return e
	}
	a, b, c, d := put(15, "a", 1), put(15, "b", 2), put(31, "c", 3), put(0, "d", 4)
	check := func(when string, want map[*entry[int]]bool) {
		t.Helper()
		for e, there := range want {
			if got := v.table.Load().find(e.hash, e.values); (got == e) != there || got != nil && got != e {
				t.Errorf("%s: %v is found as %v, want it there: %v", when, e.values, got, there)
			}
		}
		for _, none := range []struct {
			hash  uint64
			value string
		}{{15, "c"}, {31, "a"}, {0, "a"}, {15, ""}, {7, "a"}} {
			if got := v.table.Load().find(none.hash, []string{none.value}); got != nil {
				t.Errorf("%s: %v is found as %v", when, none, got.values)
			}
		}
	}
	check("as they were put", map[*entry[int]]bool{a: true, b: true, c: true, d: true})
	v.rebuild(nil)
	check("in a new table", map[*entry[int]]bool{a: true, b: true, c: true, d: true})
	v.rebuild(b)
	check("without one", map[*entry[int]]bool{a: true, b: false, c: true, d: true})
	c.series.freed.Store(true)
	v.rebuild(a)
	check("without another, and one whose series was freed", map[*entry[int]]bool{a: false, b: false, c: false, d: true})
	if len(table.slots) != 16 || v.table.Load().n != 1 || len(v.table.Load().slots) != 16 {
		t.Errorf("%d entries in %d slots", v.table.Load().n, len(v.table.Load().slots))
	}
}

// A table is at most half full, and no larger than that needs.
func TestTheSizeOfAHashTable(t *testing.T) {
	m, err := New(WithSeriesLimit(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	v := m.CounterVec("c", []string{"k"})
	size := 16
	for n := 1; n <= 300; n++ {
		v.With(strings.Repeat("x", n)).Inc()
		if 2*n > size {
			size *= 2
		}
		if got := v.table.Load(); got.n != n || len(got.slots) != size {
			t.Fatalf("%d entries: %d in %d slots, want %d", n, got.n, len(got.slots), size)
		}
	}
	for n := 300; n > 0; n-- {
		if !v.Delete(strings.Repeat("x", n)) {
			t.Fatalf("%d is not there", n)
		}
	}
	if got := v.table.Load(); got.n != 0 || len(got.slots) != 16 {
		t.Errorf("empty: %d entries in %d slots", got.n, len(got.slots))
	}
}

// The scopes that an instrument remembers are bounded like its series.
func TestScopesThatAreRemembered(t *testing.T) {
	for limit, want := range map[int]int{1: 1, 3: 3, -1: 10} {
		m, err := New(WithSeriesLimit(limit))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			scope := m.With("", Label{"tenant", strings.Repeat("x", i)})
			first := scope.CounterVec("c", []string{"k"})
			if again := scope.CounterVec("c", []string{"k"}); (first == again) != (limit < 0 || i < limit) {
				t.Errorf("limit %d: scope %d has one Vec: %v", limit, i, first == again)
			}
		}
		if n := len(m.(*scope).registry.families["c"].vecs); n != want {
			t.Errorf("limit %d: %d scopes are remembered, want %d", limit, n, want)
		}
		m.Close(t.Context())
	}
}

// Handles of what is over the limit are not remembered: that would grow without
// bound.
func TestHandlesThatAreRemembered(t *testing.T) {
	m, err := New(WithSeriesLimit(3), WithLogger(slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	v := m.CounterVec("c", []string{"k"})
	for n := range 10 {
		v.With(strings.Repeat("x", n)).Inc()
		if got := v.table.Load().n; got != min(n+1, 3) {
			t.Errorf("%d handles of %d", got, n+1)
		}
	}
}

// What a push backend of ours knows of a series goes with it.
func TestWhatIsKnownOfIdleSeries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := New(WithIdle(time.Minute), WithDriver("none", func(context.Context) (Driver, error) { return noDriver{}, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close(t.Context())
		for i := range 10 {
			m.CounterVec("c", []string{"k"}).With(strings.Repeat("x", i)).Inc()
		}
		e := m.(*scope).exporters[0]
		for i, want := range []int{10, 0} {
			time.Sleep(time.Duration(1+9*i) * 20 * time.Second)
			e.turn <- struct{}{}
			if n := len(e.changes); n != want {
				t.Errorf("step %d: %d series are known, want %d", i, n, want)
			}
			<-e.turn
		}
	})
}

// noDriver takes whatever comes.
type noDriver struct{}

func (noDriver) Export(context.Context, *Snapshot) (Sent, error) { return Sent{}, nil }
func (noDriver) Ping(context.Context) error                      { return nil }
func (noDriver) Close() error                                    { return nil }

// The block of samples that is not full is represented by the one that was chosen,
// once that was seen, and by the last one before.
func TestTheBlockThatIsNotFull(t *testing.T) {
	for _, c := range []struct {
		filled, chosen uint64
		want           float64
	}{{1, 0, 1}, {1, 1, 9}, {2, 1, 1}, {2, 2, 9}, {3, 2, 1}, {3, 3, 9}} {
		r := newReservoir(4)
		r.kept, r.weight, r.filled, r.chosen, r.pick, r.last = append(r.kept, 5), 4, c.filled, c.chosen, 1, 9
		samples := r.take()
		var sum uint64
		for _, s := range samples[1:] {
			if sum += s.Weight; s.Value != c.want {
				t.Errorf("%+v: %+v", c, samples)
			}
		}
		if samples[0] != (Sample{5, 4}) || sum != c.filled {
			t.Errorf("%+v: %+v", c, samples)
		}
		if again := r.take(); again != nil {
			t.Errorf("%+v: %+v again", c, again)
		}
	}
}
