package prometheus

import (
	"bytes"
	"testing"
	"time"

	"github.com/micro/go-platform/metrics"
)

// Among formats of one weight the one that carries the most is preferred.
func TestPreferredFormats(t *testing.T) {
	const proto, open = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited", "application/openmetrics-text;version=1.0.0"
	for accept, want := range map[string]string{
		"":                                TextType,
		"*/*":                             TextType,
		open:                              OpenMetricsType,
		proto:                             ProtobufType,
		open + "," + proto:                ProtobufType,
		open + "," + proto + ";q=0.9":     OpenMetricsType,
		open + ";q=0.9," + proto:          ProtobufType,
		"text/plain," + open:              OpenMetricsType,
		"text/plain," + open + ";q=0.9":   TextType,
		"text/plain," + proto:             ProtobufType,
		"text/plain," + proto + ";q=0.9":  TextType,
		"text/plain;q=0," + open + ";q=0": TextType,
		proto + ";q=0":                    TextType,
		"application/vnd.google.protobuf": TextType,
		"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=text": TextType,
	} {
		if got := preferred([]string{accept}); got != want {
			t.Errorf("%q: %s, want %s", accept, got, want)
		}
	}
}

func TestUnitsAreThoseInTheName(t *testing.T) {
	for _, c := range []struct{ name, unit, want string }{
		{"took", "s", "seconds"}, {"took_seconds", "s", "seconds"}, {"took_seconds_max", "s", ""}, {"jobs", "", ""}, {"jobs", "{job}", ""},
		{"io", "By/s", "bytes_per_second"}, {"io_per_second", "By/s", ""}, {"seconds", "s", ""},
	} {
		if got := name(&metrics.Family{Name: c.name, Unit: c.unit, Kind: metrics.KindGauge}); got.unit != c.want {
			t.Errorf("%s in %q: %s has the unit %q, want %q", c.name, c.unit, got.family, got.unit, c.want)
		}
	}
}

// What is kept of a page for the next is what the page had.
func TestAMemoForgets(t *testing.T) {
	m := memo{}
	page := func(names ...string) {
		s := &metrics.Snapshot{}
		for _, n := range names {
			s.Families = append(s.Families, metrics.Family{Name: n, Kind: metrics.KindGauge, Series: []metrics.Series{{ID: 1}}})
		}
		for range families(s, m) {
		}
		if len(m) != len(names) {
			t.Errorf("of %v %d are kept", names, len(m))
		}
	}
	page("a", "b", "c")
	page("c")
	page()
}

// A native histogram without an observation says that it is one; one with any does by
// its buckets.
func TestEmptyNativeHistograms(t *testing.T) {
	span := appendSpan(nil, 12, 0, 0)
	one := metrics.NativeBuckets{Counts: []uint64{1}}
	for name, c := range map[string]struct {
		native *metrics.Native
		want   int // empty spans
	}{
		"none": {nil, 0}, "empty": {&metrics.Native{}, 1}, "zeros": {&metrics.Native{ZeroCount: 1}, 0},
		"positive": {&metrics.Native{Positive: one}, 0}, "negative": {&metrics.Native{Negative: one}, 0},
	} {
		b := appendHistogramProto(nil, nil, &metrics.Series{Native: c.native})
		if got := bytes.Count(b, span); got != c.want {
			t.Errorf("%s: %d empty spans in %x, want %d", name, got, b, c.want)
		}
		if (len(b) > 20) != (c.native != nil) {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
}

// A side without counts is left out.
func TestEmptySides(t *testing.T) {
	for name, c := range map[string]struct {
		counts []uint64
		there  bool
	}{"none": {nil, false}, "zeros": {[]uint64{0, 0}, false}, "one": {[]uint64{0, 1}, true}} {
		if b := appendSide(nil, 12, metrics.NativeBuckets{Counts: c.counts}); (len(b) > 0) != c.there {
			t.Errorf("%s: %x", name, b)
		}
	}
}

// A label without a value is none, in protobuf too.
func TestLabelsInProtobuf(t *testing.T) {
	s := &metrics.Snapshot{Families: []metrics.Family{{Name: "n", Kind: metrics.KindGauge, Keys: []string{"full", "empty"},
		Series: []metrics.Series{{ID: 1, Values: []string{"v", ""}}}}}}
	page := AppendProtobuf(nil, s)
	if full, empty := bytes.Contains(page, appendLabelProto(nil, "full", "v")), bytes.Contains(page, []byte("empty")); !full || empty {
		t.Errorf("the label with a value is there %v, that without one %v: %x", full, empty, page)
	}
}

func TestATimeThatIsNone(t *testing.T) {
	if b := appendTime(nil, 15, time.Time{}); b != nil {
		t.Errorf("%x", b)
	}
	if b := appendTime(nil, 15, time.Unix(1, 0)); len(b) == 0 {
		t.Error("a time is left out")
	}
}

// Counters are exact, also beyond what a float is.
func TestCountersAreExact(t *testing.T) {
	for count, want := range map[uint64]string{5: "n_total 5\n", 1<<53 + 1: "n_total 9007199254740993\n"} {
		s := &metrics.Snapshot{Families: []metrics.Family{{Name: "n", Kind: metrics.KindCounter, Series: []metrics.Series{{ID: 1, Count: count, Value: float64(count)}}}}}
		if page := AppendText(nil, s); !bytes.HasSuffix(page, []byte(want)) {
			t.Errorf("%s, want %s", page, want)
		}
	}
}
