package cache_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
)

func newStore(t testing.TB, opts ...kv.Option) kv.KV {
	t.Helper()
	store, err := kv.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func newLoader(t testing.TB, store kv.KV, ttl time.Duration, opts ...cache.LoaderOption) *cache.Loader {
	t.Helper()
	l, err := cache.NewLoader(store, ttl, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestLoaderLoadsOnceHoweverManyAsk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, newStore(t), time.Minute)
		var loads atomic.Int64
		load := func(context.Context) ([]byte, error) {
			loads.Add(1)
			time.Sleep(time.Second)
			return []byte("v"), nil
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				item, err := l.GetOrLoad(t.Context(), "k", load)
				if err != nil || string(item.Value) != "v" {
					t.Errorf("got %q, %v", item.Value, err)
				}
			})
		}
		wg.Wait()
		if _, err := l.GetOrLoad(t.Context(), "k", load); err != nil || loads.Load() != 1 {
			t.Fatalf("%d loads, %v, want one", loads.Load(), err)
		}
	})
}

func TestLoaderOutlivesItsFirstCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, newStore(t), time.Minute)
		load := func(ctx context.Context) ([]byte, error) {
			select {
			case <-time.After(time.Second):
				return []byte("v"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		first, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		var wg sync.WaitGroup
		wg.Go(func() {
			start := time.Now()
			_, err := l.GetOrLoad(first, "k", load)
			if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != 100*time.Millisecond {
				t.Errorf("the first left with %v after %v", err, time.Since(start))
			}
		})
		synctest.Wait()
		if item, err := l.GetOrLoad(t.Context(), "k", load); err != nil || string(item.Value) != "v" {
			t.Errorf("the second got %q, %v", item.Value, err)
		}
		wg.Wait()
	})
}

func TestLoaderServesStaleWhileItLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, newStore(t), time.Minute, cache.WithStale(time.Minute), cache.WithJitter(0))
		n, fail := 0, false
		load := func(context.Context) ([]byte, error) {
			if n++; fail {
				return nil, errors.New("down")
			}
			time.Sleep(time.Second)
			return fmt.Appendf(nil, "v%d", n), nil
		}
		get := func(want string, within time.Duration) {
			t.Helper()
			start := time.Now()
			item, err := l.GetOrLoad(t.Context(), "k", load)
			if err != nil || string(item.Value) != want || time.Since(start) > within {
				t.Fatalf("got %q, %v after %v, want %q within %v", item.Value, err, time.Since(start), want, within)
			}
		}
		get("v1", time.Second)
		time.Sleep(59 * time.Second)
		get("v1", 0)
		time.Sleep(2 * time.Second)
		get("v1", 0) // stale now, loaded in the background
		time.Sleep(2 * time.Second)
		get("v2", 0)
		fail = true
		time.Sleep(61 * time.Second)
		get("v2", 0)
		synctest.Wait()
		get("v2", 0) // and not asked again at once
		time.Sleep(time.Second - 1)
		get("v2", 0)
		synctest.Wait()
		if n != 3 {
			t.Fatalf("%d loads, want 3: a load that failed rests a second", n)
		}
		time.Sleep(time.Nanosecond)
		get("v2", 0)
		synctest.Wait()
		if n != 4 {
			t.Fatalf("%d loads after that second, want 4", n)
		}
		time.Sleep(time.Minute)
		if _, err := l.GetOrLoad(t.Context(), "k", load); err == nil {
			t.Fatal("an item was served beyond its stale time")
		}
	})
}

func TestLoaderRemembersThatThereIsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLoader(t, newStore(t), time.Minute, cache.WithNegative(10*time.Second))
		n := 0
		load := func(context.Context) ([]byte, error) { n++; return nil, fmt.Errorf("no user: %w", kv.ErrNotFound) }
		for range 3 {
			_, err := l.GetOrLoad(t.Context(), "k", load)
			if !errors.Is(err, kv.ErrNotFound) {
				t.Fatal(err)
			}
		}
		if n != 1 {
			t.Fatalf("%d loads, want 1", n)
		}
		time.Sleep(11 * time.Second)
		_, _ = l.GetOrLoad(t.Context(), "k", load)
		if n != 2 {
			t.Fatalf("%d loads after 11s, want 2", n)
		}
		if err := l.Forget(t.Context(), "k"); err != nil {
			t.Fatal(err)
		}
		_, _ = l.GetOrLoad(t.Context(), "k", load)
		if n != 3 {
			t.Fatalf("%d loads after Forget, want 3", n)
		}
	})
}

func TestLoaderSpreadsTheEnds(t *testing.T) {
	store := newStore(t)
	l := newLoader(t, store, time.Hour, cache.WithJitter(0.5))
	ends := map[time.Duration]bool{}
	for i := range 50 {
		key := fmt.Sprint(i)
		if _, err := l.GetOrLoad(t.Context(), key, func(context.Context) ([]byte, error) { return nil, nil }); err != nil {
			t.Fatal(err)
		}
		item, err := store.Get(t.Context(), key)
		left := time.Until(item.Expires)
		if err != nil || left > time.Hour || left < 29*time.Minute {
			t.Fatalf("%v left, %v, want 30 to 60 minutes", left, err)
		}
		ends[left.Round(time.Minute)] = true
	}
	if len(ends) < 5 {
		t.Fatalf("50 items end in only %d different minutes", len(ends))
	}
}

func TestLoaderTurnsPanicsIntoErrorsAndCloses(t *testing.T) {
	l := newLoader(t, newStore(t), time.Minute)
	_, err := l.GetOrLoad(t.Context(), "k", func(context.Context) ([]byte, error) { panic("boom") })
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Fatalf("a panic gave %v", err)
	}
	if _, err := l.GetOrLoad(t.Context(), "k", func(context.Context) ([]byte, error) { runtime.Goexit(); return nil, nil }); err == nil {
		t.Fatal("a loader that ended its goroutine gave no error")
	}
	going := make(chan struct{})
	result := make(chan error)
	go func() {
		_, err := l.GetOrLoad(context.Background(), "slow", func(ctx context.Context) ([]byte, error) {
			close(going)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		result <- err
	}()
	<-going
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("a load under way at Close gave %v", err)
	}
	if _, err := l.GetOrLoad(t.Context(), "k", nil); !errors.Is(err, kv.ErrClosed) {
		t.Fatalf("after Close: %v", err)
	}
}

func TestLoaderPassesByAStoreThatIsAway(t *testing.T) {
	l := newLoader(t, newStore(t, kv.WithDriver("gone", func(context.Context) (kv.Driver, error) { return gone{}, nil }), kv.WithLazy()), time.Minute)
	item, err := l.GetOrLoad(t.Context(), "k", func(context.Context) ([]byte, error) { return []byte("v"), nil })
	if err != nil || string(item.Value) != "v" || item.Revision != 0 {
		t.Fatalf("got %+v, %v", item, err)
	}
}

// gone is a backend that never answers.
type gone struct{}

func (gone) Ping(context.Context) error                         { return kv.ErrUnavailable }
func (gone) Get(context.Context, string) (kv.Item, error)       { return kv.Item{}, kv.ErrUnavailable }
func (gone) Put(context.Context, kv.Write) (kv.Revision, error) { return 0, kv.ErrUnavailable }
func (gone) Delete(context.Context, string, kv.Revision) error  { return kv.ErrUnavailable }
func (gone) Features() kv.Features                              { return kv.Features{} }
func (gone) Close() error                                       { return nil }
