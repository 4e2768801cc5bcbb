// Package trace is distributed tracing: it records spans, carries their contexts
// from service to service in headers, and reports them to a tracing server.
//
//	tr, err := trace.New(zipkin.Backend("http://127.0.0.1:9411"), trace.WithService("orders"))
//	ctx, span := tr.Start(ctx, "charge card", trace.OfKind(trace.Client))
//	defer span.End()
//	tr.Inject(ctx, trace.Header(req.Header))
//
// # Backends
//
// Several reporters at once are fine; each has its own queue, so that a slow
// one costs the others nothing.
//
//	Memory          a store in this process that Search reads (the default)
//	ToLog           a log record a span
//	trace/zipkin    Zipkin v2 JSON over HTTP; Search reads from its server
//	trace/otlp      OTLP over HTTP: the OpenTelemetry collector, Jaeger, Tempo and others
//	trace/otel      hands spans to an OpenTelemetry TracerProvider, and takes them from one
//
// Package trace/baggage carries named values beside the trace.
//
// # Semantics
//
//	Start ─ sampler ─┬─ sampled ────── End ─┬─ queue ─ batch ─ reporter
//	                 ├─ not sampled         └─ queue ─ batch ─ reporter
//	                 └─ WithKeep ─ held until the local root ends
//
// A span that isn't sampled has ids and is passed on in headers; it records
// nothing and reads no clock. Nothing here blocks the caller: a span that finds
// a queue full (WithQueue) is dropped and counted. While a backend keeps up
// nothing is lost; while it is unavailable batches are tried again for a minute, at
// growing distances or when its Retry-After says.
//
// Headers are read in the forms W3C, B3 (single, then multi) and X-Micro, and
// written as W3C and B3 single. Bad headers never fail a request: it begins a
// new trace, and Stats.BadContext counts it.
//
// # Errors
//
// New returns ErrInvalid for options that can't be and ErrUnavailable for a
// backend that doesn't answer. Flush and Close return ErrDropped with the
// number of spans that were lost. Starting and ending spans has no errors.
//
// # Closing
//
// Close sends what waits, bounded by its context, and counts the rest as lost.
// Spans may be started and ended afterwards; they are counted and dropped.
package trace
