package event

import (
	"context"
	"runtime/debug"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// SubscribeBatch subscribes with w around h: one call for each batch, of the type
// and the request of its first record. A batch of which some records failed has
// failed.
func (s *stream) SubscribeBatch(ctx context.Context, h event.BatchHandler, opts ...event.SubscribeOption) (event.Subscription, error) {
	if h != nil {
		h = batchHandler(s.w, h, s.system, s.types)
	}
	return s.begun(s.Stream.SubscribeBatch(ctx, h, opts...))
}

func batchHandler(w *wrapper.Wrapper, next event.BatchHandler, system string, types *names) event.BatchHandler {
	a := w.Adapter()
	return func(ctx context.Context, records []*event.Record) (err error) {
		md := trace.Map(records[0].Metadata)
		c := &wrapper.Call{
			Side: wrapper.Server, Protocol: "event", Message: true, Service: a.Name(), Method: types.ofAll(records), Action: "consume",
			System: system, Messages: len(records), Resource: records[0].Subject, RequestID: a.RequestID(md.Get(wrapper.HeaderRequestID)), Header: md, Start: time.Now(),
		}
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
		err = next(ctx, records)
		if failed, ok := err.(event.BatchErrors); ok && len(failed.Unwrap()) == 0 {
			err = nil
		}
		return err
	}
}
