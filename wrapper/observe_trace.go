package wrapper

import (
	"context"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

var (
	serverSpan  = []trace.SpanOption{trace.WithKind(trace.Server)}
	clientSpan  = []trace.SpanOption{trace.WithKind(trace.Internal)}
	attemptSpan = []trace.SpanOption{trace.WithKind(trace.Client)}
	publishSpan = []trace.SpanOption{trace.WithKind(trace.Producer)}
	consumeSpan = []trace.SpanOption{trace.WithKind(trace.Consumer)}
)

// traceObserver makes a span of each call, and one below it of each attempt.
type traceObserver struct{ t trace.Tracer }

func (o traceObserver) Begin(ctx context.Context, c *Call) context.Context {
	if c.Side == Server {
		kind := serverSpan
		if c.Message {
			kind = consumeSpan
		}
		ctx, c.span = o.t.Start(o.t.Extract(ctx, c.Header), c.spanName(), kind...)
		return ctx
	}
	if !c.Message {
		ctx, c.span = o.t.Start(ctx, c.spanName(), clientSpan...)
		return ctx
	}
	// A message has no attempts with spans of their own: it carries this one.
	ctx, c.span = o.t.Start(ctx, c.spanName(), publishSpan...)
	o.t.Inject(ctx, c.Header)
	return ctx
}

func (o traceObserver) End(_ context.Context, c *Call) {
	if c.Side == Server {
		c.span.SetName(c.spanName()) // the mux has matched by now
	}
	if c.span.Recording() {
		c.span.Tag("request.id", c.RequestID)
		tagOutcome(c.span, c.Class, c.Status)
		if c.Attempts > 1 {
			c.span.TagInt("attempts", int64(c.Attempts))
		}
	}
	c.span.Error(c.failure())
	c.span.EndAt(c.Start.Add(c.Duration))
}

func (o traceObserver) BeginAttempt(ctx context.Context, a *Attempt) context.Context {
	ctx, a.span = o.t.Start(ctx, a.Call.spanName(), attemptSpan...)
	if a.span.Recording() {
		e := trace.Endpoint{Service: a.Call.Service}
		if a.Instance != nil {
			e.Address = a.Instance.Address
			a.span.Tag("instance", a.Instance.ID)
		}
		a.span.SetRemote(e)
		a.span.TagInt("attempt", int64(a.Number))
	}
	o.t.Inject(ctx, a.Header)
	return ctx
}

func (o traceObserver) EndAttempt(_ context.Context, a *Attempt) {
	tagOutcome(a.span, a.Class, a.Status)
	if a.Class.Failed() {
		a.span.Error(failureOf(a.Class, a.Status, a.Err))
	}
	a.span.End()
}

func tagOutcome(s trace.Span, class router.Class, status int) {
	if class != router.OK {
		s.Tag("outcome", class.String())
	}
	if status != 0 {
		s.TagInt("status", int64(status))
	}
}
