package consul_test

import (
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestConformance(t *testing.T) {
	shared := servertest.SharedConsul(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return consul.Backend(shared.Addr()) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Consul(t)
			return discoverytest.Env{
				Backend: func() discovery.Option { return consul.Backend(s.Addr(), consul.WithWait(2*1e9)) },
				Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
			}
		},
	})
}
