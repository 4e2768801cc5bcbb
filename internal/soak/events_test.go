package soak

import (
	"context"
	"net"
	"testing"

	"github.com/micro/go-platform/engine/kafka"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/twmb/franz-go/pkg/kgo"
)

// events are the loads of event.
func events() []load {
	kept := event.WithRetention(event.Retention{Count: 1000})
	return []load{
		{"event redis", redis, func(t *testing.T, addr string) call { return publishing(t, eventredis.Backend(addr), kept) }},
		{"event nats", nats, func(t *testing.T, addr string) call { return publishing(t, eventnats.Backend(addr), kept) }},
		{"event postgres", postgres, func(t *testing.T, addr string) call { return publishing(t, eventsql.Postgres(dsn(addr)), kept) }},
		{"event rabbitmq", rabbitMQ, func(t *testing.T, addr string) call { return publishing(t, eventrabbitmq.Backend(addr)) }},
		{"event kafka", broker, func(t *testing.T, addr string) call { return publishing(t, eventkafka.On(through(t, addr))) }},
	}
}

// through is an engine whose connections all go to addr: a broker tells its clients
// where it is, and else they would go around the network that breaks.
func through(t *testing.T, addr string) *kafka.Engine {
	e := must[*kafka.Engine](t)(kafka.Open(addr, kafka.WithClientOptions(kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}))))
	t.Cleanup(func() { e.Close() })
	return e
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
