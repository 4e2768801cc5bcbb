package consul_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/internal/servertest"
)

var backend = backendtest.Backend{
	Open: func(addr string) discovery.Option { return consul.Backend(addr, consul.WithWait(2*time.Second)) },
	Poll: 2 * time.Second,
	TTL:  time.Second,
	// The wait, its jitter, and 5 s for the answer.
	Silence: 8 * time.Second,
	// A blocking query each.
	Idle: func(n int) int { return n },
}

func TestMain(m *testing.M) { backend.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	shared := servertest.SharedConsul(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return consul.Backend(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Consul(t)
			return discoverytest.Env{
				Backend: func() discovery.Option { return backend.Open(s.Addr()) },
				Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
				Wipe: func() {
					s.Kill()
					if err := os.RemoveAll(s.Dir() + "/data"); err != nil {
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
	shared := servertest.SharedConsul(t)
	backend.Run(t, func(t testing.TB) string { return shared.Addr() })
}

func TestDeadFirstAddress(t *testing.T) {
	t.Parallel()
	backend.DeadFirst(t, servertest.SharedConsul(t).Addr())
}

// The leader is also the agent that the instance was registered with, so this
// is a failover to another agent too.
func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	c := servertest.ConsulCluster(t)
	addrs := []string{c.Leader().Addr()}
	for _, s := range c.Followers() {
		addrs = append(addrs, s.Addr())
	}
	backend.LeaderLoss(t, strings.Join(addrs, ","), c.Leader)
}
