package redis_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/internal/servertest"
	goredis "github.com/redis/go-redis/v9"
)

// TestAFullMemoryExpiresNobody: heartbeats take no memory, so a server that
// refuses what does keeps the instances that are registered.
func TestAFullMemoryExpiresNobody(t *testing.T) {
	const ttl = 6 * time.Second
	for name, opts := range map[string][]servertest.Option{
		"Redis 7": nil, "Redis 6.2": {servertest.WithRedis(servertest.Redis62)}, "Valkey 9": {servertest.WithRedis(servertest.Valkey9)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := servertest.Redis(t, opts...)
			admin := goredis.NewClient(&goredis.Options{Addr: server.Addr()})
			defer admin.Close()
			open := func() discovery.Discovery {
				d, err := discovery.New(redis.Backend(server.Addr()), discovery.WithTTL(ttl))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { d.Close() })
				return d
			}
			d := open()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			in, err := d.Register(ctx, discovery.Instance{Service: "shop", ID: "a", Address: "127.0.0.1:1"})
			if err != nil {
				t.Fatal(err)
			}
			if err := admin.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
				t.Fatal(err)
			}
			short, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			if _, err := d.Register(short, discovery.Instance{Service: "shop", ID: "b", Address: "127.0.0.1:2"}); !errors.Is(err, discovery.ErrUnavailable) {
				t.Errorf("registering with a full memory: %v, want ErrUnavailable", err)
			}
			// A reader that is new knows nobody but from the server.
			for end := time.Now().Add(ttl + ttl/2); time.Now().Before(end); {
				s, err := open().Get(ctx, "shop")
				if err != nil || len(s.Instances) != 1 || s.Instances[0].ID != "a" {
					t.Fatalf("with a full memory the service has %v, %v, want a", s.Instances, err)
				}
				<-time.After(200 * time.Millisecond)
			}
			if err := in.Deregister(ctx); err != nil {
				t.Errorf("deregistering with a full memory: %v", err)
			}
		})
	}
}
