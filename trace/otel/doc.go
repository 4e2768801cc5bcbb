// Package otel connects package trace with OpenTelemetry, both ways.
//
//	tr, err := otel.New(provider)   // a trace.Tracer whose spans are the provider's
//	provider := otel.Provider(tr)   // a TracerProvider whose spans are tr's
//
// # Semantics
//
// With New, everything that takes a trace.Tracer makes spans of the provider's
// SDK: its sampler, processors and exporters decide; ids and parents are one
// trace with what instrumented libraries make. With Provider, libraries that are
// instrumented for OpenTelemetry make spans of tr, with its sampler, queue and
// reporters.
//
// A context that Start of either returns carries both spans. Headers are W3C's
// unless WithPropagator says otherwise.
//
// # Closing
//
// Flush and Close of New's Tracer flush and shut down the provider if it has
// ForceFlush and Shutdown, as the SDK's does. Search is ErrUnsupported.
package otel
