package metrics_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	victoria "github.com/VictoriaMetrics/metrics"
	"github.com/micro/go-platform/bench/internal/compare"
	"github.com/micro/go-platform/metrics"
	page "github.com/micro/go-platform/metrics/prometheus"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// blackhole is a response that nobody reads.
type blackhole struct {
	header http.Header
	n      int
}

func (b *blackhole) Header() http.Header         { return b.header }
func (b *blackhole) WriteHeader(int)             {}
func (b *blackhole) Write(p []byte) (int, error) { b.n += len(p); return len(p), nil }

// A scrape of some 8000 series, without compression: counters of three labels,
// and the same number of lines of histograms. An operation is one series; what
// is less than a page waits for the next loop.
func BenchmarkScrape(b *testing.B) {
	const series = 8192
	scrape := func(h http.Handler) func(n int) {
		r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
		waiting := 0
		return func(n int) {
			for waiting += n; waiting >= series; waiting -= series {
				h.ServeHTTP(&blackhole{header: http.Header{}}, r)
			}
		}
	}
	bounds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	for name, histograms := range map[string]bool{"counters": false, "histograms": true} {
		b.Run(name, func(b *testing.B) {
			m, v, p := open(b, metrics.WithSeriesLimit(-1)), victoria.NewSet(), prometheus.NewRegistry()
			keys := []string{"method", "route", "code"}
			ours, theirs := m.CounterVec("requests_total", keys), prometheus.NewCounterVec(prometheus.CounterOpts{Name: "requests_total"}, keys)
			ourH := m.HistogramVec("took_seconds", keys, metrics.Buckets(bounds...))
			theirH := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "took_seconds", Buckets: bounds}, keys)
			p.MustRegister(theirs, theirH)
			lines := len(bounds) + 3
			for i := range series {
				route := fmt.Sprintf("/v1/things/%d", i)
				if !histograms {
					ours.With("GET", route, "200").Add(int64(i * 7919))
					theirs.WithLabelValues("GET", route, "200").Add(float64(i * 7919))
					v.NewCounter(fmt.Sprintf(`requests_total{method="GET",route=%q,code="200"}`, route)).Set(uint64(i * 7919))
				} else if i%lines == 0 {
					one := v.NewHistogram(fmt.Sprintf(`took_seconds{method="GET",route=%q,code="200"}`, route))
					for j := range 100 {
						ourH.With("GET", route, "200").Observe(float64(j) / 9)
						theirH.WithLabelValues("GET", route, "200").Observe(float64(j) / 9)
						one.Update(float64(j) / 9)
					}
				}
			}
			write := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				var all bytes.Buffer
				v.WritePrometheus(&all)
				_, _ = w.Write(all.Bytes())
			})
			compare.Run(b, 1,
				compare.Contender{Name: "ours", Loop: scrape(page.Handler(m))},
				compare.Contender{Name: "victoria", Loop: scrape(write)},
				compare.Contender{Name: "prometheus", Loop: scrape(promhttp.HandlerFor(p, promhttp.HandlerOpts{}))},
			)
		})
	}
}
