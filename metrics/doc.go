// Package metrics has counters, up-down counters, gauges and histograms. They
// are aggregated in the process, and scraped from it or pushed to a server.
//
//	m, err := metrics.New(statsd.Backend("127.0.0.1:8125"), metrics.WithRuntime())
//	requests := m.CounterVec("http_requests_total", []string{"method", "code"})
//	requests.With("GET", "200").Inc()
//	http.Handle("/metrics", prometheus.Handler(m))
//
// # Backends
//
// Everything is in memory, for Snapshot; that is the default. Backends come on
// top, several at once if need be.
//
//	metrics/prometheus   a scrape handler (text, OpenMetrics, protobuf), and the push gateway
//	metrics/otlp         OTLP over HTTP: the OpenTelemetry collector, Prometheus, Mimir
//	metrics/statsd       statsd's lines in the plain, telegraf, dogstatsd and graphite dialects
//
// # Semantics
//
// A handle (Counter, UpDownCounter, Gauge, Histogram) is a few atomic operations
// and never allocates. Vec.With finds one by label values without a lock. What is
// pushed is what was counted since the last push: a million increments are one
// line.
//
// Names may be written as OpenTelemetry's conventions do, with dots, or as
// Prometheus does: they are made to match [a-zA-Z_:][a-zA-Z0-9_.:]* and label
// keys [a-zA-Z_][a-zA-Z0-9_.]*, other characters become "_". A backend that
// can't carry them maps them. Label values are any text; one that is empty is
// the same as no label. Durations are in seconds.
//
// An instrument has at most 1000 series (WithSeriesLimit, Limit); what is
// over it is counted in one series whose labels are all Overflow, and told once
// to the logger and in Stats.
//
// Histogram.ObserveContext keeps the ids of the sampled span in its context as
// the exemplar of a bucket; backends that know exemplars send them.
//
// # Errors
//
// New returns ErrInvalid for options that can't be and ErrUnavailable for a
// backend that doesn't answer. Instruments have no errors: see Metrics.
//
// # Closing
//
// Close exports once more, bounded by its context, then releases the backends.
package metrics
