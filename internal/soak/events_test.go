package soak

import (
	"context"
	"testing"

	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
)

// events are the loads of event. Kafka is missing: it tells its clients where the
// brokers are, and so they go around the network that breaks.
func events() []load {
	kept := event.WithRetention(event.Retention{Count: 1000})
	return []load{
		{"event redis", redis, func(t *testing.T, addr string) call { return publishing(t, eventredis.Backend(addr), kept) }},
		{"event nats", nats, func(t *testing.T, addr string) call { return publishing(t, eventnats.Backend(addr), kept) }},
		{"event postgres", postgres, func(t *testing.T, addr string) call { return publishing(t, eventsql.Postgres(dsn(addr)), kept) }},
		{"event rabbitmq", rabbitMQ, func(t *testing.T, addr string) call { return publishing(t, eventrabbitmq.Backend(addr)) }},
	}
}

// publishing publishes to a group and to a subscription without one.
func publishing(t *testing.T, opts ...event.Option) call {
	s := must[event.Stream](t)(event.New(append(opts, event.WithNamespace("soak"))...))
	closing(t, s.Close)
	for _, opts := range [][]event.SubscribeOption{{event.Group("soak")}, {}} {
		must[event.Subscription](t)(s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil }, opts...))
	}
	return func(ctx context.Context, n int64) error {
		return s.Publish(ctx, &event.Record{Type: "soak", Data: make([]byte, 100)})
	}
}
