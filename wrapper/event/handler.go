package event

import (
	"cmp"
	"context"
	"runtime/debug"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// Handler puts w around one handler, for a stream that isn't wrapped. The
// subscription is then its user's to close, before the Wrapper.
func Handler(w *wrapper.Wrapper, next event.Handler) event.Handler {
	return handler(w, next, "", &names{})
}

func handler(w *wrapper.Wrapper, next event.Handler, system string, types *names) event.Handler {
	a := w.Adapter()
	return func(ctx context.Context, r *event.Record) error {
		md := trace.Map(r.Metadata)
		c := &wrapper.Call{
			Side: wrapper.Server, Protocol: "event", Message: true, Service: a.Name(), Method: types.of(r.Type), Action: "consume",
			System: system, MessageID: r.ID, Messages: 1, Resource: r.Subject, RequestID: a.RequestID(cmp.Or(md.Get(wrapper.HeaderRequestID), r.RootID)), Header: md, Start: time.Now(),
		}
		if labels := a.MessageLabels(md); labels != nil {
			ctx = wrapper.ContextWithLabels(ctx, labels)
		}
		return handle(ctx, w, c, func(ctx context.Context) error { return next(ctx, r) })
	}
}

// handle makes the handling of what was delivered a call.
func handle(ctx context.Context, w *wrapper.Wrapper, c *wrapper.Call, next func(context.Context) error) (err error) {
	a := w.Adapter()
	if d, ok := event.DeliveryFromContext(ctx); ok {
		c.Attempts, c.Group = d.Attempt, d.Group
	}
	ctx, cancel := a.Bound(a.Context(ctx, c), c)
	defer cancel()
	ctx, err = w.Begin(ctx, c)
	defer func() {
		panicked := recover()
		if panicked != nil {
			c.Panic, c.Stack = panicked, debug.Stack()
		}
		c.Class, c.Err, c.Duration = handledClass(err, panicked), err, time.Since(c.Start)
		w.End(ctx, c)
		if panicked != nil {
			panic(panicked) // the stream counts it, and makes it an error
		}
	}()
	if err != nil {
		return err
	}
	return next(ctx)
}
