// Package prometheus shows a Metrics to Prometheus: Handler is scraped, Backend
// pushes to a push gateway.
//
// # Formats
//
// Text 0.0.4, and OpenMetrics 1.0 for a scraper that asks for it. A counter
// whose name does not end in "_total" gets that ending in both, so that a series
// has one name whatever was negotiated.
//
// # Errors
//
// A scrape has none. Of a push gateway, connection errors and 5xx are
// ErrUnavailable; anything else it answers is named in the error.
package prometheus
