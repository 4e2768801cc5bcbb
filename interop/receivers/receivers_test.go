package receivers

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/metrics/statsd"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/tracetest"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/statsd_exporter/pkg/event"
	"github.com/prometheus/statsd_exporter/pkg/line"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func fill(m metrics.Metrics) {
	v := m.CounterVec("calls_total", []string{"method", "path"}, metrics.Help("Calls of \\ all\nkinds."))
	v.With("GET", "a\\b\"c\nd,e=f;g|h").Add(3)
	v.With("", "ä\u2028\x01").Inc()
	m.Gauge("depth_bytes", metrics.Help("Depth."), metrics.Unit("bytes")).Set(-1.5e300)
	h := m.HistogramVec("took_seconds", []string{"m"}, metrics.Help("Time."), metrics.Unit("seconds"), metrics.Buckets(.5, 1, 2e6))
	for _, x := range []float64{.25, 1, 3, 3e6} {
		h.With("x").Observe(x)
	}
}

func open(t testing.TB, opts ...metrics.Option) metrics.Metrics {
	m, err := metrics.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(context.Background()) })
	return m
}

// Prometheus' own parser of the text format: values, labels and help texts come
// back as they were.
func TestPrometheusReadsText(t *testing.T) {
	m := open(t, metrics.WithRuntime())
	fill(m)
	s := m.Snapshot()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(string(prometheus.AppendText(nil, &s))))
	if err != nil {
		t.Fatal(err)
	}
	calls := families["calls_total"]
	if calls.GetHelp() != "Calls of \\ all\nkinds." || calls.GetType() != dto.MetricType_COUNTER || len(calls.Metric) != 2 {
		t.Errorf("%v", calls)
	}
	found := false
	for _, one := range calls.Metric {
		if one.Counter.GetValue() == 3 {
			found = one.Label[0].GetValue() == "GET" && one.Label[1].GetValue() == "a\\b\"c\nd,e=f;g|h"
		}
	}
	if !found {
		t.Errorf("%v", calls)
	}
	if v := families["depth_bytes"].Metric[0].Gauge.GetValue(); v != -1.5e300 {
		t.Errorf("gauge %v", v)
	}
	h := families["took_seconds"].Metric[0].Histogram
	var counts []uint64
	for _, b := range h.Bucket {
		counts = append(counts, b.GetCumulativeCount())
	}
	if h.GetSampleCount() != 4 || h.GetSampleSum() != 3000004.25 || !slices.Equal(counts, []uint64{1, 2, 3, 4}) || !math.IsInf(h.Bucket[3].GetUpperBound(), 1) {
		t.Errorf("%v", h)
	}
	if families["go_goroutines"].Metric[0].Gauge.GetValue() < 1 {
		t.Error("runtime metrics are not there")
	}
}

