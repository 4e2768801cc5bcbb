package etcd_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/discoverytest"
	"github.com/micro/go-platform/discovery/etcd"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

var backend = backendtest.Backend{
	Open: func(addr string) discovery.Option { return etcd.Polling(addr, 2*time.Second) },
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
				Backend: func() discovery.Option { return etcd.Backend(s.Addr()) },
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

// A heartbeat is one message on a stream that stays open, and the acknowledgement
// of the server's ping. That nobody has touched the key costs nothing.
func TestHeartbeatsAreCheap(t *testing.T) {
	t.Parallel()
	p := netfault.New(t, servertest.SharedEtcd(t).Addr())
	d, err := discovery.New(etcd.Backend(p.Addr()), discovery.WithNamespace("cheap"), discovery.WithTTL(8*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:80"})
	if err != nil {
		t.Fatal(err)
	}
	before, first := p.Counts().Requests, len(r.Heartbeats())
	beats := 0
	for end := time.Now().Add(time.Minute); beats < 4 && time.Now().Before(end); <-time.After(50 * time.Millisecond) {
		beats = len(r.Heartbeats()) - first
	}
	sent := p.Counts().Requests - before
	if beats < 4 || sent < beats || sent > 2*beats+4 {
		t.Errorf("%d packets for %d heartbeats, want %d", sent, beats, 2*beats)
	}
	if r.Err() != nil {
		t.Error(r.Err())
	}
}

// Who takes a key away, or deletes it, is noticed within a TTL, also if the instance
// was registered before.
func TestDeletedKeyComesBack(t *testing.T) {
	t.Parallel()
	addr := servertest.SharedEtcd(t).Addr()
	d, err := discovery.New(etcd.Backend(addr), discovery.WithNamespace("deleted"), discovery.WithTTL(backend.TTL))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	in := discovery.Instance{Service: "s", ID: "a", Address: "127.0.0.1:80"}
	first, err := d.Register(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Register(t.Context(), in); err != nil {
		t.Fatal(err)
	}
	backendtest.Await(t, d, "a", backendtest.Patience, func(s discovery.Snapshot) bool { return backendtest.IDs(s) == "a" })
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := c.Delete(t.Context(), "discovery/deleted/s/+a"); err != nil || r.Deleted != 1 {
		t.Fatalf("deleted %+v, %v", r, err)
	}
	backendtest.Await(t, d, "nothing", backendtest.Patience, func(s discovery.Snapshot) bool { return backendtest.IDs(s) == "" })
	backendtest.Await(t, d, "a again", backendtest.Patience, func(s discovery.Snapshot) bool { return backendtest.IDs(s) == "a" })
}

// An instance that could not say goodbye goes with its TTL, also if others of
// its process stay, whose heartbeats renew the same lease.
func TestAFailedGoodbyeStillEnds(t *testing.T) {
	t.Parallel()
	addr := servertest.SharedEtcd(t).Addr()
	p := netfault.New(t, addr)
	ns := discovery.WithNamespace("goodbye")
	d, err := discovery.New(etcd.Backend(p.Addr()), ns, discovery.WithTTL(backend.TTL))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	reader, err := discovery.New(etcd.Backend(addr), ns)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	var leaves discovery.Registration
	for _, id := range []string{"a", "b", "c", "d"} {
		r, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"})
		if err != nil {
			t.Fatal(err)
		}
		leaves = r
	}
	backendtest.Await(t, reader, "all", backendtest.Patience, func(s discovery.Snapshot) bool { return backendtest.IDs(s) == "a b c d" })
	p.Hold(netfault.Both)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := leaves.Deregister(ctx); err == nil {
		t.Fatal("a goodbye that nobody heard")
	}
	p.Reset() // the goodbye is lost
	p.Heal()
	backendtest.Await(t, reader, "a, b and c", backendtest.Patience, func(s discovery.Snapshot) bool {
		return backendtest.IDs(s) == "a b c" && s.Preserved == 0
	})
}

// Also what happens while the process is cut off, and when etcd has compacted it
// since.
func TestAKeyDeletedUnseenComesBack(t *testing.T) {
	t.Parallel()
	server := servertest.Etcd(t)
	for _, compacts := range []bool{false, true} {
		p := netfault.New(t, server.Addr())
		d, err := discovery.New(etcd.Backend(p.Addr()), discovery.WithNamespace("unseen"), discovery.WithTTL(10*time.Second), discovery.WithTimeout(10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		for _, id := range []string{"a", "b"} {
			if _, err := d.Register(t.Context(), discovery.Instance{Service: "s", ID: id, Address: "127.0.0.1:80"}); err != nil {
				t.Fatal(err)
			}
		}
		c, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Addr()}, Logger: zap.NewNop()})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p.Refuse()
		p.Reset()
		r, err := c.Delete(t.Context(), "discovery/unseen/s/+a")
		if err != nil || r.Deleted != 1 {
			t.Fatalf("deleted %+v, %v", r, err)
		}
		if compacts {
			_, err = c.Compact(t.Context(), r.Header.Revision, clientv3.WithCompactPhysical())
			if err != nil {
				t.Fatal(err)
			}
		}
		p.Heal()
		backendtest.Await(t, d, "both again", backendtest.Patience, func(s discovery.Snapshot) bool {
			return s.State == discovery.Live && backendtest.IDs(s) == "a b"
		})
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
