package etcd_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestConformance(t *testing.T) {
	shared := servertest.SharedEtcd(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return etcd.Backend(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Etcd(t)
			return discoverytest.Env{
				Backend: func() discovery.Option { return etcd.Backend(s.Addr(), etcd.WithPoll(time.Second)) },
				Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
			}
		},
		TTL: 2 * time.Second, // etcd's least
	})
}
