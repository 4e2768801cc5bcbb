package consul_test

import (
	"testing"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/consul"
	"github.com/micro/go-platform/kv/kvtest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestConformance(t *testing.T) {
	server := servertest.Consul(t)
	kvtest.Run(t, kvtest.Harness{
		Open: opener(consul.Backend(server.Addr())),
		Down: func(t testing.TB) func() { server.Kill(); return server.Restart },
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
