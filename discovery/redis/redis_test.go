package redis_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestConformance(t *testing.T) {
	shared := servertest.SharedRedis(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return redis.Backend(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Redis(t)
			return discoverytest.Env{
				Backend: func() discovery.Option { return redis.Backend(s.Addr(), redis.WithPoll(time.Second)) },
				Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
				Wipe: func() { s.Kill(); s.Restart() }, // it keeps nothing
			}
		},
	})
}
