// Package otlp reports spans by the OpenTelemetry protocol, OTLP over HTTP, to
// the OpenTelemetry collector, Jaeger, Tempo and others.
//
//	tr, err := trace.New(traceotlp.Backend("http://127.0.0.1:4318"), trace.WithService("orders"))
//
// Options are those of engine/otlp, which also has the connection that all signals
// share: traceotlp.On. Its WithService counts where trace.WithService is not given.
//
// # Backends
//
// POST to /v1/traces, or to the path of the address if it has one; protobuf, or
// JSON (WithJSON); gzip from 1 KiB up (https://opentelemetry.io/docs/specs/otlp/). With
// otlpgrpc.Transport it goes over gRPC.
// The protobuf is written by hand into one buffer, so that the package links the
// standard library alone; its tests send to the collector's own receiver.
//
// # Semantics
//
// Attributes keep their types. An error is the status ERROR with its text. The
// other side's service and address are the attributes service.peer.name,
// network.peer.address and network.peer.port. The process's own name and address
// are service.name and service.instance.id. A request is at most 4 MiB
// (WithMaxRequest): more spans go in several, a span that is larger is rejected.
// Spans that the server rejects in a partial success are counted as rejected.
//
// # Errors
//
// What can't be reached and 429, 502, 503, 504 are ErrUnavailable and tried
// again, after Retry-After if the server says that; other answers give the
// batch up, as the protocol asks.
package otlp
