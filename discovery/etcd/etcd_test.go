package etcd_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/internal/servertest"
)

var backend = backendtest.Backend{
	Open: func(addr string) discovery.Option { return etcd.Backend(addr, etcd.WithPoll(2*time.Second)) },
	Poll: 2 * time.Second,
	TTL:  2 * time.Second, // etcd's least
	// The period and 5 s for the answer.
	Silence: 8 * time.Second,
	// One asks for all, in as many as two frames, that each are acknowledged.
	Idle: func(n int) int { return 6 },
}

func TestMain(m *testing.M) { backend.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	shared := servertest.SharedEtcd(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return etcd.Backend(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Etcd(t)
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
		TTL: backend.TTL,
	})
}

func TestFaults(t *testing.T) {
	t.Parallel()
	shared := servertest.SharedEtcd(t)
	backend.Run(t, func(t testing.TB) string { return shared.Addr() })
}

func TestDeadFirstAddress(t *testing.T) {
	t.Parallel()
	backend.DeadFirst(t, servertest.SharedEtcd(t).Addr())
}

func TestLeaderLoss(t *testing.T) {
	t.Parallel()
	c := servertest.EtcdCluster(t)
	backend.LeaderLoss(t, strings.Join(c.Addrs(), ","), c.Leader)
}

func TestChaos(t *testing.T) {
	t.Parallel()
	backend.Chaos(t, servertest.Etcd(t))
}

// Not side by side with others: it measures, and collects standard error.
func TestFleet(t *testing.T) {
	backend.Fleet(t, servertest.SharedEtcd(t).Addr(), 2000, 64)
}
