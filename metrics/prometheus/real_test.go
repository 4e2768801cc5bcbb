package prometheus_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/trace"
)

// accepting serves h to a scraper that asks for less than Prometheus does by itself.
func accepting(accept string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if accept != "" {
			r.Header.Set("Accept", accept)
		}
		h.ServeHTTP(w, r)
	})
}

// traced observes v in h in a span, which it returns.
func traced(t testing.TB, tr trace.Tracer, h metrics.Histogram, v float64) trace.SpanContext {
	t.Helper()
	ctx, span := tr.Start(t.Context(), "call", trace.Root())
	defer span.End()
	h.ObserveContext(ctx, v)
	return span.Context()
}

func newTracer(t testing.TB) trace.Tracer {
	t.Helper()
	tr, err := trace.New(trace.Memory(trace.NewStore(10, time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tr.Close(context.Background()) })
	return tr
}

// A server that Prometheus scrapes in every format gives it the same numbers,
// and the exemplars where the format has them.
func TestPrometheusReadsThePage(t *testing.T) {
	m, err := metrics.New(metrics.WithRuntime())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	tr := newTracer(t)
	m.CounterVec("calls", []string{"path"}, metrics.Help("\"All\" calls\\\n.")).With("a\\b\"c\nd").Add(7)
	m.Gauge("depth").Set(-1.5)
	m.UpDownCounter("active").Add(-3)
	h := m.HistogramVec("took_seconds", []string{"m"}, metrics.Buckets(.1, 1, 10)).With("x")
	fast, slow := traced(t, tr, h, .05), traced(t, tr, h, 100)
	h.Observe(5)

	formats := map[string]string{"negotiated": "", "openmetrics": prometheus.OpenMetricsType, "text": "text/plain"}
	var targets []string
	of := map[string]string{} // format by instance
	for name, accept := range formats {
		s := httptest.NewServer(accepting(accept, prometheus.Handler(m)))
		defer s.Close()
		host := strings.TrimPrefix(s.URL, "http://")
		targets, of[host] = append(targets, host), name
	}
	native, err := metrics.New(metrics.WithNativeHistograms())
	if err != nil {
		t.Fatal(err)
	}
	defer native.Close(t.Context())
	waits := native.Histogram("wait_seconds", metrics.Buckets(1))
	leads := traced(t, tr, waits, 3)
	for i := range 10000 {
		waits.Observe(float64(i) / 1000)
	}
	s := httptest.NewServer(prometheus.Handler(native))
	defer s.Close()
	targets = append(targets, strings.TrimPrefix(s.URL, "http://"))
	p := servertest.Prometheus(t, servertest.WithTargets(targets...))
	for query, want := range map[string]string{
		`up * on(instance) (depth ^ 0)`: "1", `calls_total{path="a\\b\"c\nd"}`: "7", `depth`: "-1.5", `active`: "-3", `took_seconds_count{m="x"}`: "3", `took_seconds_sum`: "105.05",
		`took_seconds_bucket{le="0.1"}`: "1", `took_seconds_bucket{le=~"1(.0)?"}`: "1", `took_seconds_bucket{le=~"10(.0)?"}`: "2", `took_seconds_bucket{le="+Inf"}`: "3",
		`go_goroutines > bool 0`: "1",
	} {
		for _, one := range p.AwaitProm(t, query, func(got []servertest.PromSample) bool { return len(got) == len(formats) }) {
			if one.Value != want {
				t.Errorf("%s of %s: %s, want %s", query, of[one.Metric["instance"]], one.Value, want)
			}
		}
	}
	// A quantile is within a bucket's width, which is 2^(1/8) and less; the classic buckets could not tell.
	for query, want := range map[string]float64{`histogram_quantile(0.5, wait_seconds)`: 5, `histogram_quantile(0.99, wait_seconds)`: 9.9,
		`histogram_count(wait_seconds)`: 10001, `histogram_sum(wait_seconds)`: 49998, `absent(wait_seconds_bucket)`: 1} {
		one := p.AwaitProm(t, query, func(got []servertest.PromSample) bool { return len(got) == 1 })[0]
		if v, err := strconv.ParseFloat(one.Value, 64); err != nil || v < want*.95 || v > want*1.05 {
			t.Errorf("%s is %s, want %v", query, one.Value, want)
		}
	}
	var kinds map[string][]struct{ Type string }
	if err := p.Prom(&kinds, "metadata"); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"active": "gauge", "depth": "gauge", "took_seconds": "histogram"} {
		if got := kinds[name]; len(got) != 1 || got[0].Type != want {
			t.Errorf("%s is %v to the three formats, want %s", name, got, want)
		}
	}
	var found []struct {
		SeriesLabels map[string]string
		Exemplars    []struct {
			Labels    map[string]string
			Value     string
			Timestamp float64
		}
	}
	now := time.Now()
	at := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	if err := p.Prom(&found, "query_exemplars", "query", "took_seconds_bucket", "start", at(-time.Hour), "end", at(time.Hour)); err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, s := range found {
		for _, e := range s.Exemplars {
			want := map[string]trace.SpanContext{"0.05": fast, "100": slow}[e.Value]
			if e.Labels["trace_id"] != want.TraceID.String() || e.Labels["span_id"] != want.SpanID.String() || len(e.Labels) != 2 {
				t.Errorf("%v: %+v, want the one of %v", s.SeriesLabels, e, want)
			}
			if le := s.SeriesLabels["le"]; (e.Value == "0.05") != (le == "0.1") || (e.Value == "100") != (le == "+Inf") {
				t.Errorf("the exemplar %s is in the bucket up to %s", e.Value, le)
			}
			if d := now.Sub(time.UnixMilli(int64(e.Timestamp * 1000))); d < 0 || d > time.Minute {
				t.Errorf("the exemplar is %v old", d)
			}
			got[of[s.SeriesLabels["instance"]]]++
		}
	}
	if err := p.Prom(&found, "query_exemplars", "query", "wait_seconds", "start", at(-time.Hour), "end", at(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || len(found[0].Exemplars) != 1 || found[0].Exemplars[0].Labels["trace_id"] != leads.TraceID.String() {
		t.Errorf("the native histogram's exemplars: %+v", found)
	}
	if len(got) != 2 || got["negotiated"] != 2 || got["openmetrics"] != 2 {
		t.Errorf("exemplars by format: %v, want two each of those that have them", got)
	}
}
