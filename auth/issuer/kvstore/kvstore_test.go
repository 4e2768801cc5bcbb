package kvstore_test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

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

// shown is a store that says something else of itself.
type shown struct {
	kv.KV
	features kv.Features
}

func (s shown) Features() kv.Features { return s.features }

// New takes what lists keys and drops none before its time; memory of this process alone
// is bounded on purpose.
func TestWhichStoresAreFit(t *testing.T) {
	memory, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for _, c := range []struct {
		list, evicts, local bool
		want                error
	}{
		{true, false, false, nil},
		{true, false, true, nil},
		{true, true, true, nil},
		{true, true, false, auth.ErrUnsupported},
		{false, false, false, auth.ErrUnsupported},
		{false, true, true, auth.ErrUnsupported},
	} {
		s, err := kvstore.New(shown{memory, kv.Features{List: c.list, Evicts: c.evicts, Local: c.local}})
		if !errors.Is(err, c.want) || (s == nil) != (err != nil) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	var none *shown
	if _, err := kvstore.New(none); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a nil pointer: %v", err)
	}
}

// What the store refuses is said, and is neither a conflict nor a record that is missing.
func TestErrorsOfTheStore(t *testing.T) {
	closed, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	s, err := kvstore.New(closed)
	if err != nil {
		t.Fatal(err)
	}
	err = closed.Close()
	if err != nil {
		t.Fatal(err)
	}
	_, _, got := s.Get(t.Context(), "k")
	listed := errors.New("nothing")
	for _, err := range s.List(t.Context(), "") {
		listed = err
	}
	for name, err := range map[string]error{
		"get": got, "put": s.Put(t.Context(), "k", nil, 0, 0), "update": s.Put(t.Context(), "k", nil, 1, time.Hour),
		"delete": s.Delete(t.Context(), "k"), "list": listed,
	} {
		if !errors.Is(err, kv.ErrClosed) || errors.Is(err, issuer.ErrConflict) || errors.Is(err, issuer.ErrNotFound) {
			t.Errorf("%s: %v, want %v", name, err, kv.ErrClosed)
		}
	}
}
