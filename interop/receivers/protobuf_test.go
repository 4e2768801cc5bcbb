package receivers

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/trace"
	client "github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"go.opentelemetry.io/collector/pdata/pmetric"
)

// decode reads a page with Prometheus' own types.
func decode(t testing.TB, page []byte) map[string]*dto.MetricFamily {
	t.Helper()
	families := map[string]*dto.MetricFamily{}
	d := expfmt.NewDecoder(bytes.NewReader(page), expfmt.NewFormat(expfmt.TypeProtoDelim))
	for {
		f := &dto.MetricFamily{}
		err := d.Decode(f)
		if errors.Is(err, io.EOF) {
			return families
		}
		if err != nil {
			t.Fatal(err)
		}
		families[f.GetName()] = f
	}
}

// What is in the text is in the protobuf too: families, types, help, labels and values.
func TestProtobufIsAsTheText(t *testing.T) {
	m := open(t, metrics.WithRuntime(), metrics.WithResource(metrics.Label{Key: "service.name", Value: "shop"}))
	fill(m)
	m.HistogramVec("empty", []string{"k"})
	s := m.Snapshot()
	p := expfmt.NewTextParser(model.UTF8Validation)
	text, err := p.TextToMetricFamilies(bytes.NewReader(prometheus.AppendText(nil, &s)))
	if err != nil {
		t.Fatal(err)
	}
	proto := decode(t, prometheus.AppendProtobuf(nil, &s))
	if len(proto) != len(text) || len(proto) < 20 {
		t.Errorf("%d families, %d in the text", len(proto), len(text))
	}
	for name, want := range text {
		got := proto[name]
		if got.GetHelp() != want.GetHelp() || got.GetType() != want.GetType() || len(got.GetMetric()) != len(want.Metric) {
			t.Errorf("%s: %v\nwant %v", name, got, want)
			continue
		}
		for i, one := range got.Metric {
			if a, b := fmt.Sprint(one.Label), fmt.Sprint(want.Metric[i].Label); a != b {
				t.Errorf("%s: labels %s, want %s", name, a, b)
			}
			if h := one.Histogram; h != nil {
				w := want.Metric[i].Histogram
				if h.GetSampleCount() != w.GetSampleCount() || h.GetSampleSum() != w.GetSampleSum() || fmt.Sprint(h.Bucket) != fmt.Sprint(w.Bucket) || h.Schema != nil {
					t.Errorf("%s: %v, want %v", name, h, w)
				}
			}
			if a, b := one.GetCounter().GetValue()+one.GetGauge().GetValue(), want.Metric[i].GetCounter().GetValue()+want.Metric[i].GetGauge().GetValue(); a != b {
				t.Errorf("%s: %v, want %v", name, a, b)
			}
		}
	}
	if u := proto["took_seconds"].GetUnit(); u != "seconds" {
		t.Errorf("unit %q", u)
	}
	created := proto["calls_total"].Metric[0].Counter.CreatedTimestamp.AsTime()
	if d := time.Since(created); d < 0 || d > time.Minute {
		t.Errorf("a counter began %v ago", d)
	}
	if h := proto["took_seconds"].Metric[0].Histogram; time.Since(h.CreatedTimestamp.AsTime()) > time.Minute {
		t.Errorf("a histogram began at %v", h.CreatedTimestamp.AsTime())
	}
}

// buckets of a side by index, of Prometheus' types.
func buckets(spans []*dto.BucketSpan, deltas []int64) map[int]int64 {
	all := map[int]int64{}
	at, n := 0, int64(0)
	for _, s := range spans {
		at += int(s.GetOffset())
		for range s.GetLength() {
			n += deltas[0]
			deltas = deltas[1:]
			if n != 0 {
				all[at] = n
			}
			at++
		}
	}
	return all
}

