package statsd

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/metrics"
)

func TestLabelValuesAreMadeToFit(t *testing.T) {
	x := strings.Repeat("x", maxValue-1)
	for _, c := range []struct {
		dialect  Dialect
		v, clean string
	}{
		{DogStatsD, "a b~", "a b~"}, {DogStatsD, "a\x7f", "a_"}, {DogStatsD, "a\x1f", "a_"}, {DogStatsD, "a,b", "a_b"}, {DogStatsD, "a\xff", "a_"}, {DogStatsD, "a b,", "a b_"},
		{DogStatsD, "é", "é"}, {DogStatsD, "\u0080", "_"}, {DogStatsD, "\u009f", "_"}, {DogStatsD, "\u00a0", "\u00a0"}, {DogStatsD, "\ufffd", "_"},
		{Plain, "é", "_"}, {Plain, "a.b", "a_b"}, {Graphite, "a;b", "a_b"}, {Telegraf, "a=b", "a_b"},
		{DogStatsD, x + "y", x + "y"}, {DogStatsD, x + "yz", x + "y"}, {DogStatsD, x + "é", x}, {DogStatsD, "\n" + x, "_" + x}, {DogStatsD, x[1:] + "é", x[1:] + "é"},
	} {
		if got, changed := c.dialect.clean(c.v); got != c.clean || changed != (c.v != c.clean) {
			t.Errorf("%d: %q is %q, changed %v, want %q", c.dialect, c.v, got, changed, c.clean)
		}
	}
}

// packets is what a driver sends of some gauges and histograms.
func packets(t *testing.T, packet int, families ...metrics.Family) (all []string, sent metrics.Sent, err error) {
	t.Helper()
	d := &driver{options: options{dialect: DogStatsD, packet: packet}, sender: senderFunc(func(b []byte) { all = append(all, string(b)) }), last: map[uint64]total{}}
	sent, err = d.Export(t.Context(), &metrics.Snapshot{Families: families})
	return all, sent, err
}

func gauge(name string, values ...string) metrics.Family {
	f := metrics.Family{Name: name, Kind: metrics.KindGauge, Series: []metrics.Series{{ID: 1, Value: 1, Values: values}}}
	for range values {
		f.Keys = append(f.Keys, "k")
	}
	return f
}

func TestPacketsAreFilled(t *testing.T) {
	for name, c := range map[string]struct {
		packet  int
		names   []string // of 4 bytes with what follows: ":1|g"
		want    string   // the packets, by spaces
		dropped uint64
	}{
		"one":               {100, []string{"a"}, "a:1|g", 0},
		"two":               {100, []string{"a", "b"}, "a:1|g\nb:1|g", 0},
		"two that just fit": {11, []string{"a", "b"}, "a:1|g\nb:1|g", 0},
		"two that do not":   {10, []string{"a", "b"}, "a:1|g b:1|g", 0},
		"one that just is":  {5, []string{"a", "b"}, "a:1|g b:1|g", 0},
		"one that is not":   {5, []string{"a", "bb", "c"}, "a:1|g c:1|g", 1},
		"nothing":           {5, nil, "", 0},
	} {
		var families []metrics.Family
		for _, n := range c.names {
			families = append(families, gauge(n))
		}
		all, sent, err := packets(t, c.packet, families...)
		if got := strings.Join(all, " "); got != c.want || sent.Dropped != c.dropped || sent.Packets != uint64(len(all)) || errors.Is(err, fault.TooLarge) != (c.dropped > 0) {
			t.Errorf("%s: %q, want %q: %+v, %v", name, got, c.want, sent, err)
		}
	}
}

func TestUnitsOfHistograms(t *testing.T) {
	for name, c := range map[string]struct{ unit, want string }{
		"took":         {"", "took:2|h"},
		"size":         {"By", "size:2|h"},
		"took_s":       {"s", "took_s:2000|ms"},
		"took_long":    {"seconds", "took_long:2000|ms"},
		"took_seconds": {"", "took_seconds:2000|ms"},
	} {
		all, _, err := packets(t, 100, metrics.Family{Name: name, Unit: c.unit, Kind: metrics.KindHistogram, Series: []metrics.Series{{ID: 1, Samples: []metrics.Sample{{Value: 2, Weight: 1}}}}})
		if got := strings.Join(all, " "); got != c.want || err != nil {
			t.Errorf("%s in %q: %q, %v, want %q", name, c.unit, got, err, c.want)
		}
	}
}

func TestWhatIsChangedIsCounted(t *testing.T) {
	for _, c := range []struct {
		f    metrics.Family
		want uint64
	}{
		{gauge("a"), 0}, {gauge("a", "v"), 0}, {gauge("a", ""), 0}, {gauge("a", "v,"), 1}, {gauge("a:b", "v"), 1}, {gauge("a:b", "v,", "w;", "x"), 3}, {gauge(":a"), 1},
		{metrics.Family{Name: "h", Kind: metrics.KindHistogram, Keys: []string{"k"}, Series: []metrics.Series{{ID: 1, Values: []string{"v,"}}}}, 0}, // nothing to send
	} {
		if _, sent, err := packets(t, 100, c.f); sent.Sanitized != c.want || err != nil {
			t.Errorf("%s%q: %d, %v, want %d", c.f.Name, c.f.Series[0].Values, sent.Sanitized, err, c.want)
		}
	}
}

// A receiver gets no more packets at once than its buffer holds, and a series that is
// gone is forgotten.
func TestPacketsHaveAPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n, want := range map[int]time.Duration{1: 0, pace - 1: 0, pace: time.Millisecond, 2*pace - 1: time.Millisecond, 2 * pace: 2 * time.Millisecond} {
			families := make([]metrics.Family, n)
			for i := range families {
				families[i] = gauge("a")
			}
			began := time.Now()
			all, _, err := packets(t, 5, families...)
			if took := time.Since(began); took != want || len(all) != n || err != nil {
				t.Errorf("%d packets of %d took %v, %v, want %v", len(all), n, took, err, want)
			}
		}
	})
	d := &driver{options: options{packet: 100}, sender: senderFunc(func([]byte) {}), last: map[uint64]total{}}
	for _, ids := range [][]uint64{{1, 2}, {2}, {2, 3}, nil} {
		f := metrics.Family{Name: "c", Kind: metrics.KindCounter}
		for _, id := range ids {
			f.Series = append(f.Series, metrics.Series{ID: id, Value: 1, Count: 1})
		}
		if _, err := d.Export(t.Context(), &metrics.Snapshot{Families: []metrics.Family{f}}); err != nil || len(d.last) != len(ids) {
			t.Errorf("of %d series %d are known, %v", len(ids), len(d.last), err)
		}
	}
}

func TestLimitsOfOptions(t *testing.T) {
	for name, c := range map[string]struct {
		opt  Option
		want string // "": it is taken
	}{
		"63 bytes": {WithMaxDatagram(63), "WithMaxDatagram(63)"}, "64 bytes": {WithMaxDatagram(64), ""},
		"65507 bytes": {WithMaxDatagram(65507), ""}, "65508 bytes": {WithMaxDatagram(65508), "WithMaxDatagram(65508)"},
		"no dialect": {WithDialect(Graphite + 1), "dialect"}, "the last": {WithDialect(Graphite), ""},
		"nil": {nil, "option 1 is nil"},
	} {
		m, err := metrics.New(Backend("127.0.0.1:9", c.opt), metrics.WithLazy())
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, metrics.ErrInvalid) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if err == nil {
			_ = m.Close(t.Context())
		}
	}
}
