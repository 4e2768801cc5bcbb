package rabbitmq_test

import (
	"context"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/chaos"
	"github.com/micro/go-platform/event/rabbitmq"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"consumer": chaos.Consumer(openChild)})
	leak.Main(m)
}

func openChild(args []string) (event.Stream, error) { return event.New(rabbitmq.Backend(args[0])) }

func TestChaosLosesNothingAndKeepsOrder(t *testing.T) {
	server := servertest.RabbitMQ(t)
	args := []string{server.DSN()}
	s, err := openChild(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	sub, err := s.Subscribe(t.Context(), func(context.Context, *event.Record) error { return nil },
		event.Group("g"), event.From(event.Beginning()), event.Types("work"), event.Ordered(event.BySubject))
	if err != nil {
		t.Fatal(err)
	}
	if err := sub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-time.After(3 * time.Second) // see crash
	chaos.Run(t, s, "consumer", args, servertest.Chaos(t), chaos.Records(), func() { server.Kill(); server.Restart() })
}
