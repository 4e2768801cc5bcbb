package event_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/rabbitmq"
	"github.com/micro/go-platform/internal/servertest"
	amqp "github.com/rabbitmq/amqp091-go"
)

// rabbit is a channel of amqp091-go alone, with confirms, and a queue of its own.
func rabbit(b *testing.B, queue, kind string) (*amqp.Channel, func()) {
	c := must(amqp.Dial(servertest.SharedRabbitMQ(b).DSN()))(b)
	ch := must(c.Channel())(b)
	if err := ch.Confirm(false); err != nil {
		b.Fatal(err)
	}
	must(ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": kind}))(b)
	return ch, func() { c.Close() }
}

// rabbitPublish sends n messages, and waits for the confirms of each hundred. They
// have the attributes of a CloudEvent, or only properties.
func rabbitPublish(b *testing.B, ch *amqp.Channel, queue string, n int, attributes bool) {
	confirms := make([]*amqp.DeferredConfirmation, 100)
	for range n / 100 {
		for i := range confirms {
			m := amqp.Publishing{MessageId: event.NewID(), Type: "order.created", Timestamp: time.Now(), DeliveryMode: amqp.Persistent, Body: payload}
			if attributes {
				m.Headers = amqp.Table{
					"cloudEvents_specversion": "1.0", "cloudEvents_id": m.MessageId, "cloudEvents_type": m.Type, "cloudEvents_source": "/",
					"cloudEvents_time": m.Timestamp.UTC().Format(time.RFC3339Nano),
				}
			}
			confirms[i] = must(ch.PublishWithDeferredConfirm("", queue, true, false, m))(b)
		}
		for _, c := range confirms {
			if !c.Wait() {
				b.Fatal("not confirmed")
			}
		}
	}
}

// rabbitConsume reads and acknowledges n messages, by hundreds.
func rabbitConsume(b *testing.B, ch *amqp.Channel, queue string, n int, args amqp.Table) {
	if err := ch.Qos(512, 0, false); err != nil {
		b.Fatal(err)
	}
	seen := 0
	for d := range must(ch.Consume(queue, "c", false, false, false, false, args))(b) {
		if seen++; seen%100 == 0 || seen == n {
			d.Ack(true)
		}
		if seen == n {
			return
		}
	}
}

func publishMany(b *testing.B, s event.Stream, n int) {
	rs := make([]*event.Record, 100)
	for range n / 100 {
		for i := range rs {
			rs[i] = &event.Record{Type: "order.created", Data: payload}
		}
		if err := s.Publish(context.Background(), rs...); err != nil {
			b.Fatal(err)
		}
	}
}

func rabbitStream(b *testing.B, name string) event.Stream {
	return must(event.New(rabbitmq.Backend(servertest.SharedRabbitMQ(b).DSN()), event.WithNamespace(name)))(b)
}

// BenchmarkRabbitMQPublish publishes in batches of 100 to a stream.
func BenchmarkRabbitMQPublish(b *testing.B) {
	s := rabbitStream(b, "publish")
	defer s.Close(context.Background())
	ch, done := rabbit(b, "raw-publish", "stream")
	defer done()
	compare(b, contender{"ours", 10_000, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		publishMany(b, s, n)
		return time.Since(start)
	}}, contender{"amqp091-cloudevents", 10_000, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		rabbitPublish(b, ch, "raw-publish", n, true)
		return time.Since(start)
	}}, contender{"amqp091-plain", 10_000, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		rabbitPublish(b, ch, "raw-publish", n, false)
		return time.Since(start)
	}})
}

// BenchmarkRabbitMQRead handles without a group what a stream has.
func BenchmarkRabbitMQRead(b *testing.B) {
	const n = 10_000
	s := rabbitStream(b, "read")
	defer s.Close(context.Background())
	publishMany(b, s, n)
	ch, done := rabbit(b, "raw-read", "stream")
	rabbitPublish(b, ch, "raw-read", n, true)
	done()
	compare(b, contender{"ours", n, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		handleAll(b, s, n, event.Batch(1000))
		return time.Since(start)
	}}, contender{"amqp091", n, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		ch, done := rabbit(b, "raw-read", "stream")
		defer done()
		rabbitConsume(b, ch, "raw-read", n, amqp.Table{"x-stream-offset": "first"})
		return time.Since(start)
	}})
}

// BenchmarkRabbitMQConsume handles in a group what a stream has, which includes feeding
// the group's queue. Of amqp091-go alone: consuming a quorum queue that is filled, and
// filling it as well.
func BenchmarkRabbitMQConsume(b *testing.B) {
	const n = 5_000
	s := rabbitStream(b, "consume")
	defer s.Close(context.Background())
	publishMany(b, s, n)
	round := 0
	compare(b, contender{"ours", n, func(b *testing.B, n int) time.Duration {
		round++
		start := time.Now()
		sub := handleAll(b, s, n, event.Group(fmt.Sprint("g", round)))
		for {
			if lag, _ := sub.Lag(context.Background()); lag.Pending == 0 {
				return time.Since(start)
			}
		}
	}}, contender{"amqp091", n, func(b *testing.B, n int) time.Duration {
		ch, done := rabbit(b, "raw-consume", "quorum")
		defer done()
		rabbitPublish(b, ch, "raw-consume", n, true)
		start := time.Now()
		rabbitConsume(b, ch, "raw-consume", n, nil)
		return time.Since(start)
	}}, contender{"amqp091-both", n, func(b *testing.B, n int) time.Duration {
		start := time.Now()
		ch, done := rabbit(b, "raw-both", "quorum")
		defer done()
		rabbitPublish(b, ch, "raw-both", n, true)
		rabbitConsume(b, ch, "raw-both", n, nil)
		return time.Since(start)
	}})
}

func handleAll(b *testing.B, s event.Stream, n int, opts ...event.SubscribeOption) event.Subscription {
	done := make(chan struct{})
	seen := 0
	sub := must(s.Subscribe(context.Background(), func(context.Context, *event.Record) error {
		if seen++; seen == n {
			close(done)
		}
		return nil
	}, append(opts, event.From(event.Beginning()))...))(b)
	b.Cleanup(func() { sub.Close(context.Background()) })
	<-done
	return sub
}
