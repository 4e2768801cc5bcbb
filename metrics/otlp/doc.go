// Package otlp pushes metrics by the OpenTelemetry protocol, OTLP over HTTP, to
// the OpenTelemetry collector, Prometheus, Mimir and others.
//
//	m, err := metrics.New(metricsotlp.Backend("http://127.0.0.1:4318", otlp.WithService("orders")))
//
// The options are those of engine/otlp, which also has the connection that all
// signals share: metricsotlp.On.
//
// # Backends
//
// POST to /v1/metrics, or to the path of the address if it has one; protobuf,
// or JSON (WithJSON); gzip from 1 KiB up
// (https://opentelemetry.io/docs/specs/otlp/). With otlpgrpc.Transport it goes
// over gRPC. It links the standard library alone.
//
// # Semantics
//
// Counters are monotonic sums of integers, gauges gauges, histograms explicit
// histograms, each with the time at which the series began. They are cumulative,
// or with WithDelta what was added since the last export that arrived: what an
// export lost is in the next one. A request is at most 4 MiB (WithMaxRequest):
// more goes in several.
//
// # Errors
//
// 429, 502, 503 and 504 are tried again, after Retry-After if the server says
// that, until the export's timeout (metrics.WithTimeout) ends; a server that
// can't be reached is tried three times, since the next export has it all
// again. Points that the server rejects in a partial success count as dropped,
// and the export fails with the server's reason.
package otlp
