// Package event connects the routers of several processes through any
// event.Stream: they share what they see of instances.
//
//	exchange, err := routerevent.Exchange(stream)
//	ro, err := router.New(router.WithDiscovery(d), router.WithSharing(exchange, router.Sharing{}))
//
// # Backends
//
// Any stream. Reports and views are records of the types "router.report" and
// "router.view"; give the stream a retention, since only the newest count.
//
// # Semantics
//
// A router that starts hears of the others with their next reports.
//
// # Errors
//
// Those of the stream.
//
// # Closing
//
// The stream stays open: it is its owner's.
package event

import (
	"context"
	"encoding/json"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/router"
)

// The types of the records.
const (
	TypeReport = "router.report" // a router.Report as JSON
	TypeView   = "router.view"   // a router.View as JSON
)

// Exchange carries reports and views over a stream.
func Exchange(stream event.Stream) (router.Exchange, error) {
	if fronts.Nil(stream) {
		return nil, fault.New(fault.Invalid, "router/event", "exchange", "", "nil stream")
	}
	return exchange{stream}, nil
}

type exchange struct{ stream event.Stream }

func (x exchange) Publish(ctx context.Context, r router.Report) error {
	return x.publish(ctx, TypeReport, r.Client, r.Service, r)
}

func (x exchange) Reports(ctx context.Context, service string, f func(router.Report)) error {
	return follow(ctx, x.stream, TypeReport, service, f)
}

func (x exchange) PublishView(ctx context.Context, v router.View) error {
	return x.publish(ctx, TypeView, v.By, v.Service, v)
}

func (x exchange) Views(ctx context.Context, service string, f func(router.View)) error {
	return follow(ctx, x.stream, TypeView, service, f)
}

func (x exchange) publish(ctx context.Context, kind, source, service string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return x.stream.Publish(ctx, &event.Record{Type: kind, Source: source, Subject: service, ContentType: "application/json", Data: b})
}

func follow[T any](ctx context.Context, stream event.Stream, kind, service string, f func(T)) error {
	s, err := stream.Subscribe(ctx, func(_ context.Context, r *event.Record) error {
		var v T
		if (service == "" || r.Subject == service) && json.Unmarshal(r.Data, &v) == nil { // what is none is nobody's
			f(v)
		}
		return nil
	}, event.Types(kind), event.Concurrency(1))
	if err != nil {
		return err
	}
	<-ctx.Done()
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if err := s.Close(closing); err != nil {
		return err
	}
	return ctx.Err()
}
