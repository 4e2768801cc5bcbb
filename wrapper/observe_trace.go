package wrapper

import (
	"context"
	"log/slog"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

var (
	serverSpan  = []trace.SpanOption{trace.WithKind(trace.Server)}
	clientSpan  = []trace.SpanOption{trace.WithKind(trace.Client)}
	publishSpan = []trace.SpanOption{trace.WithKind(trace.Producer)}
	consumeSpan = []trace.SpanOption{trace.WithKind(trace.Consumer)}
)

// traceObserver makes a span of each call. Its first attempt, which is the only
// one of most, is the call's span itself; each further one has its own below it.
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
		if c.Side == Client && !c.Message {
			tagRemote(c.span, c, c.Instance)
		}
		c.span.Error(c.failure())
	}
	c.span.EndAt(c.Start.Add(c.Duration))
}

func (o traceObserver) BeginAttempt(ctx context.Context, a *Attempt) context.Context {
	if a.Number > 1 {
		ctx, a.span = o.t.Start(ctx, a.Call.spanName(), clientSpan...)
		if a.span.Recording() {
			tagRemote(a.span, a.Call, a.Instance)
			a.span.TagInt("attempt", int64(a.Number))
		}
	}
	o.t.Inject(ctx, a.Header)
	return ctx
}

func (o traceObserver) EndAttempt(_ context.Context, a *Attempt) {
	if a.span == nil {
		o.firstFailed(a)
		return
	}
	if a.span.Recording() {
		tagOutcome(a.span, a.Class, a.Status)
		if a.Class.Failed() {
			a.span.Error(failureOf(a.Class, a.Status, a.Err))
		}
	}
	a.span.End()
}

// firstFailed notes on the call's span how its first attempt went, which the
// call's own end says only if there was no other.
func (o traceObserver) firstFailed(a *Attempt) {
	if !a.Class.Failed() || !a.Call.span.Recording() {
		return
	}
	tags := []trace.Tag{slog.String("outcome", a.Class.String()), slog.String("error", failureOf(a.Class, a.Status, a.Err).Error())}
	if a.Instance != nil {
		tags = append(tags, slog.String("instance", a.Instance.ID))
	}
	a.Call.span.Event("attempt failed", tags...)
}

// tagRemote says who was called.
func tagRemote(s trace.Span, c *Call, in *discovery.Instance) {
	e := trace.Endpoint{Service: c.Service}
	if in != nil {
		e.Address = in.Address
		s.Tag("instance", in.ID)
	}
	s.SetRemote(e)
}

func tagOutcome(s trace.Span, class router.Class, status int) {
	if class != router.OK {
		s.Tag("outcome", class.String())
	}
	if status != 0 {
		s.TagInt("status", int64(status))
	}
}
