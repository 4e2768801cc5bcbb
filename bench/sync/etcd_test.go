package sync_test

import (
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/sync/consul"
	"github.com/micro/go-platform/sync/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
	"go.uber.org/zap"
)

// withMutex is etcd's own, with one session for all locks of a client.
func withMutex(b *testing.B, addr string) locker {
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{addr}, Logger: zap.NewNop()})
	if err != nil {
		b.Fatal(err)
	}
	s, err := concurrency.NewSession(c, concurrency.WithTTL(15))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close(); c.Close() })
	ctx := b.Context()
	return locker{"concurrency.Mutex", func(id string) (func(), error) {
		m := concurrency.NewMutex(s, "mutex/"+id)
		if err := m.Lock(ctx); err != nil {
			return nil, err
		}
		return func() { m.Unlock(ctx) }, nil
	}}
}

func BenchmarkEtcdUncontended(b *testing.B) {
	addr := servertest.Etcd(b).Addr()
	uncontended(b, ours(b, etcd.Backend(addr)), withMutex(b, addr))
}

func BenchmarkEtcdHandOff(b *testing.B) {
	addr := servertest.Etcd(b).Addr()
	handOff(b,
		[2]locker{ours(b, etcd.Backend(addr)), ours(b, etcd.Backend(addr))},
		[2]locker{withMutex(b, addr), withMutex(b, addr)})
}

func BenchmarkConsulUncontended(b *testing.B) {
	uncontended(b, ours(b, consul.Backend(servertest.Consul(b).Addr())))
}

func BenchmarkConsulHandOff(b *testing.B) {
	addr := servertest.Consul(b).Addr()
	handOff(b, [2]locker{ours(b, consul.Backend(addr)), ours(b, consul.Backend(addr))})
}
