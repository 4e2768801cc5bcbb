package kvstore_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/issuer/issuertest"
	"github.com/micro/go-platform/auth/issuer/kvstore"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvmemcached "github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestStores(t *testing.T) {
	for name, backend := range map[string]func(t *testing.T) kv.Option{
		"memory": func(*testing.T) kv.Option { return kv.Memory() },
		"redis":  func(t *testing.T) kv.Option { return kvredis.Backend(servertest.SharedRedis(t).Addr()) },
		"consul": func(t *testing.T) kv.Option { return kvconsul.Backend(servertest.SharedConsul(t).Addr()) },
		"nats":   func(t *testing.T) kv.Option { return kvnats.Backend(servertest.SharedNATS(t).Addr()) },
		"etcd":   func(t *testing.T) kv.Option { return kvetcd.Backend(servertest.SharedEtcd(t).Addr()) },
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			var n atomic.Int64
			issuertest.Run(t, func(t *testing.T) issuer.Store {
				s, err := kv.New(backend(t), kv.WithNamespace(fmt.Sprint("issuer", n.Add(1))))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				state, err := kvstore.New(s)
				if err != nil {
					t.Fatal(err)
				}
				return state
			})
		})
	}
}

func TestUnfitStoresAreRefused(t *testing.T) {
	if _, err := kvstore.New(nil); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("nil: %v, want ErrInvalid", err)
	}
	s, err := kv.New(kvmemcached.Backend(servertest.SharedMemcached(t).Addr()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := kvstore.New(s); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("memcached: %v, want ErrUnsupported", err)
	}
}

func ExampleNew() {
	store, err := kv.New(kv.WithNamespace("issuer"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	state, err := kvstore.New(store)
	if err != nil {
		fmt.Println(err)
		return
	}
	is, err := issuer.New(issuer.WithStore(state))
	fmt.Println(is.URL(), err)
	// Output: http://127.0.0.1 <nil>
}
