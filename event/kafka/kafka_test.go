package kafka_test

import (
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/event/kafka"
	"github.com/micro/go-platform/internal/servertest"
)

func TestConformance(t *testing.T) {
	server := servertest.Kafka(t)
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB, opts ...event.Option) event.Stream {
			t.Helper()
			s, err := event.New(append(opts, kafka.Backend(server.Addr()))...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Restart: func(testing.TB) { server.Kill(); server.Restart() },
	})
}
