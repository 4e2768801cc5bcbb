package micro

import (
	"context"
	"runtime/debug"
	"time"

	merrors "go-micro.dev/v5/errors"
	"go-micro.dev/v5/metadata"
	"go-micro.dev/v5/server"

	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// Handler puts w around the endpoints of a server, streams among them.
func Handler(w *wrapper.Wrapper) server.HandlerWrapper {
	return func(next server.HandlerFunc) server.HandlerFunc {
		return func(ctx context.Context, req server.Request, rsp any) error {
			c := &wrapper.Call{Method: req.Endpoint(), Action: req.Endpoint(), Start: time.Now()}
			return serve(ctx, w, c, req.Stream(), func(ctx context.Context) error { return next(ctx, req, rsp) })
		}
	}
}

// Subscriber puts w around the handlers of messages.
func Subscriber(w *wrapper.Wrapper) server.SubscriberWrapper {
	return func(next server.SubscriberFunc) server.SubscriberFunc {
		return func(ctx context.Context, msg server.Message) error {
			c := &wrapper.Call{Message: true, Method: msg.Topic(), Action: "consume", Start: time.Now(), Attempts: 1}
			return serve(ctx, w, c, false, func(ctx context.Context) error { return next(ctx, msg) })
		}
	}
}

// serve runs a handler within w.
func serve(ctx context.Context, w *wrapper.Wrapper, c *wrapper.Call, stream bool, next func(context.Context) error) (err error) {
	a := w.Adapter()
	md, _ := metadata.FromContext(ctx) // a copy
	c.Side, c.Protocol, c.Service, c.Header = wrapper.Server, "micro", a.Name(), trace.Map(md)
	if !c.Message {
		md = a.MessageBorder(ctx, c, md)
		c.Header = trace.Map(md)
	}
	if a.Stranger(c) {
		ctx = metadata.NewContext(ctx, md)
	}
	readShown(a, c, md)
	c.RequestID = a.RequestID(c.Header.Get(wrapper.HeaderRequestID))
	if labels := a.MessageLabels(md); labels != nil {
		ctx = wrapper.ContextWithLabels(ctx, labels)
	}
	if left, ok := a.Remaining(c.Header.Get(wrapper.HeaderDeadline)); ok && !c.Message {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, left)
		defer cancel()
	}
	if !stream {
		var cancel context.CancelFunc
		ctx, cancel = a.Bound(ctx, c)
		defer cancel()
	}
	ctx, err = w.Begin(a.Context(ctx, c), c)
	refused := err != nil
	defer func() {
		cause := err
		if v := recover(); v != nil {
			c.Panic, c.Stack = v, debug.Stack()
			err = merrors.InternalServerError(c.Service, "internal error")
		} else if refused {
			err = refusal(a, c.Service, err)
		}
		c.Class, c.Status = outcome(ctx, err)
		if c.Class != 0 {
			c.Err = cause
		}
		c.Duration = time.Since(c.Start)
		w.End(ctx, c)
	}()
	if refused {
		return err
	}
	return next(ctx)
}
