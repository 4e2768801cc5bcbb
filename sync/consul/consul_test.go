package consul_test

import (
	"flag"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/consul"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "12") // the cases wait for TTLs, they don't compute
	leak.Main(m)
}

func TestConsulKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.Consul(t, servertest.WithArgs(`-hcl=session_ttl_min="1s"`))
	locktest.Run(t, locktest.Harness{
		Late:    4 * time.Second, // sessions end after one to two TTLs
		Backend: func(testing.TB) dsync.Option { return consul.Backend(server.Addr(), consul.WithMinTTL(time.Second)) },
	})
}

func TestConsulOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server:  servertest.Consul(t, servertest.WithArgs(`-hcl=session_ttl_min="1s"`)),
		Backend: func(addr string) dsync.Option { return consul.Backend(addr, consul.WithMinTTL(time.Second)) },
		TTL:     time.Second,
		Idle:    1,
	})
}
