// Package zipkin reports spans to a Zipkin server, or to anything else that
// takes Zipkin's v2 JSON: the OpenTelemetry collector, Jaeger, Tempo.
//
// # Backends
//
// POST to /api/v2/spans, or to the path of the address if it has one; gzip from
// 1 KiB up. The model on the wire is zipkin-go's.
//
// # Semantics
//
// Times are in microseconds; a shorter duration is 1. Tags of any kind become
// text. An event is an annotation, its tags behind its name. An error is the tag
// "error". Zipkin has no links: they become tags link.0, link.1 and so on, as
// traceid-spanid. Internal spans have no kind.
//
// Search asks the server's /api/v2/traces. Zipkin selects by its own rules: it
// looks back a day unless Query.Since says otherwise, and a trace whose spans
// have not been indexed yet is not found.
//
// # Errors
//
// What can't be reached and 429, 5xx are ErrUnavailable and tried again, after
// Retry-After if the server says that; other answers give the batch up.
package zipkin
