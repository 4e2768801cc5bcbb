package discovery_test

import (
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemory(t *testing.T) {
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			m := discovery.NewRegistry()
			return discoverytest.Env{Backend: func() discovery.Option { return discovery.Memory(m) }}
		},
		Bubble: true,
	})
}
