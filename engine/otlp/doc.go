// Package otlp is the connection to a receiver of the OpenTelemetry protocol, the
// OpenTelemetry collector or a product's own, for logs, metrics and traces.
//
//	e, err := otlp.Open("http://127.0.0.1:4318", otlp.WithService("orders"))
//	l, err := log.New(logotlp.On(e))
//	m, err := metrics.New(metricsotlp.On(e))
//	tr, err := trace.New(traceotlp.On(e))
//
// # Addresses
//
//	127.0.0.1:4318, http://127.0.0.1:4318     requests go to /v1/logs, /v1/metrics and /v1/traces
//	https://user:password@host/otlp           the same below /otlp; basic authentication
//
// The port is 4318, of https 443, if the address has none. With
// otlpgrpc.Transport, of otlp/otlpgrpc, requests go over gRPC, by default to port
// 4317. otlp.FromEnv, of package otlp, reads OpenTelemetry's environment variables.
//
// # Semantics
//
// Requests are protobuf, or JSON with WithJSON, and compressed by gzip from 1 KiB
// up (https://opentelemetry.io/docs/specs/otlp/). All signals share one pool of
// connections. HTTP links the standard library alone.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close closes the pool. A client given to WithClient stays as it is.
package otlp
