package etcd_test

import (
	"flag"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/etcd"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
)

func TestMain(m *testing.M) {
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
		Idle:    2,
	})
}
