package otel

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	oteltrace "go.opentelemetry.io/otel/trace"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/trace"
)

// scopeName is the instrumentation scope of the spans.
const scopeName = "github.com/micro/go-platform/trace"

// Option configures New.
type Option func(*tracer) error

// WithPropagator sets the form of headers. The default is propagation.TraceContext.
func WithPropagator(p propagation.TextMapPropagator) Option {
	return func(t *tracer) error { t.propagator = p; return fronts.Given(p, "WithPropagator") }
}

// New returns a Tracer whose spans are p's. A nil p makes none.
func New(p oteltrace.TracerProvider, opts ...Option) (trace.Tracer, error) {
	t := &tracer{provider: p, propagator: propagation.TraceContext{}, ended: make(chan struct{})}
	err := fronts.Apply(t, opts)
	if err != nil {
		return nil, fault.Wrap("trace/otel", "new", "", fault.Mark(trace.ErrInvalid, err))
	}
	if p != nil {
		t.tracer = p.Tracer(scopeName)
	}
	return t, nil
}

type tracer struct {
	provider   oteltrace.TracerProvider
	tracer     oteltrace.Tracer
	propagator propagation.TextMapPropagator

	started, sampled, bad atomic.Uint64
	closed                atomic.Bool
	ended                 chan struct{} // closed when Close has shut the provider down
}

var kinds = map[trace.Kind]oteltrace.SpanKind{
	trace.Internal: oteltrace.SpanKindInternal, trace.Server: oteltrace.SpanKindServer, trace.Client: oteltrace.SpanKindClient,
	trace.Producer: oteltrace.SpanKindProducer, trace.Consumer: oteltrace.SpanKindConsumer,
}

func (t *tracer) Start(ctx context.Context, name string, opts ...trace.SpanOption) (context.Context, trace.Span) {
	if t.tracer == nil {
		return ctx, trace.FromContext(ctx)
	}
	c := trace.SpanOptions(opts...)
	o := []oteltrace.SpanStartOption{oteltrace.WithSpanKind(kinds[c.Kind])}
	if !c.Start.IsZero() {
		o = append(o, oteltrace.WithTimestamp(c.Start))
	}
	for _, l := range c.Links {
		o = append(o, oteltrace.WithLinks(oteltrace.Link{SpanContext: toOtel(l.Context), Attributes: attributes(l.Tags)}))
	}
	switch {
	case c.Root:
		o = append(o, oteltrace.WithNewRoot())
	case c.Parent.IsValid():
		ctx = oteltrace.ContextWithSpanContext(ctx, toOtel(c.Parent))
	default: // a parent that only we know of, such as one that trace.ContextWithRemote left
		if sc := trace.FromContext(ctx).Context(); sc.IsValid() && !oteltrace.SpanContextFromContext(ctx).IsValid() {
			ctx = oteltrace.ContextWithSpanContext(ctx, toOtel(sc))
		}
	}
	parent := oteltrace.SpanContextFromContext(ctx)
	ctx, inner := t.tracer.Start(ctx, name, o...)
	t.started.Add(1)
	if inner.SpanContext().IsSampled() {
		t.sampled.Add(1)
	}
	s := &span{inner: inner}
	if parent.TraceID() == inner.SpanContext().TraceID() {
		s.parent = parent.SpanID()
	}
	if c.Remote != (trace.Endpoint{}) {
		s.SetRemote(c.Remote)
	}
	return trace.ContextWithSpan(ctx, s), s
}

// Extract reads headers in the propagator's form.
func (t *tracer) Extract(ctx context.Context, c trace.Carrier) context.Context {
	out := t.propagator.Extract(ctx, carrier{c, t.propagator})
	sc := oteltrace.SpanContextFromContext(out)
	if !sc.IsValid() || !sc.IsRemote() {
		for _, f := range t.propagator.Fields() {
			if f != "tracestate" && f != "baggage" && c.Get(f) != "" {
				t.bad.Add(1)
				break
			}
		}
		return out
	}
	return trace.ContextWithRemote(out, fromOtel(sc))
}

func (t *tracer) Inject(ctx context.Context, c trace.Carrier) {
	t.propagator.Inject(ctx, carrier{c, t.propagator})
}

func (t *tracer) Search(context.Context, trace.Query) (trace.Page, error) {
	return trace.Page{}, fault.Wrap("trace/otel", "search", "", fault.Unsupported)
}

func (t *tracer) Stats() trace.Stats {
	return trace.Stats{Started: t.started.Load(), Sampled: t.sampled.Load(), BadContext: t.bad.Load()}
}

