package otel

import (
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/otlptranslator"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
)

// The scrape page has the names that Prometheus' own translation of OTLP gives.
func TestPageHasTheNamesOfPrometheusTranslator(t *testing.T) {
	kinds := map[string]otlptranslator.MetricType{"counter": otlptranslator.MetricTypeMonotonicCounter, "gauge": otlptranslator.MetricTypeGauge, "histogram": otlptranslator.MetricTypeHistogram}
	names := []string{"http.server.request.duration", "jobs", "jobs_total", "io.bytes", "took_seconds", "pool.usage", "a..b", "go.memory.used", "bytes.in.flight", "took_seconds_max"}
	units := []string{"", "s", "ms", "By", "1", "%", "{request}", "By/s", "{row}/s", "m/s", "Cel", "requests", "d", "KiBy"}
	for kind, of := range kinds {
		for _, name := range names {
			for _, unit := range units {
				namer := otlptranslator.NewMetricNamer("", otlptranslator.UnderscoreEscapingWithSuffixes)
				want, err := namer.Build(otlptranslator.Metric{Name: name, Unit: unit, Type: of})
				if err != nil {
					t.Fatal(err)
				}
				m, err := metrics.New()
				if err != nil {
					t.Fatal(err)
				}
				switch kind {
				case "counter":
					m.Counter(name, metrics.Unit(unit)).Inc()
				case "gauge":
					m.Gauge(name, metrics.Unit(unit)).Set(1)
				case "histogram":
					m.Histogram(name, metrics.Unit(unit)).Observe(1)
				}
				s := m.Snapshot()
				page := strings.Fields(string(prometheus.AppendText(nil, &s)))
				if got := page[slices.Index(page, "TYPE")+1]; got != want {
					t.Errorf("%s %q in %q: %s, want %s", kind, name, unit, got, want)
				}
				m.Close(t.Context())
			}
		}
	}
}
