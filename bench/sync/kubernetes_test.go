package sync_test

import (
	"testing"

	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/kubernetes"
)

// onLeases is a backend over an engine of its own that no rate limit holds up.
func onLeases(b *testing.B) dsync.Option {
	k := servertest.SharedKubernetes(b)
	e, err := engine.Open("kubeconfig:"+k.Kubeconfig(b, k.Addr(), servertest.KubeAdmin, "default"), engine.WithRateLimit(1e6, 1e6))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { e.Close() })
	return kubernetes.On(e)
}

func BenchmarkKubernetesUncontended(b *testing.B) { uncontended(b, ours(b, onLeases(b))) }

func BenchmarkKubernetesHandOff(b *testing.B) {
	handOff(b, [2]locker{ours(b, onLeases(b)), ours(b, onLeases(b))})
}
