package kvsuites

import (
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvmemcached "github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/kv/ring"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
)

// TestMain runs six backends at once: the suites wait most of the time.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", "6"); err != nil {
		panic(err)
	}
	leak.Main(m)
}

// backend opens clients of one server.
type backend struct {
	open  func(t *testing.T) kv.KV
	locks sync.Option // nil: the backend is none of sync's
}

// start starts a server, for each backend of kv.
var start = []struct {
	name    string
	backend func(t *testing.T) backend
}{
	{"memory", memory},
	{"ring", instances},
	{"redis", redis()},
	{"redis 6.2", redis(servertest.WithRedis(servertest.Redis62))},
	{"redis 8", redis(servertest.WithRedis(servertest.Redis8))},
	{"valkey", redis(servertest.WithRedis(servertest.Valkey9))},
	{"memcached", func(t *testing.T) backend {
		return with(kvmemcached.Backend(servertest.Memcached(t).Addr()), nil)
	}},
	{"etcd", func(t *testing.T) backend {
		addr := servertest.Etcd(t).Addr()
		return with(kvetcd.Backend(addr), syncetcd.Backend(addr))
	}},
	{"consul", func(t *testing.T) backend {
		addr := servertest.Consul(t).Addr()
		return with(kvconsul.Backend(addr), syncconsul.Backend(addr))
	}},
	{"nats", func(t *testing.T) backend {
		return with(kvnats.Backend(servertest.NATS(t).Addr()), nil)
	}},
	{"sqlite", func(t *testing.T) backend {
		file := filepath.Join(t.TempDir(), "suites.db")
		return with(kvsql.SQLite(file), syncsql.SQLite(file))
	}},
	{"postgres", func(t *testing.T) backend {
		dsn := servertest.Postgres(t).DSN()
		return with(kvsql.Postgres(dsn), syncsql.Postgres(dsn))
	}},
	{"mysql", func(t *testing.T) backend {
		dsn := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2")).DSN() + "mysql"
		return with(kvsql.MySQL(dsn), syncsql.MySQL(dsn))
	}},
}

// onEveryBackend runs f on each, side by side.
func onEveryBackend(t *testing.T, f func(t *testing.T, b backend)) {
	for _, one := range start {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			f(t, one.backend(t))
		})
	}
}

func with(store kv.Option, locks sync.Option) backend {
	return backend{func(t *testing.T) kv.KV { return opened(t, store) }, locks}
}

func opened(t *testing.T, backend kv.Option) kv.KV {
	t.Helper()
	store, err := kv.New(backend, kv.WithNamespace("suites"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func redis(opts ...servertest.Option) func(*testing.T) backend {
	return func(t *testing.T) backend {
		addr := servertest.Redis(t, opts...).Addr()
		return with(kvredis.Backend(addr), syncredis.Backend(addr))
	}
}

// memory is one store for all its clients, which don't close it.
func memory(t *testing.T) backend {
	store := opened(t, kv.Memory())
	return backend{func(*testing.T) kv.KV { return lasting{store} }, sync.Memory(sync.NewLocks())}
}

type lasting struct{ kv.KV }

func (lasting) Close() error { return nil }

// instances is a ring of three; each client is at the next one.
func instances(t *testing.T) backend {
	registry, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	var nodes []*ring.Node
	for i := range 3 {
		id := fmt.Sprint("instance-", i)
		node, err := ring.New(registry, "suites", id, ring.WithKey([]byte("a secret for the suites")))
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.Handle("/.ring", node)
		server := httptest.NewServer(mux)
		t.Cleanup(func() { node.Close(); server.Close() })
		instance := discovery.Instance{Service: "suites", ID: id, Address: server.Listener.Addr().String()}
		if _, err := registry.Register(t.Context(), instance); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
	}
	for _, node := range nodes {
		if err := node.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	turn := 0
	return backend{open: func(t *testing.T) kv.KV { turn++; return opened(t, ring.Backend(nodes[turn%len(nodes)])) }}
}
