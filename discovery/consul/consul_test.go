package consul_test

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
)

var backend = backendtest.Backend{
	Open: func(addr string) discovery.Option { return consul.Backend(addr, consul.WithWait(2*time.Second)) },
	Poll: 2 * time.Second,
	TTL:  3 * time.Second, // a second is too short for a busy machine
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
				Backend: func() discovery.Option { return consul.Backend(s.Addr()) },
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

// Services that have no query of their own are followed as well.
func TestConformanceWithOneQuery(t *testing.T) {
	t.Parallel()
	shared := servertest.SharedConsul(t)
	discoverytest.Run(t, discoverytest.Harness{
		Open: func(t *testing.T) discoverytest.Env {
			return discoverytest.Env{Backend: func() discovery.Option { return consul.Backend(shared.Addr(), consul.WithQueries(0)) }}
		},
		Own: func(t *testing.T) discoverytest.Env {
			s := servertest.Consul(t)
			return discoverytest.Env{
				Backend: func() discovery.Option {
					return consul.Backend(s.Addr(), consul.WithQueries(0))
				},
				Down: s.Kill, Up: s.Restart, Pause: s.Pause, Go: s.Resume,
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

func TestChaos(t *testing.T) {
	t.Parallel()
	backend.Chaos(t, servertest.Consul(t))
}

// What is registered is a service like others to those who use Consul itself.
func TestSeenByConsulsOwnClient(t *testing.T) {
	t.Parallel()
	addr := servertest.SharedConsul(t).Addr()
	d, err := discovery.New(backend.Open(addr))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	in := discovery.Instance{Service: "plain-greeter", ID: "one", Address: "10.0.0.7:8080", Version: "1.2", Zone: "z", Weight: 5}
	if _, err := d.Register(t.Context(), in, discovery.TTL(8*time.Second), discovery.NoHeartbeat()); err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	client, err := api.NewClient(&api.Config{Address: addr, HttpClient: &http.Client{Transport: transport}})
	if err != nil {
		t.Fatal(err)
	}
	got, meta, err := client.Health().Service("plain-greeter", "", true, nil)
	if err != nil || len(got) != 1 {
		t.Fatalf("%d services, %v", len(got), err)
	}
	if s := got[0].Service; s.Address != "10.0.0.7" || s.Port != 8080 || s.Meta["version"] != "1.2" || s.Meta["zone"] != "z" || s.Weights.Passing != 5 {
		t.Errorf("got %+v", s)
	}
	for len(got) > 0 { // until it is critical
		if got, meta, err = client.Health().Service("plain-greeter", "", true, &api.QueryOptions{WaitIndex: meta.LastIndex, WaitTime: 5 * time.Second}); err != nil {
			t.Fatal(err)
		}
	}
}

// Who registers for the first time can't have registered before, and asks the
// agent nothing about itself.
func TestRegisteringTakesTwoRequests(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedConsul(t).Addr())
	d, err := discovery.New(consul.Backend(p.Addr()), discovery.WithNamespace("requests"), discovery.WithTTL(time.Minute), discovery.WithTimeout(backendtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	before := p.Counts().Requests
	r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:80"})
	if err != nil {
		t.Fatal(err)
	}
	if n := p.Counts().Requests - before; n != 2 {
		t.Errorf("%d requests to register, want 2: who has the id, and the registration", n)
	}
	err = r.Update(t.Context(), func(in *discovery.Instance) { in.Version = "2" })
	if err != nil {
		t.Fatal(err)
	}
	backendtest.Await(t, d, "version 2", backendtest.Patience, func(s discovery.Snapshot) bool {
		return len(s.Instances) == 1 && s.Instances[0].Version == "2"
	})
}

// Not side by side with others: it measures, and collects standard error. An
// agent takes 10 ms and more to register a service when it has a thousand, so
// that there are fewer instances here.
func TestFleet(t *testing.T) {
	backend.Fleet(t, servertest.SharedConsul(t).Addr(), 200, 64)
}
