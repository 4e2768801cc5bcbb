package trace

import (
	"context"
	"encoding/hex"
	"log/slog"

	"github.com/micro/go-platform/internal/traced"
)

// TraceID identifies a trace. The zero value is none.
type TraceID [16]byte

// SpanID identifies a span within a trace. The zero value is none.
type SpanID [8]byte

// String returns 32 lower-case hexadecimal digits.
func (id TraceID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is none.
func (id TraceID) IsZero() bool { return id == TraceID{} }

// String returns 16 lower-case hexadecimal digits.
func (id SpanID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id is none.
func (id SpanID) IsZero() bool { return id == SpanID{} }

// Flags are the bits of a trace context.
type Flags uint8

// The flags. Deferred and Debug exist in B3 only: the caller left the decision
// to us, or wants the trace whatever any sampler says.
const (
	Sampled Flags = 1 << iota
	Random        // the lowest 56 bits of the trace id are random (W3C level 2)
	Deferred
	Debug
)

// text returns the flags as traceparent has them.
func (f Flags) text() string {
	return [...]string{"00", "01", "02", "03"}[f&(Sampled|Random)] // the same bits as ours
}

// SpanContext is what identifies a span to other processes. The zero value is
// no context.
type SpanContext struct {
	TraceID  TraceID
	SpanID   SpanID
	ParentID SpanID // zero on a root
	Flags    Flags
	Remote   bool   // it came from Extract
	State    string // W3C tracestate, as it will be passed on
}

// IsValid reports whether both ids are set.
func (sc SpanContext) IsValid() bool { return !sc.TraceID.IsZero() && !sc.SpanID.IsZero() }

// Sampled reports whether the trace is recorded.
func (sc SpanContext) Sampled() bool { return sc.Flags&Sampled != 0 }

// sampledIDs returns the ids of sc, and false if it is not sampled.
func (sc *SpanContext) sampledIDs() (trace [16]byte, span [8]byte, ok bool) {
	return sc.TraceID, sc.SpanID, sc.Sampled() && sc.IsValid()
}

// contextKey is the key of both spans and remote contexts; the value is a Span
// that is a traced.Span too.
type contextKey = traced.Key

// foreign is a span of another implementation in a context.
type foreign struct{ Span }

func (f foreign) SampledIDs() (trace [16]byte, span [8]byte, ok bool) {
	sc := f.Context()
	return sc.sampledIDs()
}

// FromContext returns the span in ctx. It is never nil: without a span it is
// one that does nothing and whose Context is the zero value, or the caller's
// if Extract has just left it.
func FromContext(ctx context.Context) Span {
	switch s := ctx.Value(contextKey{}).(type) {
	case foreign:
		return s.Span
	case Span:
		return s
	}
	return idle{}
}

// ContextWithSpan returns a context that carries s, for implementations of
// Tracer; the context that Start returns has its span already.
func ContextWithSpan(ctx context.Context, s Span) context.Context {
	if s == nil {
		s = idle{}
	}
	if _, ok := s.(traced.Span); !ok {
		s = foreign{s}
	}
	return context.WithValue(ctx, contextKey{}, s)
}

// ContextWithRemote returns a context in which the next Start continues the
// trace of sc. Extract does this for headers.
func ContextWithRemote(ctx context.Context, sc SpanContext) context.Context {
	sc.Remote = true
	return &remoteContext{Context: ctx, span: caller{sc: sc}}
}

// ContextAttrs appends trace_id, span_id and trace_flags of the span in ctx to
// attrs, or nothing without one: the fields of OpenTelemetry's "Trace Context in
// non-OTLP Log Formats", in lower-case hexadecimal digits. It fits
// log.WithContext and allocates only at the first call for a span.
func ContextAttrs(ctx context.Context, attrs []slog.Attr) []slog.Attr {
	if ctx == nil {
		return attrs
	}
	switch s := ctx.Value(contextKey{}).(type) {
	case interface {
		ids() (string, string)
		Context() SpanContext
	}:
		t, id := s.ids()
		return append(attrs, slog.String("trace_id", t), slog.String("span_id", id), slog.String("trace_flags", s.Context().Flags.text()))
	case Span:
		if sc := s.Context(); sc.IsValid() {
			return append(attrs, slog.String("trace_id", sc.TraceID.String()), slog.String("span_id", sc.SpanID.String()), slog.String("trace_flags", sc.Flags.text()))
		}
	}
	return attrs
}
