package kv_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/config/store"
	storekv "github.com/micro/go-platform/config/store/kv"
	"github.com/micro/go-platform/config/store/storetest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
	"github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/nats"
	"github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/kv/sql"
)

func TestMain(m *testing.M) { leak.Main(m) }

func harness(t *testing.T, opts ...kv.Option) storetest.Harness {
	return storetest.Harness{Open: func(t *testing.T, sopts ...store.Option) store.Store {
		shared, err := kv.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { shared.Close() })
		s, err := store.New(append(sopts, storekv.Backend(shared))...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}}
}

func TestStoreOnMemoryConforms(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Harness {
		h := harness(t)
		h.Alone = true
		return h
	})
}

func TestStoreConforms(t *testing.T) {
	for _, b := range []struct {
		name string
		open func(t *testing.T, through func(addr string) string) kv.Option
	}{
		{"redis", func(t *testing.T, through func(string) string) kv.Option {
			return redis.Backend(through(servertest.SharedRedis(t).Addr()))
		}},
		{"etcd", func(t *testing.T, through func(string) string) kv.Option {
			return etcd.Backend(through(servertest.SharedEtcd(t).Addr()))
		}},
		{"consul", func(t *testing.T, through func(string) string) kv.Option {
			return consul.Backend(through(servertest.SharedConsul(t).Addr()))
		}},
		{"nats", func(t *testing.T, through func(string) string) kv.Option {
			return nats.Backend(through(servertest.SharedNATS(t).Addr()))
		}},
		{"postgres", func(t *testing.T, through func(string) string) kv.Option {
			return sql.Postgres("postgres://postgres@" + through(servertest.SharedPostgres(t).Addr()) + "/postgres?sslmode=disable")
		}},
	} {
		t.Run(b.name, func(t *testing.T) {
			storetest.Run(t, func(t *testing.T) storetest.Harness {
				var proxy *netfault.Proxy
				backend := b.open(t, func(addr string) string {
					proxy = netfault.New(t, addr)
					return proxy.Addr()
				})
				h := harness(t, backend, kv.WithNamespace(servertest.Namespace(t)))
				h.Down, h.Up = func() { proxy.Refuse(); proxy.Reset() }, proxy.Heal
				return h
			})
		})
	}
}

func TestBadStoresAreErrorsOfNew(t *testing.T) {
	if _, err := store.New(storekv.Backend(nil)); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "nil kv store") {
		t.Errorf("nil: got %v, want ErrInvalid", err)
	}
}

func ExampleBackend() {
	shared, err := kv.New() // or kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("config"))
	if err != nil {
		panic(err)
	}
	defer shared.Close()
	st, err := store.New(storekv.Backend(shared))
	if err != nil {
		panic(err)
	}
	defer st.Close()
	names, err := st.Namespaces(context.Background())
	fmt.Println(names, err)
	// Output: [] <nil>
}

func TestWriterThatDiesBetweenItsTwoStepsLeavesNoGap(t *testing.T) {
	shared, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	s, err := store.New(storekv.Backend(shared))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for n := range uint64(5) {
		if n > 0 { // a writer that copied the newest version, and died
			head, err := shared.Get(t.Context(), "head/app")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := shared.Put(t.Context(), fmt.Sprintf("past/app/%020d", n), head.Value); err != nil {
				t.Fatal(err)
			}
		}
		v, err := s.Set(t.Context(), "app", "n", n)
		if err != nil || v.Number != n+1 {
			t.Fatalf("write %d: %v, %v", n+1, v, err)
		}
		next := v.Number
		for v, err := range s.History(t.Context(), store.Query{Namespace: "app"}) {
			if err != nil || v.Number != next {
				t.Fatalf("history has %v, %v where %d is due", v, err, next)
			}
			next--
		}
		if next != 0 {
			t.Fatalf("history ends above %d", next)
		}
	}
}

// small takes no copies of older versions.
type small struct{ kv.KV }

func (s small) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	if strings.HasPrefix(key, "past/") {
		return 0, fmt.Errorf("%q: %w", key, kv.ErrTooLarge)
	}
	return s.KV.Put(ctx, key, value, opts...)
}

func TestWhatTheKVStoreRefusesIsNotUnavailable(t *testing.T) {
	shared, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	s, err := store.New(storekv.Backend(small{shared}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Set(t.Context(), "app", "n", 1)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Set(t.Context(), "app", "n", 2)
	if !errors.Is(err, store.ErrTooLarge) || errors.Is(err, store.ErrUnavailable) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}
