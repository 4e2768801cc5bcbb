// Package otlp reports spans by the OpenTelemetry protocol, OTLP over HTTP in
// JSON, to the OpenTelemetry collector, Jaeger, Tempo and others. It needs the
// standard library alone.
//
// # Backends
//
// POST to /v1/traces, or to the path of the address if it has one; gzip from
// 1 KiB up (https://opentelemetry.io/docs/specs/otlp/).
//
// # Semantics
//
// Times are in nanoseconds; attributes keep their types; ids are hexadecimal. An
// error is the status ERROR with its text. The other side's service and address
// are the attributes peer.service and network.peer.address, network.peer.port.
// Spans that the server rejects in a partial success are counted as rejected.
//
// # Errors
//
// What can't be reached and 429, 502, 503, 504 are ErrUnavailable and tried
// again, after Retry-After if the server says that; other answers give the
// batch up, as the protocol asks.
package otlp
