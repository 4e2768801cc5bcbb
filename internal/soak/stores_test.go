package soak

import (
	"context"
	"fmt"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/kv/ring"
	kvsql "github.com/micro/go-platform/kv/sql"
)

// stores are the loads of kv and db.
func stores() []load {
	return []load{
		{"kv redis", redis, func(t *testing.T, addr string) call { return keys(t, kvredis.Backend(addr)) }},
		{"kv etcd", etcd, func(t *testing.T, addr string) call { return keys(t, kvetcd.Backend(addr)) }},
		{"kv nats", nats, func(t *testing.T, addr string) call { return keys(t, kvnats.Backend(addr)) }},
		{"kv postgres", postgres, func(t *testing.T, addr string) call { return keys(t, kvsql.Postgres(dsn(addr))) }},
		{"kv ring", nil, func(t *testing.T, _ string) call { return keys(t, ring.Backend(nodes(t))) }},
		{"db sqlite", nil, func(t *testing.T, _ string) call {
			e := must[*enginesql.Engine](t)(enginesql.Open("sqlite:" + filepath.Join(t.TempDir(), "soak.db")))
			t.Cleanup(func() { e.Close() })
			return records(t, dbsql.On(e))
		}},
		{"db postgres", postgres, func(t *testing.T, addr string) call { return records(t, dbsql.Postgres(dsn(addr))) }},
	}
}

func store(t *testing.T, namespace string, backend kv.Option) kv.KV {
	s := must[kv.KV](t)(kv.New(kv.WithNamespace(namespace), backend))
	t.Cleanup(func() { s.Close() })
	return s
}

// keys writes and reads a hundred keys while a watch outlives the faults, where
// the backend has one.
func keys(t *testing.T, backend kv.Option) call {
	s := store(t, "soak", backend)
	if s.Features().Watch {
		go func() {
			for range s.Watch(t.Context(), "") {
			}
		}()
	}
	return func(ctx context.Context, n int64) error {
		key := fmt.Sprint(n % 100)
		if _, err := s.Put(ctx, key, make([]byte, 100), kv.TTL(time.Minute)); err != nil {
			return err
		}
		_, err := s.Get(ctx, key)
		return err
	}
}

// nodes makes a ring of three and returns the first. The third is reached over a
// network that breaks.
func nodes(t *testing.T) *ring.Node {
	d := must[discovery.Discovery](t)(discovery.New())
	t.Cleanup(func() { d.Close() })
	var all []*ring.Node
	var proxy *netfault.Proxy
	for i, id := range []string{"a", "b", "c"} {
		n := must[*ring.Node](t)(ring.New(d, "soak", id, ring.WithKey([]byte("a key of the soak test"))))
		server := httptest.NewServer(n)
		t.Cleanup(func() { n.Close(); server.Close() })
		addr := server.Listener.Addr().String()
		if i == 2 {
			proxy = netfault.New(t, addr)
			addr = proxy.Addr()
		}
		must[discovery.Registration](t)(d.Register(t.Context(), discovery.Instance{Service: "soak", ID: id, Address: addr}))
		all = append(all, n)
	}
	for _, n := range all {
		if err := n.Settled(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if servertest.Soak(t) > 0 { // a few calls are made on a network that works
		go disturb(t.Context(), proxy, new(atomic.Int64))
	}
	return all[0]
}

// records writes two hundred records and searches them.
func records(t *testing.T, backend db.Option) call {
	d := must[db.DB](t)(db.New(backend))
	t.Cleanup(func() { d.Close() })
	table := must[db.Table](t)(d.Table(t.Context(), "things", db.TTL(time.Minute)))
	return func(ctx context.Context, n int64) error {
		r := &db.Record{ID: fmt.Sprint(n % 200), Data: make([]byte, 100), Metadata: map[string]any{"n": n}}
		if err := table.Update(ctx, r, db.Upsert()); err != nil {
			return err
		}
		_, err := table.Search(ctx, db.Limit(5))
		return err
	}
}
