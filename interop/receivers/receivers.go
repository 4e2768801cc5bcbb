// Package receivers reads what log, metrics and trace write with the parsers of
// others: Prometheus' own, its linter, statsd_exporter's, OpenTelemetry's.
package receivers
