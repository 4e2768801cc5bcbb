package kubernetes_test

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/discovery/kubernetes"
	engine "github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/internal/servertest"
)

// ttl is the shortest that a busy machine keeps.
const ttl = 3 * time.Second

var backend = backendtest.Backend{
	Open: func(addr string) discovery.Option {
		// A child process knows no more than where a server or a proxy listens.
		e, err := engine.Open("https://"+addr, engine.WithToken(servertest.KubeAdmin), engine.WithTLS(&tls.Config{InsecureSkipVerify: true}))
		if err != nil {
			panic(err)
		}
		return kubernetes.Owning(e, kubernetes.WithRegistration(), kubernetes.WithPoll(5*time.Second))
	},
	Poll: 5 * time.Second,
	TTL:  ttl,
	// Two pings of a connection that is silent.
	Silence: 15 * time.Second,
	// A sign of life for all services, and the connection's pings.
	Idle: func(int) int { return 12 },
}

func TestMain(m *testing.M) { backendtest.Main(m, backend) }

// start starts an API server that does not ask whether namespaces exist: the
// suites make many, and no controller would remove them.
func start(t testing.TB, opts ...servertest.Option) *servertest.KubeServer {
	return servertest.Kubernetes(t, append(opts, servertest.WithArgs("--disable-admission-plugins=NamespaceLifecycle"))...)
}

func TestContract(t *testing.T) {
	t.Parallel()
	s := start(t)
	t.Run("suite", func(t *testing.T) {
		t.Parallel()
		discoverytest.Run(t, discoverytest.Harness{
			Open: func(t *testing.T) discoverytest.Env {
				return discoverytest.Env{Backend: func() discovery.Option { return backend.Open(s.Addr()) }}
			},
			Own: own,
			TTL: ttl,
		})
	})
	t.Run("faults", func(t *testing.T) {
		t.Parallel()
		backend.Run(t, func(testing.TB) string { return s.Addr() })
	})
}

// own starts an API server and its store.
func own(t *testing.T) discoverytest.Env {
	etcd := servertest.Etcd(t)
	s := start(t, servertest.WithEtcd(etcd))
	return discoverytest.Env{
		Backend: func() discovery.Option { return backend.Open(s.Addr()) },
		Down:    s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
		Wipe: func() {
			s.Kill()
			etcd.Kill()
			err := os.RemoveAll(filepath.Join(etcd.Dir(), "data"))
			if err != nil {
				t.Error(err)
			}
			etcd.Restart()
			s.Restart()
		},
	}
}

func TestChaos(t *testing.T) {
	t.Parallel()
	backend.Chaos(t, start(t).Server)
}
