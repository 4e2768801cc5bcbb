package redis_test

import (
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/event/redis"
	"github.com/micro/go-platform/internal/servertest"
)

func TestConformance(t *testing.T) {
	server := servertest.Redis(t, servertest.WithAOF())
	eventtest.Run(t, eventtest.Harness{
		Open: func(t testing.TB, opts ...event.Option) event.Stream {
			t.Helper()
			s, err := event.New(append(opts, redis.Backend(server.Addr()))...)
			if err != nil {
				t.Fatal(err)
			}
			return s
		},
		Restart: func(testing.TB) { server.Kill(); server.Restart() },
	})
}