// Native histograms have the buckets that client_golang's have at the same schema.
func TestNativeHistogramsAreClientGolangs(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for name, f := range map[string]func() float64{
		"narrow":    func() float64 { return 2 + r.Float64()/4 },
		"latencies": func() float64 { return math.Exp(r.NormFloat64()*2 - 4) },
		"wide":      func() float64 { return math.Exp(r.NormFloat64() * 100) },
		"signs":     func() float64 { return math.Round(r.NormFloat64() * 3) },
	} {
		m := open(t, metrics.WithNativeHistograms())
		ours := m.Histogram("h", metrics.Buckets(1))
		var values []float64
		for range 3000 {
			values = append(values, f())
			ours.Observe(values[len(values)-1])
		}
		s := m.Snapshot()
		got := decode(t, prometheus.AppendProtobuf(nil, &s))["h"].Metric[0].Histogram
		theirs := client.NewHistogram(client.HistogramOpts{Name: "h", Buckets: []float64{1}, NativeHistogramZeroThreshold: client.NativeHistogramZeroThresholdZero,
			NativeHistogramBucketFactor: math.Exp2(math.Exp2(-float64(got.GetSchema()))) + 1e-9})
		for _, v := range values {
			theirs.Observe(v)
		}
		var written dto.Metric
		if err := theirs.Write(&written); err != nil {
			t.Fatal(err)
		}
		want := written.Histogram
		if want.GetSchema() != got.GetSchema() || got.GetZeroCount() != want.GetZeroCount() || got.GetZeroThreshold() != want.GetZeroThreshold() ||
			got.GetSampleCount() != want.GetSampleCount() || got.GetSampleSum() != want.GetSampleSum() {
			t.Errorf("%s: %v\nwant %v", name, got, want)
		}
		for side, pair := range map[string][2]map[int]int64{
			"positive": {buckets(got.PositiveSpan, got.PositiveDelta), buckets(want.PositiveSpan, want.PositiveDelta)},
			"negative": {buckets(got.NegativeSpan, got.NegativeDelta), buckets(want.NegativeSpan, want.NegativeDelta)},
		} {
			if fmt.Sprint(pair[0]) != fmt.Sprint(pair[1]) {
				t.Errorf("%s %s: schema %d: %v\nwant %v", name, side, got.GetSchema(), pair[0], pair[1])
			}
		}
	}
}

// A native histogram without observations is one all the same.
func TestAnEmptyNativeHistogramIsNative(t *testing.T) {
	m := open(t, metrics.WithNativeHistograms())
	m.Histogram("h")
	s := m.Snapshot()
	h := decode(t, prometheus.AppendProtobuf(nil, &s))["h"].Metric[0].Histogram
	if len(h.PositiveSpan) != 1 || h.Schema == nil {
		t.Errorf("%v", h)
	}
}

