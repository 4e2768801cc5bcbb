package memcached_test

import (
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
	"github.com/micro/go-platform/kv/memcached"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestConformance(t *testing.T) {
	t.Run("one", func(t *testing.T) {
		server := servertest.Memcached(t)
		kvtest.Run(t, kvtest.Harness{
			Open: opener(memcached.Backend(server.Addr())),
			Down: func(t testing.TB) func() { server.Kill(); return server.Restart },
		})
	})
	t.Run("three", func(t *testing.T) {
		addrs := servertest.SharedMemcached(t).Addr() + "," + servertest.Memcached(t).Addr() + "," + servertest.Memcached(t).Addr()
		kvtest.Run(t, kvtest.Harness{Open: opener(memcached.Backend(addrs, memcached.WithoutSharing()))})
	})
	t.Run("given", func(t *testing.T) {
		server := servertest.Memcached(t)
		client := memcache.New(server.Addr())
		defer client.Close()
		kvtest.Run(t, kvtest.Harness{
			Open: opener(memcached.WithClient(client)),
			Down: func(t testing.TB) func() { server.Kill(); return server.Restart },
		})
	})
}

func opener(backend kv.Option) func(testing.TB, ...kv.Option) kv.KV {
	return func(t testing.TB, opts ...kv.Option) kv.KV {
		t.Helper()
		store, err := kv.New(append(opts, backend)...)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}