// Prometheus' linter finds nothing, in our runtime metrics neither.
func TestLinterFindsNothing(t *testing.T) {
	m := open(t, metrics.WithRuntime())
	fill(m)
	s := m.Snapshot()
	problems, err := promlint.New(strings.NewReader(string(prometheus.AppendText(nil, &s)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// The parsers that the Prometheus server itself scrapes with.
func TestPrometheusServerReadsBothFormats(t *testing.T) {
	m := open(t, metrics.WithRuntime())
	fill(m)
	s := m.Snapshot()
	for kind, page := range map[string][]byte{prometheus.TextType: prometheus.AppendText(nil, &s), prometheus.OpenMetricsType: prometheus.AppendOpenMetrics(nil, &s)} {
		p, err := textparse.New(page, kind, "", false, false, false, labels.NewSymbolTable())
		if err != nil {
			t.Fatal(err)
		}
		values := map[string]float64{}
		units := map[string]string{}
		for {
			entry, err := p.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v in\n%s", kind, err, page)
			}
			switch entry {
			case textparse.EntrySeries:
				var l labels.Labels
				p.Labels(&l)
				_, _, v := p.Series()
				values[l.String()] = v
			case textparse.EntryUnit:
				name, unit := p.Unit()
				units[string(name)] = string(unit)
			}
		}
		if kind == prometheus.OpenMetricsType && (units["took_seconds"] != "seconds" || units["depth_bytes"] != "bytes") {
			t.Errorf("units %v", units)
		}
		for series, want := range map[string]float64{
			`{__name__="calls_total", method="GET", path="a\\b\"c\nd,e=f;g|h"}`: 3, `{__name__="depth_bytes"}`: -1.5e300,
			`{__name__="took_seconds_bucket", le="1.0", m="x"}`: 2, `{__name__="took_seconds_count", m="x"}`: 4,
		} {
			if v, ok := values[series]; !ok || v != want {
				t.Errorf("%s: %s is %v, want %v", kind, series, v, want)
			}
		}
	}
}

// Instruments whose samples would have one name: the parser refuses a page with
// both, so one of them is not there.
func TestPrometheusReadsAPageOfNamesThatMeet(t *testing.T) {
	m := open(t, metrics.WithLogger(slog.New(slog.DiscardHandler)))
	m.Counter("y").Inc()
	m.Gauge("y_total").Set(1)
	m.Histogram("req").Observe(1)
	m.Gauge("req_count").Set(1)
	m.GaugeFunc("req_sum", func() float64 { return 1 })
	m.Gauge("x").Set(1)
	m.Counter("x_total").Inc()
	s := m.Snapshot()
	p := expfmt.NewTextParser(model.UTF8Validation)
	families, err := p.TextToMetricFamilies(strings.NewReader(string(prometheus.AppendText(nil, &s))))
	if err != nil || len(families) != 3 {
		t.Errorf("%d families: %v", len(families), err)
	}
}

// Whatever the help text and the label value, the server's parser reads the page.
func FuzzPrometheusPage(f *testing.F) {
	f.Add("help", "value", 1.5)
	f.Add("\xe4", "\xe4", 1.5)
	f.Add("a\\n\n\"", "\xff\x00{}\"\\", math.Inf(1))
	f.Fuzz(func(t *testing.T, help, value string, x float64) {
		m := open(t)
		m.CounterVec("c", []string{"k"}, metrics.Help(help)).With(value).Inc()
		m.GaugeFunc("g", func() float64 { return x }, metrics.Label{Key: "k", Value: value})
		s := m.Snapshot()
		for kind, page := range map[string][]byte{prometheus.TextType: prometheus.AppendText(nil, &s), prometheus.OpenMetricsType: prometheus.AppendOpenMetrics(nil, &s)} {
			p, err := textparse.New(page, kind, "", false, false, false, labels.NewSymbolTable())
			if err != nil {
				t.Fatal(err)
			}
			for {
				entry, err := p.Next()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatalf("%s: %v in %q", kind, err, page)
				}
				if entry == textparse.EntrySeries {
					var l labels.Labels
					p.Labels(&l)
					if l.Get("__name__") == "c_total" && l.Get("k") != strings.ToValidUTF8(value, "\uFFFD") {
						t.Fatalf("%s: %q read back as %q", kind, value, l.Get("k"))
					}
				}
			}
		}
	})
}

// packets is a sender of go-statsd-client that keeps what it is given.
type packets struct {
	mu  sync.Mutex
	all []string
}

func (p *packets) Send(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, strings.Split(string(b), "\n")...)
	return len(b), nil
}

func (p *packets) Close() error { return nil }

// statsd_exporter's parser: whatever the label values are, a counter's line is
// one event of exactly its value, with one label where the dialect has labels.
func FuzzStatsdExporterReadsLines(f *testing.F) {
	for _, s := range []string{"v", "a:b,c|d\n", "x\\", "#@=;", "\x00\xff", "ä\u2028", "~x", "1:2|c", "|#a:b", ",a=b", ";a=b", "#a=b"} {
		f.Add(s, int64(3))
	}
	parser := line.NewParser()
	parser.EnableDogstatsdParsing()
	parser.EnableInfluxdbParsing()
	dialects := map[string]statsd.Dialect{"plain": statsd.Plain, "telegraf": statsd.Telegraf, "dogstatsd": statsd.DogStatsD}
	f.Fuzz(func(t *testing.T, value string, n int64) {
		if n <= 0 {
			return
		}
		for name, d := range dialects {
			var sent packets
			m, err := metrics.New(statsd.Backend("", statsd.WithClient(&sent), statsd.WithDialect(d)))
			if err != nil {
				t.Fatal(err)
			}
			m.CounterVec("c", []string{"k"}).With(value).Add(n)
			m.Close(context.Background())
			if len(sent.all) != 1 {
				t.Fatalf("%s: %d lines: %q", name, len(sent.all), sent.all)
			}
			refused := &counters{}
			events := parser.LineToEvents(sent.all[0], refused.vec(), refused.one(), refused.one(), refused.one(), promslog.NewNopLogger())
			if len(events) != 1 {
				t.Fatalf("%s: %q is %d events", name, sent.all[0], len(events))
			}
			e, ok := events[0].(*event.CounterEvent)
			if !ok || e.CValue != float64(n) {
				t.Fatalf("%s: %q is %+v", name, sent.all[0], events[0])
			}
			if want := 1; name != "plain" && strings.ContainsAny(sent.all[0], ",#") && len(e.CLabels) != want {
				t.Fatalf("%s: %q has labels %v", name, sent.all[0], e.CLabels)
			}
		}
	})
}

// store reads OTLP with OpenTelemetry's own decoder.
type store struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[trace.TraceID][]trace.SpanData
}

