package otel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/micro/go-platform/trace"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/embedded"
)

// Provider returns a TracerProvider whose spans are t's.
func Provider(t trace.Tracer) oteltrace.TracerProvider { return &provider{tracer: t} }

type provider struct {
	embedded.TracerProvider
	tracer trace.Tracer
}

func (p *provider) Tracer(string, ...oteltrace.TracerOption) oteltrace.Tracer {
	return &foreignTracer{provider: p}
}

// foreignTracer makes spans of a trace.Tracer for those who know OpenTelemetry.
type foreignTracer struct {
	embedded.Tracer
	provider *provider
}

func (f *foreignTracer) Start(ctx context.Context, name string, opts ...oteltrace.SpanStartOption) (context.Context, oteltrace.Span) {
	if ctx == nil {
		ctx = context.Background()
	}
	c := oteltrace.NewSpanStartConfig(opts...)
	var o []trace.SpanOption
	for ours, theirs := range kinds {
		if theirs == c.SpanKind() {
			o = append(o, trace.OfKind(ours))
		}
	}
	if !c.Timestamp().IsZero() {
		o = append(o, trace.StartAt(c.Timestamp()))
	}
	for _, l := range c.Links() {
		o = append(o, trace.LinkTo(fromOtel(l.SpanContext), tags(l.Attributes)...))
	}
	if c.NewRoot() {
		o = append(o, trace.Root())
	} else if sc := oteltrace.SpanContextFromContext(ctx); sc.IsValid() && trace.FromContext(ctx).Context().SpanID != trace.SpanID(sc.SpanID()) {
		o = append(o, trace.ChildOf(fromOtel(sc))) // one that OpenTelemetry's propagator left
	}
	ctx, inner := f.provider.tracer.Start(ctx, name, o...)
	s := &foreignSpan{provider: f.provider, inner: inner}
	s.SetAttributes(c.Attributes()...)
	return oteltrace.ContextWithSpan(ctx, s), s
}

type foreignSpan struct {
	embedded.Span
	provider *provider
	inner    trace.Span
}

func (s *foreignSpan) SpanContext() oteltrace.SpanContext       { return toOtel(s.inner.Context()) }
func (s *foreignSpan) IsRecording() bool                        { return s.inner.Recording() }
func (s *foreignSpan) SetName(name string)                      { s.inner.SetName(name) }
func (s *foreignSpan) TracerProvider() oteltrace.TracerProvider { return s.provider }

func (s *foreignSpan) End(opts ...oteltrace.SpanEndOption) {
	c := oteltrace.NewSpanEndConfig(opts...)
	if t := c.Timestamp(); !t.IsZero() {
		s.inner.EndAt(t)
		return
	}
	s.inner.End()
}

func (s *foreignSpan) AddEvent(name string, opts ...oteltrace.EventOption) {
	c := oteltrace.NewEventConfig(opts...)
	s.inner.Event(name, tags(c.Attributes())...)
}

func (s *foreignSpan) AddLink(l oteltrace.Link) {
	s.inner.Link(fromOtel(l.SpanContext), tags(l.Attributes)...)
}

// RecordError adds an event, as OpenTelemetry has it; SetStatus says whether the span failed.
func (s *foreignSpan) RecordError(err error, opts ...oteltrace.EventOption) {
	if err != nil {
		c := oteltrace.NewEventConfig(opts...)
		s.inner.Event("exception", append(tags(c.Attributes()), slog.String("exception.type", fmt.Sprintf("%T", err)), slog.String("exception.message", err.Error()))...)
	}
}

func (s *foreignSpan) SetStatus(code codes.Code, description string) {
	if code == codes.Error {
		s.inner.Error(errors.New(description))
	}
}

func (s *foreignSpan) SetAttributes(kv ...attribute.KeyValue) {
	for _, a := range kv {
		switch key := string(a.Key); a.Value.Type() {
		case attribute.INT64:
			s.inner.TagInt(key, a.Value.AsInt64())
		case attribute.FLOAT64:
			s.inner.TagFloat(key, a.Value.AsFloat64())
		case attribute.BOOL:
			s.inner.TagBool(key, a.Value.AsBool())
		default:
			s.inner.Tag(key, a.Value.String())
		}
	}
}

func tags(kv []attribute.KeyValue) []trace.Tag {
	out := make([]trace.Tag, 0, len(kv))
	for _, a := range kv {
		switch key := string(a.Key); a.Value.Type() {
		case attribute.INT64:
			out = append(out, slog.Int64(key, a.Value.AsInt64()))
		case attribute.FLOAT64:
			out = append(out, slog.Float64(key, a.Value.AsFloat64()))
		case attribute.BOOL:
			out = append(out, slog.Bool(key, a.Value.AsBool()))
		default:
			out = append(out, slog.String(key, a.Value.String()))
		}
	}
	return out
}
