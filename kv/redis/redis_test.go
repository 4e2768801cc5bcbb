package redis_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	engine "github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
	"github.com/micro/go-platform/kv/redis"
	goredis "github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	goredis.SetLogger(silent{})
	leak.Main(m)
}

func TestConformance(t *testing.T) {
	server := servertest.Redis(t)
	kvtest.Run(t, kvtest.Harness{
		Open: opener(redis.Backend(server.Addr())),
		Down: func(t testing.TB) func() { server.Kill(); return server.Restart },
	})
}

func TestGivenClientConformance(t *testing.T) {
	server := servertest.Redis(t)
	client := goredis.NewClient(&goredis.Options{Addr: server.Addr(), MaxRetries: -1, DialerRetries: 1})
	defer client.Close()
	kvtest.Run(t, kvtest.Harness{
		Open: opener(redis.Alone(engine.FromClient(client))),
		Down: func(t testing.TB) func() { server.Kill(); return server.Restart },
	})
}

func TestClusterConformance(t *testing.T) {
	cluster := servertest.RedisCluster(t)
	kvtest.Run(t, kvtest.Harness{Open: opener(redis.Backend(strings.Join(cluster.Addrs(), ",")))})
}

// TestSentinelConformance ends with a failover: the store finds the new primary
// by itself.
func TestSentinelConformance(t *testing.T) {
	set := servertest.RedisSentinel(t)
	backend := redis.Backend("redis+sentinel://" + strings.Join(set.SentinelAddrs(), ",") + "/" + set.Name)
	kvtest.Run(t, kvtest.Harness{Open: opener(backend)})

	store := opener(backend)(t)
	defer store.Close()
	if _, err := store.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	set.Leader().Kill()
	start := time.Now()
	for {
		_, err := store.Put(t.Context(), "k", []byte("w"))
		if err == nil {
			break
		}
		if !errors.Is(err, kv.ErrUnavailable) && !errors.Is(err, kv.ErrUnknownOutcome) {
			t.Fatalf("during the failover: %v", err)
		}
		if time.Since(start) > time.Minute {
			t.Fatalf("no primary after a minute: %v", err)
		}
		<-time.After(50 * time.Millisecond)
	}
	t.Logf("writes went on %v after the primary was killed", time.Since(start).Round(time.Millisecond))
}

func TestTLS(t *testing.T) {
	certs := servertest.NewCerts(t)
	server := servertest.Redis(t, servertest.WithTLS(certs), servertest.WithArgs("--requirepass", "secret"))
	store := opener(redis.On(connect(t, "redis://:secret@"+server.Addr()+"/3", engine.WithTLS(certs.Client))))(t)
	defer store.Close()
	if _, err := store.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if item, err := store.Get(t.Context(), "k"); err != nil || string(item.Value) != "v" {
		t.Fatalf("got %q, %v", item.Value, err)
	}
	_, err := kv.New(redis.On(connect(t, server.Addr(), engine.WithTLS(certs.Client), engine.WithAuth("", "wrong-one"))))
	if !errors.Is(err, kv.ErrDenied) || errors.Is(err, kv.ErrUnavailable) || contains(err, "wrong-one") {
		t.Fatalf("a wrong password: %v", err)
	}
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
