package etcd_test

import (
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/etcd"
)

func BenchmarkLockUnlock(b *testing.B) {
	s, err := dsync.New(etcd.Backend(servertest.SharedEtcd(b).Addr()))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	var caller atomic.Int32
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		id := strconv.Itoa(int(caller.Add(1)))
		for pb.Next() {
			l, err := s.Lock(b.Context(), id)
			if err != nil {
				b.Error(err)
				return
			}
			if err := l.Unlock(b.Context()); err != nil {
				b.Error(err)
			}
		}
	})
}
