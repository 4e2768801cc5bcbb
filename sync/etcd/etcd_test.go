package etcd_test

import (
	"context"
	"errors"
	"flag"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/etcd"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"waiter": waiter})
	flag.Set("test.parallel", "12") // the cases wait for TTLs, they don't compute
	leak.Main(m)
}

func TestEtcdKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.SharedEtcd(t)
	locktest.Run(t, locktest.Harness{
		Backend: func(testing.TB) dsync.Option { return etcd.Backend(server.Addr()) },
	})
}

func TestEtcdOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server:  servertest.Etcd(t),
		Backend: func(addr string) dsync.Option { return etcd.Backend(addr) },
		TTL:     time.Second,
		Idle:    3, // a waiter renews its short lease each two seconds, by a stream of its own
	})
}

// What an operator, or a lease that the server ends, does to a held lock.
func TestEtcdTellsWhenTheLeaseOrTheKeyIsDestroyed(t *testing.T) {
	t.Parallel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{servertest.SharedEtcd(t).Addr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for name, destroy := range map[string]func(key string, lease int64) error{
		"lease": func(_ string, lease int64) error {
			_, err := client.Revoke(t.Context(), clientv3.LeaseID(lease))
			return err
		},
		"key": func(key string, _ int64) error {
			_, err := client.Delete(t.Context(), key)
			return err
		},
	} {
		s, err := dsync.New(etcd.On(engine.FromClient(client)), dsync.WithNamespace("destroyed "+name))
		if err != nil {
			t.Fatal(err)
		}
		l, err := s.Lock(t.Context(), "x", dsync.TTL(3*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Get(t.Context(), "sync/destroyed%20"+name+"/", clientv3.WithPrefix())
		if err != nil || len(r.Kvs) != 1 || uint64(r.Kvs[0].CreateRevision) != l.Token() {
			t.Fatalf("keys %v, %v, want one that was created at %d", r, err, l.Token())
		}
		if err := destroy(string(r.Kvs[0].Key), r.Kvs[0].Lease); err != nil {
			t.Fatal(err)
		}
		select {
		case <-l.Context().Done():
			if !errors.Is(context.Cause(l.Context()), dsync.ErrLost) {
				t.Errorf("%s: cause %v, want lost", name, context.Cause(l.Context()))
			}
		case <-time.After(30 * time.Second):
			t.Errorf("%s destroyed, and the holder was not told", name)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if _, err := client.Get(t.Context(), "x"); err != nil {
		t.Errorf("the user's client after Close: %v", err)
	}
}

// Locking again and again must not leave keys behind for etcd to go through.
func TestEtcdUsesKeysAgain(t *testing.T) {
	t.Parallel()
	s, err := dsync.New(etcd.Backend(servertest.SharedEtcd(t).Addr()), dsync.WithNamespace("again"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{servertest.SharedEtcd(t).Addr()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	keys := map[string]bool{}
	for range 5 {
		l, err := s.Lock(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		r, err := client.Get(t.Context(), "sync/again/", clientv3.WithPrefix(), clientv3.WithKeysOnly())
		if err != nil {
			t.Fatal(err)
		}
		for _, kv := range r.Kvs {
			keys[string(kv.Key)] = true
		}
		if err := l.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(keys) != 1 {
		t.Errorf("five locks one after another had the keys %v, want one", keys)
	}
}
