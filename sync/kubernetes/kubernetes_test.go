package kubernetes_test

import (
	"flag"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/kubernetes"
	"github.com/micro/go-platform/sync/locktest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "12") // the cases wait for TTLs, they don't compute
	leak.Main(m)
}

// rights are all that the backend needs.
var rights = servertest.KubeRule{
	Group: "coordination.k8s.io", Resources: []string{"leases"},
	Verbs: []string{"get", "list", "watch", "create", "update", "delete"},
}

// account returns the addresses of a service account that has the rights, in a
// namespace of its own.
func account(t *testing.T, k *servertest.KubeServer) func(addr string) string {
	ns := k.Namespace(t)
	token := k.Token(t, ns, "locker", rights)
	return func(addr string) string { return "kubeconfig:" + k.Kubeconfig(t, addr, token, ns) }
}

func TestKubernetesKeepsTheContract(t *testing.T) {
	t.Parallel()
	k := servertest.SharedKubernetes(t)
	addr := account(t, k)(k.Addr())
	locktest.Run(t, locktest.Harness{
		Backend: func(testing.TB) dsync.Option { return kubernetes.Backend(addr) },
	})
}

func TestKubernetesOverABadNetwork(t *testing.T) {
	t.Parallel()
	k := servertest.Kubernetes(t)
	at := account(t, k)
	faulttest.Run(t, faulttest.Target{
		Server:  k.Server,
		Backend: func(addr string) dsync.Option { return kubernetes.Backend(at(addr)) },
		TTL:     time.Second,
		Idle:    1,
	})
}
