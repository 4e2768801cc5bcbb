package redis_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
)

var backend = backendtest.Backend{
	Open: func(addr string) discovery.Option { return redis.Polling(addr, 2*time.Second) },
	Poll: 2 * time.Second,
	TTL:  time.Second,
	// The period and 5 s for the answer.
	Silence: 8 * time.Second,
	// A read each, and a sign of life on the connection that listens.
	Idle: func(n int) int { return n + 1 },
}

func TestMain(m *testing.M) { backend.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	shared := servertest.SharedRedis(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return redis.Backend(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Redis(t, servertest.WithAOF())
			return discoverytest.Env{
				Backend: func() discovery.Option { return redis.Backend(s.Addr()) },
				Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
				Wipe: func() {
					s.Kill()
					if err := os.RemoveAll(s.Dir() + "/appendonlydir"); err != nil {
						t.Error(err)
					}
					s.Restart()
				},
			}
		},
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	shared := servertest.SharedRedis(t)
	backend.Run(t, func(t testing.TB) string { return shared.Addr() })
}

func TestConformanceOnACluster(t *testing.T) {
	t.Parallel()
	addrs := strings.Join(servertest.RedisCluster(t).Addrs(), ",")
	discoverytest.Run(t, discoverytest.Harness{Open: func(t *testing.T) discoverytest.Env {
		return discoverytest.Env{Backend: func() discovery.Option { return backend.Open(addrs) }}
	}})
}

func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	set := servertest.RedisSentinel(t)
	backend.LeaderLoss(t, "redis+sentinel://"+strings.Join(set.SentinelAddrs(), ",")+"/"+set.Name, set.Leader)
}

func TestChaos(t *testing.T) {
	t.Parallel()
	backend.Chaos(t, servertest.Redis(t))
}

// Not side by side with others: it measures, and collects standard error.
func TestFleet(t *testing.T) {
	backend.Fleet(t, servertest.SharedRedis(t).Addr(), 2000, 64)
}
