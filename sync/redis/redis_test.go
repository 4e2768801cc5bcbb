package redis_test

import (
	"flag"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
	"github.com/micro/go-platform/sync/redis"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "12") // the cases wait for TTLs, they don't compute
	leak.Main(m)
}

func TestRedisKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.SharedRedis(t)
	locktest.Run(t, locktest.Harness{
		TTL:     time.Second,
		Backend: func(testing.TB) dsync.Option { return redis.Backend(server.Addr()) },
	})
}

func TestRedisOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server:  servertest.Redis(t),
		Backend: func(addr string) dsync.Option { return redis.Backend(addr) },
		TTL:     time.Second,
		Idle:    3, // a sign of life of the subscription each second
	})
}
