package memcached_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
)

func proxied(t *testing.T) (kv.KV, *netfault.Proxy) {
	t.Helper()
	p := netfault.New(t, servertest.SharedMemcached(t).Addr())
	store := opener(memcached.Backend(p.Addr()))(t, kv.WithNamespace(servertest.Namespace(t)))
	t.Cleanup(func() { store.Close() })
	return store, p
}

// TestConnectionsOutliveDeadlines: that of the last call ends no connection. A
// call that misses its own costs one.
func TestConnectionsOutliveDeadlines(t *testing.T) {
	t.Parallel()
	store, p := proxied(t)
	before, slow := p.Counts().Accepted, 0
	for quick := 0; quick < 15; {
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, err := store.Put(ctx, "k", fmt.Append(nil, quick))
		if err != nil || time.Since(began) > 50*time.Millisecond { // it has missed its deadline, or the next one may come before its connection is free
			slow++
		} else {
			quick++
		}
		<-ctx.Done()
		cancel()
		if slow > 500 {
			t.Fatal("500 calls took more than 50 ms each")
		}
	}
	if n := p.Counts().Accepted - before; n > slow {
		t.Errorf("%d new connections for 15 quick calls and %d slow ones", n, slow)
	}
}

// TestConnectionsAreBounded, whatever the number of callers.
func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	store, p := proxied(t)
	p.Delay(5*time.Millisecond, 0)
	keys := make([]string, 50)
	for i := range keys {
		keys[i] = fmt.Sprint("k", i)
	}
	var wg sync.WaitGroup
	for range 400 {
		wg.Go(func() {
			if _, err := store.GetMany(t.Context(), keys...); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := p.Counts().Accepted; n > 100 {
		t.Errorf("%d connections for 400 callers", n)
	}
}

// TestSmallWritesDoNotWaitForLargeOnes: on a slow link, small ones keep their
// deadlines.
func TestSmallWritesDoNotWaitForLargeOnes(t *testing.T) {
	t.Parallel()
	store, p := proxied(t)
	p.Throttle(3 << 20)
	large := make([]byte, 512<<10)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if _, err := store.Put(ctx, fmt.Sprint("large", i), large); err != nil && !errors.Is(err, context.Canceled) {
					t.Errorf("a large Put: %v", err)
				}
			}
		})
	}
	var small sync.WaitGroup
	var done, late atomic.Int64
	for i := range 16 {
		small.Go(func() {
			for end := time.Now().Add(2 * time.Second); time.Now().Before(end); {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				if _, err := store.Put(ctx, fmt.Sprint("small", i), []byte("x")); err != nil {
					late.Add(1)
					t.Logf("a small Put beside large ones: %v", err)
				} else {
					done.Add(1)
				}
				cancel()
			}
		})
	}
	small.Wait()
	cancel()
	wg.Wait()
	// A machine that does something else for so long makes one of each caller late.
	if done.Load() < 3*late.Load() {
		t.Errorf("%d small writes were done beside large ones, and %d were late", done.Load(), late.Load())
	}
}