// The parser that the Prometheus server scrapes with reads native and classic
// buckets and exemplars.
func TestPrometheusServerReadsProtobuf(t *testing.T) {
	tr, err := trace.New(trace.Memory(trace.NewStore(10, time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(t.Context())
	m := open(t, metrics.WithNativeHistograms())
	fill(m)
	h := m.Histogram("h", metrics.Buckets(1, 2))
	ctx, span := tr.Start(t.Context(), "x")
	defer span.End()
	for _, v := range []float64{-1, 0, .5, 1.5, 1.5, 1e6} {
		h.ObserveContext(ctx, v)
	}
	s := m.Snapshot()
	for _, classic := range []bool{false, true} {
		p, err := textparse.New(prometheus.AppendProtobuf(nil, &s), prometheus.ProtobufType, "", classic, false, false, labels.NewSymbolTable())
		if err != nil {
			t.Fatal(err)
		}
		native, samples := false, map[string]float64{}
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			var l labels.Labels
			switch entry {
			case textparse.EntryHistogram:
				p.Labels(&l)
				_, _, hist, _ := p.Histogram()
				if err := hist.Validate(); err != nil {
					t.Error(err)
				}
				if l.Get("__name__") == "h" {
					native = hist.Count == 6 && hist.ZeroCount == 1 && hist.Sum == 1000002.5
				}
			case textparse.EntrySeries:
				p.Labels(&l)
				_, _, samples[l.String()] = p.Series()
			}
		}
		if !native {
			t.Errorf("classic %v: no native histogram", classic)
		}
		if n := samples[`{__name__="h_bucket", le="2.0"}`]; classic != (n == 5) {
			t.Errorf("classic %v: %v in the bucket up to 2", classic, n)
		}
		if v := samples[`{__name__="calls_total", method="GET", path="a\\b\"c\nd,e=f;g|h"}`]; v != 3 {
			t.Errorf("calls %v of %v", v, samples)
		}
	}
	exemplars := 0
	for _, b := range decode(t, prometheus.AppendProtobuf(nil, &s))["h"].Metric[0].Histogram.Bucket {
		if e := b.Exemplar; e != nil {
			exemplars++
			if e.Label[0].GetName() != "trace_id" || e.Label[0].GetValue() != span.Context().TraceID.String() || e.Label[1].GetValue() != span.Context().SpanID.String() ||
				e.GetValue() > b.GetUpperBound() || time.Since(e.Timestamp.AsTime()) > time.Minute {
				t.Errorf("%v", b)
			}
		}
	}
	if exemplars != 3 {
		t.Errorf("%d exemplars, want one in each bucket", exemplars)
	}
}

// OpenTelemetry's decoders read exponential histograms, as totals and as
// differences, whose sum is the totals.
func TestOpenTelemetryReadsExponentialHistograms(t *testing.T) {
	for name, c := range map[string]struct {
		opts  []engineotlp.Option
		delta bool
	}{"protobuf": {nil, false}, "json": {[]engineotlp.Option{engineotlp.WithJSON()}, false}, "delta": {[]engineotlp.Option{engineotlp.WithDelta()}, true}} {
		t.Run(name, func(t *testing.T) {
			var points []pmetric.ExponentialHistogramDataPoint
			var temporality pmetric.AggregationTemporality
			server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if err != nil {
					t.Error(err)
				}
				var all pmetric.Metrics
				if r.Header.Get("Content-Type") == "application/json" {
					all, err = (&pmetric.JSONUnmarshaler{}).UnmarshalMetrics(b)
				} else {
					all, err = (&pmetric.ProtoUnmarshaler{}).UnmarshalMetrics(b)
				}
				if err != nil {
					t.Errorf("%v in %q", err, b)
				}
				for _, rm := range all.ResourceMetrics().All() {
					for _, sm := range rm.ScopeMetrics().All() {
						for _, one := range sm.Metrics().All() {
							if one.Name() == "h" {
								temporality = one.ExponentialHistogram().AggregationTemporality()
								points = append(points, one.ExponentialHistogram().DataPoints().At(0))
							}
						}
					}
				}
			}))
			defer server.Close()
			m := open(t, metrics.WithNativeHistograms(), metrics.WithInterval(time.Hour), otlp.Backend(server.URL, append(c.opts, engineotlp.WithoutGzip())...))
			h := m.HistogramVec("h", []string{"k"}).With("v")
			for _, step := range [][]float64{{0, 1.5, 1.501, -2}, {0, 1.5, 4000, -.001}} {
				for _, v := range step {
					h.Observe(v)
				}
				if err := m.Flush(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if len(points) != 2 {
				t.Fatalf("%d points", len(points))
			}
			want := []int{4, 8}
			if c.delta {
				want[1] = 4
			}
			if (temporality == pmetric.AggregationTemporalityDelta) != c.delta {
				t.Errorf("temporality %v", temporality)
			}
			for i, p := range points {
				n := p.ZeroCount()
				var positive []float64
				for j, count := range p.Positive().BucketCounts().All() {
					n += count
					if count > 0 {
						positive = append(positive, math.Exp2(float64(int(p.Positive().Offset())+j+1)*math.Exp2(-float64(p.Scale()))))
					}
				}
				for _, count := range p.Negative().BucketCounts().All() {
					n += count
				}
				if v, _ := p.Attributes().Get("k"); v.Str() != "v" || p.Count() != uint64(want[i]) || n != p.Count() || p.StartTimestamp() == 0 || p.StartTimestamp() > p.Timestamp() {
					t.Errorf("point %d: count %d, %d in buckets, want %d", i, p.Count(), n, want[i])
				}
				if largest := slices.Max(positive); i == 1 && (largest < 4000 || largest > 4000*1.2) || i == 0 && (largest < 1.5 || largest > 1.6) {
					t.Errorf("point %d: the largest bucket ends at %v", i, largest)
				}
			}
			if sum := points[1].Sum(); c.delta && math.Abs(sum-4001.499) > 1e-9 || !c.delta && math.Abs(sum-4002.5) > 1e-9 {
				t.Errorf("sum %v", sum)
			}
		})
	}
}
