// Package otlp sends records by the OpenTelemetry protocol, OTLP over HTTP, to
// the OpenTelemetry collector, Loki and others.
//
//	l, err := log.New(logotlp.Backend("http://127.0.0.1:4318", otlp.WithService("orders")),
//		log.WithContext(trace.ContextAttrs))
//
// The options are those of engine/otlp, which also has the connection that all
// signals share: logotlp.On.
//
// # Backends
//
// POST to /v1/logs, or to the path of the address if it has one; protobuf, or
// JSON (WithJSON); gzip from 1 KiB up (https://opentelemetry.io/docs/specs/otlp/). With
// otlpgrpc.Transport it goes over gRPC.
// It links the standard library alone.
//
// # Semantics
//
// The message is the body, the level the severity: its number is slog's plus 9,
// so that Debug, Info, Warn, Error and log.LevelFatal are 5, 9, 13, 17 and 21.
// The logger's name is the scope. The attributes trace_id, span_id and trace_flags,
// as trace.ContextAttrs writes them, become the record's own fields; groups are
// maps, other attributes keep their types. The source is code.file.path and
// code.line.number.
//
// # Errors
//
// What can't be reached and 429, 502, 503, 504 are tried again, after
// Retry-After if the server says that. Records that the server refuses for good,
// all or some in a partial success, are counted as dropped and told to
// log.WithErrors. A record larger than a request (WithMaxRequest) is dropped.
package otlp
