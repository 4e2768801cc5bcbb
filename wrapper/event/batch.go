package event

import (
	"context"
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
	return func(ctx context.Context, records []*event.Record) error {
		md := trace.Map(records[0].Metadata)
		c := &wrapper.Call{
			Side: wrapper.Server, Protocol: "event", Message: true, Service: a.Name(), Method: types.ofAll(records), Action: "consume",
			System: system, Messages: len(records), Resource: records[0].Subject, RequestID: a.RequestID(md.Get(wrapper.HeaderRequestID)), Header: md, Start: time.Now(),
		}
		return handle(ctx, w, c, func(ctx context.Context) error {
			err := next(ctx, records)
			if failed, ok := err.(event.BatchErrors); ok && len(failed.Unwrap()) == 0 {
				return nil
			}
			return err
		})
	}
}