func (t *tracer) Flush(ctx context.Context) error {
	if t.closed.Load() {
		return fault.Wrap("trace/otel", "flush", "", fault.Closed)
	}
	if f, ok := t.provider.(interface{ ForceFlush(context.Context) error }); ok {
		return fault.Wrap("trace/otel", "flush", "", f.ForceFlush(ctx))
	}
	return nil
}

func (t *tracer) Close(ctx context.Context) error {
	if t.closed.Swap(true) {
		select {
		case <-t.ended:
			return nil
		case <-ctx.Done():
			return fault.Wrap("trace/otel", "close", "", ctx.Err())
		}
	}
	defer close(t.ended)
	if s, ok := t.provider.(interface{ Shutdown(context.Context) error }); ok {
		return fault.Wrap("trace/otel", "close", "", s.Shutdown(ctx))
	}
	return nil
}

// carrier is a trace.Carrier as propagators want it.
type carrier struct {
	trace.Carrier
	propagator propagation.TextMapPropagator
}

func (c carrier) Keys() []string { return c.propagator.Fields() }

// span is a span of OpenTelemetry.
type span struct {
	inner  oteltrace.Span
	parent oteltrace.SpanID
}

func (s *span) Context() trace.SpanContext {
	sc := fromOtel(s.inner.SpanContext())
	sc.ParentID = trace.SpanID(s.parent)
	return sc
}

func (s *span) Recording() bool       { return s.inner.IsRecording() }
func (s *span) SetName(name string)   { s.inner.SetName(name) }
func (s *span) Tag(key, value string) { s.inner.SetAttributes(attribute.String(key, value)) }
func (s *span) TagInt(key string, value int64) {
	s.inner.SetAttributes(attribute.Int64(key, value))
}
func (s *span) TagFloat(key string, value float64) {
	s.inner.SetAttributes(attribute.Float64(key, value))
}
func (s *span) TagBool(key string, value bool) { s.inner.SetAttributes(attribute.Bool(key, value)) }

func (s *span) SetRemote(e trace.Endpoint) {
	if e.Service != "" {
		s.inner.SetAttributes(attribute.String("service.peer.name", e.Service))
	}
	if e.Address == "" {
		return
	}
	host, port, err := net.SplitHostPort(e.Address)
	if err != nil {
		s.inner.SetAttributes(attribute.String("network.peer.address", e.Address))
		return
	}
	n, _ := strconv.Atoi(port)
	s.inner.SetAttributes(attribute.String("network.peer.address", host), attribute.Int("network.peer.port", n))
}

func (s *span) Link(sc trace.SpanContext, tags ...trace.Tag) {
	if sc.IsValid() {
		s.inner.AddLink(oteltrace.Link{SpanContext: toOtel(sc), Attributes: attributes(tags)})
	}
}

func (s *span) Event(name string, tags ...trace.Tag) {
	s.inner.AddEvent(name, oteltrace.WithAttributes(attributes(tags)...))
}

func (s *span) Error(err error) {
	if err != nil {
		s.inner.SetStatus(codes.Error, err.Error())
	}
}

func (s *span) End()              { s.inner.End() }
func (s *span) EndAt(t time.Time) { s.inner.End(oteltrace.WithTimestamp(t)) }

func attributes(tags []trace.Tag) []attribute.KeyValue {
	out := make([]attribute.KeyValue, 0, len(tags))
	for _, t := range tags {
		switch v := t.Value.Resolve(); v.Kind() {
		case slog.KindInt64:
			out = append(out, attribute.Int64(t.Key, v.Int64()))
		case slog.KindFloat64:
			out = append(out, attribute.Float64(t.Key, v.Float64()))
		case slog.KindBool:
			out = append(out, attribute.Bool(t.Key, v.Bool()))
		default:
			out = append(out, attribute.String(t.Key, v.String()))
		}
	}
	return out
}

func toOtel(sc trace.SpanContext) oteltrace.SpanContext {
	var flags oteltrace.TraceFlags
	if sc.Sampled() {
		flags = oteltrace.FlagsSampled
	}
	state, _ := oteltrace.ParseTraceState(sc.State)
	return oteltrace.NewSpanContext(oteltrace.SpanContextConfig{
		TraceID: oteltrace.TraceID(sc.TraceID), SpanID: oteltrace.SpanID(sc.SpanID), TraceFlags: flags, TraceState: state, Remote: sc.Remote,
	})
}

func fromOtel(sc oteltrace.SpanContext) trace.SpanContext {
	out := trace.SpanContext{TraceID: trace.TraceID(sc.TraceID()), SpanID: trace.SpanID(sc.SpanID()), Remote: sc.IsRemote(), State: sc.TraceState().String()}
	if sc.IsSampled() {
		out.Flags |= trace.Sampled
	}
	return out
}
