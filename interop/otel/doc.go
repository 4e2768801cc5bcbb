// Package otel has the same program twice, with our wrapper and with
// OpenTelemetry's instrumentation, and compares what a collector receives.
package otel
