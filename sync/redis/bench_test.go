package redis_test

import (
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/redis"
)

func BenchmarkLockUnlock(b *testing.B) {
	s, err := dsync.New(redis.Backend(servertest.SharedRedis(b).Addr()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		l, err := s.Lock(b.Context(), "x")
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Unlock(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}
