// Package otlpgrpc sends traces, metrics and logs by the OpenTelemetry protocol
// over gRPC. It is the transport of trace/otlp, metrics/otlp and log/otlp, which
// send over HTTP without it:
//
//	tr, err := trace.New(otlp.Backend("127.0.0.1:4317", otlpgrpc.Transport()), trace.WithService("orders"))
//
// It is a package of its own because it links gRPC, which the others do not.
//
// # Semantics
//
// All options of the Backends hold but WithJSON and WithClient, which are of
// HTTP. WithHeader sends metadata. Requests of 1 KiB or more are compressed by
// gzip, unless WithoutGzip says otherwise. A Backend has a connection of its own
// for each signal; WithClient shares one.
//
// # Errors
//
// CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE, UNAVAILABLE and DATA_LOSS
// are ErrUnavailable and tried again, RESOURCE_EXHAUSTED if the server says when,
// all not before the pause of a RetryInfo; other codes give the request up, as
// the protocol asks (https://opentelemetry.io/docs/specs/otlp/#failures).
package otlpgrpc