func newStore(t testing.TB) *store {
	s := &store{spans: map[trace.TraceID][]trace.SpanData{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			body, _ = gzip.NewReader(r.Body)
		}
		b, err := io.ReadAll(body)
		if err != nil {
			t.Error(err)
		}
		var traces ptrace.Traces
		if r.Header.Get("Content-Type") == "application/json" {
			traces, err = (&ptrace.JSONUnmarshaler{}).UnmarshalTraces(b)
		} else {
			traces, err = (&ptrace.ProtoUnmarshaler{}).UnmarshalTraces(b)
		}
		if err != nil {
			t.Errorf("%v in %s", err, b)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, rs := range traces.ResourceSpans().All() {
			service, _ := rs.Resource().Attributes().Get("service.name")
			for _, ss := range rs.ScopeSpans().All() {
				for _, one := range ss.Spans().All() {
					d := toData(one)
					d.Local.Service = service.Str()
					s.spans[d.Context.TraceID] = append(s.spans[d.Context.TraceID], d)
				}
			}
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func toData(s ptrace.Span) trace.SpanData {
	d := trace.SpanData{
		Name: s.Name(), Start: s.StartTimestamp().AsTime(), Duration: s.EndTimestamp().AsTime().Sub(s.StartTimestamp().AsTime()),
		Context: trace.SpanContext{TraceID: trace.TraceID(s.TraceID()), SpanID: trace.SpanID(s.SpanID()), ParentID: trace.SpanID(s.ParentSpanID())},
		Kind: map[ptrace.SpanKind]trace.Kind{ptrace.SpanKindServer: trace.Server, ptrace.SpanKindClient: trace.Client,
			ptrace.SpanKindProducer: trace.Producer, ptrace.SpanKindConsumer: trace.Consumer}[s.Kind()],
	}
	if s.Status().Code() == ptrace.StatusCodeError {
		d.Err = s.Status().Message()
	}
	if v, ok := s.Attributes().Get("service.peer.name"); ok {
		d.Remote.Service = v.Str()
	}
	d.Tags = tags(s.Attributes())
	for _, e := range s.Events().All() {
		d.Events = append(d.Events, trace.Event{Name: e.Name(), Time: e.Timestamp().AsTime(), Tags: tags(e.Attributes())})
	}
	for _, l := range s.Links().All() {
		d.Links = append(d.Links, trace.Link{Context: trace.SpanContext{TraceID: trace.TraceID(l.TraceID()), SpanID: trace.SpanID(l.SpanID())}})
	}
	return d
}

func tags(m pcommon.Map) []trace.Tag {
	var out []trace.Tag
	for k, v := range m.All() {
		switch v.Type() {
		case pcommon.ValueTypeInt:
			out = append(out, slog.Int64(k, v.Int()))
		case pcommon.ValueTypeDouble:
			out = append(out, slog.Float64(k, v.Double()))
		case pcommon.ValueTypeBool:
			out = append(out, slog.Bool(k, v.Bool()))
		default:
			out = append(out, slog.String(k, v.AsString()))
		}
	}
	return out
}

func TestOpenTelemetryReadsOTLP(t *testing.T) {
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	for name, opts := range map[string][]engineotlp.Option{"protobuf": nil, "JSON": {engineotlp.WithJSON()}} {
		t.Run(name, func(t *testing.T) {
			s := newStore(t)
			tracetest.Run(t, tracetest.Harness{
				Backend: func(testing.TB) trace.Option { return otlp.Backend(s.URL, opts...) },
				Down:    func(testing.TB) trace.Option { return otlp.Backend(dead.URL, opts...) },
				Read: func(_ testing.TB, id trace.TraceID) []trace.SpanData {
					s.mu.Lock()
					defer s.mu.Unlock()
					return slices.Clone(s.spans[id])
				},
				Features: tracetest.Features{Resolution: time.Nanosecond, TypedTags: true, EventTags: true, Links: true},
			})
		})
	}
}
