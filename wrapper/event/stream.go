package event

import (
	"context"
	"maps"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// Stream returns s with w around the handlers of its subscriptions and around
// what is published to it. It is safe for concurrent use.
func Stream(w *wrapper.Wrapper, s event.Stream) event.Stream {
	system := s.Features().Backend
	return &stream{Stream: s, w: w, system: system, types: &names{}, meter: newMeter(w.Adapter(), system)}
}

type stream struct {
	event.Stream
	w      *wrapper.Wrapper
	system string // the backend
	types  *names
	meter  *meter
}

// Subscribe subscribes with w around h.
func (s *stream) Subscribe(ctx context.Context, h event.Handler, opts ...event.SubscribeOption) (event.Subscription, error) {
	if h != nil {
		h = handler(s.w, h, s.system, s.types)
	}
	return s.begun(s.Stream.Subscribe(ctx, h, opts...))
}

// begun keeps the metrics of a subscription, and ends it with the Wrapper.
func (s *stream) begun(sub event.Subscription, err error) (event.Subscription, error) {
	if err != nil {
		return nil, err
	}
	out := &subscription{sub, s.meter, nil}
	s.meter.begin(out)
	out.forget = s.w.Adapter().OnStop(out.stop)
	return out, nil
}

// Close closes the stream.
func (s *stream) Close(ctx context.Context) error {
	err := s.Stream.Close(ctx)
	s.meter.close()
	return err
}

// subscription is one that the Wrapper closes unless its user has.
type subscription struct {
	event.Subscription
	meter  *meter
	forget func()
}

func (s *subscription) Close(ctx context.Context) error {
	err := s.stop(ctx)
	if err == nil {
		s.forget()
	}
	return err
}

func (s *subscription) stop(ctx context.Context) error {
	err := s.Subscription.Close(ctx)
	if err == nil {
		s.meter.end(s)
	}
	return err
}

// Publish publishes copies of the records that carry what belongs to the call.
func (s *stream) Publish(ctx context.Context, records ...*event.Record) error {
	return s.publish(ctx, records, s.Stream.Publish)
}

// PublishAt schedules copies of the records that carry what belongs to the call.
func (s *stream) PublishAt(ctx context.Context, t time.Time, records ...*event.Record) error {
	return s.publish(ctx, records, func(ctx context.Context, records ...*event.Record) error {
		return s.Stream.PublishAt(ctx, t, records...)
	})
}

// Request publishes a copy of r that carries what belongs to the call, and waits
// for the reply.
func (s *stream) Request(ctx context.Context, r *event.Record) (reply *event.Record, err error) {
	err = s.publish(ctx, []*event.Record{r}, func(ctx context.Context, records ...*event.Record) (err error) {
		reply, err = s.Stream.Request(ctx, records[0])
		return err
	})
	return reply, err
}

func (s *stream) publish(ctx context.Context, records []*event.Record, next func(context.Context, ...*event.Record) error) error {
	if len(records) == 0 || records[0] == nil {
		return next(ctx, records...) // which knows what to say
	}
	a, header := s.w.Adapter(), trace.Map{}
	id := trace.Map(records[0].Metadata).Get(wrapper.HeaderRequestID)
	if parent, ok := wrapper.FromContext(ctx); ok && id == "" {
		id = parent.RequestID
	}
	c := &wrapper.Call{
		Side: wrapper.Client, Protocol: "event", Message: true, Service: "event", Method: s.types.ofAll(records), Action: "publish",
		System: s.system, Messages: len(records), Resource: records[0].Subject, RequestID: a.RequestID(id), Header: header, Start: time.Now(), Attempts: 1,
	}
	header.Set(wrapper.HeaderRequestID, c.RequestID)
	a.Carry(ctx, header)
	ctx, cancel := a.Bound(ctx, c)
	defer cancel()
	ctx, err := s.w.Begin(ctx, c)
	if err == nil {
		err = next(ctx, carrying(records, header, a.NamedBaggage(ctx))...)
	}
	c.Class, c.Err, c.Duration = publishClass(err), err, time.Since(c.Start)
	s.w.End(ctx, c)
	return err
}

// carrying returns copies of the records with the header in their metadata, and
// with the named values. What a record says of its own request stays, and so
// does metadata of a value's name.
func carrying(records []*event.Record, header trace.Map, named map[string]string) []*event.Record {
	out := make([]*event.Record, len(records))
	for i, r := range records {
		if r == nil {
			continue // refused by Publish
		}
		c := *r
		md := make(trace.Map, len(r.Metadata)+len(header))
		maps.Copy(md, r.Metadata)
		own := md.Get(wrapper.HeaderRequestID)
		for k, v := range header {
			md.Set(k, v)
		}
		if own != "" {
			md.Set(wrapper.HeaderRequestID, own)
		}
		for k, v := range named {
			if md.Values(k) == nil {
				md[k] = v
			}
		}
		c.Metadata = md
		out[i] = &c
	}
	return out
}
