// Package prometheus shows a Metrics to Prometheus: Handler is scraped, Backend
// pushes to a push gateway.
//
// # Formats
//
// Text 0.0.4, and OpenMetrics 1.0 or protobuf for a scraper that asks for it.
// Exemplars are in the latter two, native histograms (metrics.WithNativeHistograms)
// in protobuf, which Prometheus asks for where native histograms are enabled. A counter
// whose name does not end in "_total" gets that ending in both, so that a series
// has one name whatever was negotiated.
//
// Names are made Prometheus' own by OpenTelemetry's rules (Prometheus and
// OpenMetrics Compatibility): what is no letter, digit, "_" or ":" becomes "_",
// and the unit stands at the end, spelled out. http.server.request.duration in
// "s" is http_server_request_duration_seconds. A label without a value is left
// out. What metrics.WithResource said is target_info.
//
// # Errors
//
// A scrape has none. Of a push gateway, connection errors and 5xx are
// ErrUnavailable; anything else it answers is named in the error.
package prometheus
