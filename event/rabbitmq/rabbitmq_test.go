package rabbitmq_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/event/rabbitmq"
	"github.com/micro/go-platform/internal/servertest"
)

func TestConformance(t *testing.T) {
	server := servertest.RabbitMQ(t)
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB, opts ...event.Option) event.Stream {
			t.Helper()
			s, err := event.New(append(opts, rabbitmq.Backend(server.DSN()), event.WithLogger(slog.New(slog.NewTextHandler(t.Output(), nil))))...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Restart: func(testing.TB) { crash(server) },
	})
}

// crash kills the server and starts it again. It writes what it knows of its queues
// every two seconds: a stream that was made a moment before, RabbitMQ 3.10 does not
// find again.
func crash(server *servertest.Server) {
	<-time.After(3 * time.Second)
	server.Kill()
	server.Restart()
}
