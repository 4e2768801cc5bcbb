package sync_test

import (
	"context"
	"testing"
	"time"

	"github.com/bsm/redislock"
	"github.com/go-redsync/redsync/v4"
	"github.com/go-redsync/redsync/v4/redis/goredis/v9"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
	goclient "github.com/redis/go-redis/v9"
)

func ours(b *testing.B, backend dsync.Option) locker {
	s, err := dsync.New(backend)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	ctx := b.Context()
	return locker{"ours", func(id string) (func(), error) {
		l, err := s.Lock(ctx, id)
		if err != nil {
			return nil, err
		}
		return func() {
			if err := l.Unlock(ctx); err != nil {
				b.Error(err)
			}
		}, nil
	}}
}

func client(b *testing.B, addr string) *goclient.Client {
	c := goclient.NewClient(&goclient.Options{Addr: addr})
	b.Cleanup(func() { c.Close() })
	return c
}

func withRedsync(b *testing.B, addr string) locker {
	s := redsync.New(goredis.NewPool(client(b, addr)))
	ctx := b.Context()
	return locker{"redsync", func(id string) (func(), error) {
		m := s.NewMutex("redsync:"+id, redsync.WithExpiry(15*time.Second), redsync.WithTries(1000))
		if err := m.LockContext(ctx); err != nil {
			return nil, err
		}
		return func() { m.UnlockContext(ctx) }, nil
	}}
}

func withRedislock(b *testing.B, addr string) locker {
	c := redislock.New(client(b, addr))
	ctx := b.Context()
	return locker{"redislock", func(id string) (func(), error) {
		ctx, cancel := context.WithTimeout(ctx, time.Minute)
		l, err := c.Obtain(ctx, "redislock:"+id, 15*time.Second, &redislock.Options{RetryStrategy: redislock.LinearBackoff(100 * time.Millisecond)})
		if err != nil {
			cancel()
			return nil, err
		}
		return func() { l.Release(ctx); cancel() }, nil
	}}
}

func BenchmarkRedisUncontended(b *testing.B) {
	addr := servertest.Redis(b).Addr()
	uncontended(b, ours(b, redis.Backend(addr)), withRedsync(b, addr), withRedislock(b, addr))
}

func BenchmarkRedisHandOff(b *testing.B) {
	addr := servertest.Redis(b).Addr()
	handOff(b,
		[2]locker{ours(b, redis.Backend(addr)), ours(b, redis.Backend(addr))},
		[2]locker{withRedsync(b, addr), withRedsync(b, addr)},
		[2]locker{withRedislock(b, addr), withRedislock(b, addr)})
}
