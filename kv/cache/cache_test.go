package cache_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
	kvdriver "github.com/micro/go-platform/kv/driver"
	"github.com/micro/go-platform/kv/kvtest"
)

// counted counts the Gets of a store.
type counted struct {
	kv.KV
	gets  atomic.Int64
	delay time.Duration
}

func (c *counted) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	c.gets.Add(1)
	if c.delay > 0 {
		time.Sleep(c.delay)
	}
	return c.KV.Get(ctx, key)
}

func cached(t testing.TB, store kv.KV, opts ...cache.Option) kv.KV {
	t.Helper()
	c, err := cache.New(store, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func TestCachedConformance(t *testing.T) {
	for name, opts := range map[string][]cache.Option{
		"aged":      {cache.WithMaxAge(time.Hour)},
		"following": {cache.WithMaxAge(time.Hour), cache.WithFollow("")},
	} {
		t.Run(name, func(t *testing.T) {
			kvtest.Run(t, kvtest.Harness{Stress: 2, Open: func(t testing.TB, o ...kv.Option) kv.KV {
				return cached(t, newStore(t, o...), opts...)
			}})
		})
	}
}

func TestCachedAnswersUntilMaxAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newStore(t)
		store := &counted{KV: inner}
		c := cached(t, store, cache.WithMaxAge(time.Second))
		_, _ = inner.Put(t.Context(), "k", []byte("1"))
		get := func(want string) {
			t.Helper()
			if item, err := c.Get(t.Context(), "k"); err != nil || string(item.Value) != want {
				t.Fatalf("got %q, %v, want %q", item.Value, err, want)
			}
		}
		for range 10 {
			get("1")
		}
		_, _ = inner.Put(t.Context(), "k", []byte("2")) // by another process
		time.Sleep(999 * time.Millisecond)
		get("1")
		time.Sleep(time.Millisecond)
		get("2")
		if n := store.gets.Load(); n != 2 {
			t.Fatalf("%d requests, want 2", n)
		}
		_, _ = c.Put(t.Context(), "k", []byte("3")) // by this process
		get("3")
		if _, err := c.Get(t.Context(), "none"); !errors.Is(err, kv.ErrNotFound) {
			t.Fatal(err)
		}
		n := store.gets.Load()
		if _, err := c.Get(t.Context(), "none"); !errors.Is(err, kv.ErrNotFound) || store.gets.Load() != n {
			t.Fatalf("that there is nothing was asked again: %v", err)
		}
	})
}

func TestCachedSharesOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newStore(t)
		_, _ = inner.Put(t.Context(), "k", []byte("v"))
		store := &counted{KV: inner, delay: time.Second}
		c := cached(t, store)
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				item, err := c.Get(t.Context(), "k")
				if err != nil || string(item.Value) != "v" {
					t.Errorf("got %q, %v", item.Value, err)
				}
			})
		}
		wg.Wait()
		if n := store.gets.Load(); n != 1 {
			t.Fatalf("%d requests, want 1", n)
		}
	})
}

func TestCachedFollowingDropsWhatChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newStore(t)
		store := &counted{KV: inner}
		c := cached(t, store, cache.WithMaxAge(time.Second), cache.WithFollow("f/"))
		for _, key := range []string{"f/k", "other"} {
			_, _ = inner.Put(t.Context(), key, []byte("1"))
		}
		synctest.Wait()
		get := func(key, want string) {
			t.Helper()
			if item, err := c.Get(t.Context(), key); err != nil || string(item.Value) != want {
				t.Fatalf("%s is %q, %v, want %q", key, item.Value, err, want)
			}
		}
		get("f/k", "1")
		time.Sleep(time.Hour)
		get("f/k", "1")
		if n := store.gets.Load(); n != 1 {
			t.Fatalf("%d requests in an hour without a change, want 1", n)
		}
		_, _ = inner.Put(t.Context(), "f/k", []byte("2"))
		synctest.Wait()
		get("f/k", "2")
		_ = inner.Delete(t.Context(), "f/k")
		synctest.Wait()
		if _, err := c.Get(t.Context(), "f/k"); !errors.Is(err, kv.ErrNotFound) {
			t.Fatal(err)
		}
		get("other", "1")
		time.Sleep(time.Second)
		n := store.gets.Load()
		get("other", "1")
		if store.gets.Load() != n+1 {
			t.Fatal("what is not followed has to age")
		}
	})
}

// digests is a driver whose revisions name the bytes, as those of Redis. Its
// watch reports what the test says.
type digests struct {
	kv.Driver
	sink chan kvdriver.Sink
	gap  chan struct{}
}

func (d *digests) Features() kv.Features {
	return kv.Features{Watch: true, Local: true}
}

func (d *digests) Get(ctx context.Context, key string) (kv.Item, error) {
	item, err := d.Driver.Get(ctx, key)
	item.Revision = kv.Revision(len(item.Value))
	return item, err
}

func (d *digests) Watch(ctx context.Context, _ string, _ uint64, sink kvdriver.Sink) error {
	sink.Synced(0)
	d.sink <- sink
	select {
	case <-d.gap:
		return kvdriver.ErrGap
	case <-ctx.Done():
		return ctx.Err()
	}
}

// TestCachedFollowingSkipsNoChange: neither of a value that came back, with the
// revision that it had, nor of what happened in a gap.
func TestCachedFollowingSkipsNoChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		memory, err := kv.NewMemoryDriver()
		if err != nil {
			t.Fatal(err)
		}
		d := &digests{memory, make(chan kvdriver.Sink, 1), make(chan struct{})}
		store, err := kv.New(kv.WithDriver("digests", func(context.Context) (kv.Driver, error) { return d, nil }))
		if err != nil {
			t.Fatal(err)
		}
		c := cached(t, store, cache.WithMaxAge(time.Hour), cache.WithFollow(""))
		sink := <-d.sink
		is := func(value string) { _, _ = memory.Put(t.Context(), kv.Write{Key: "k", Value: []byte(value)}) }
		reads := func(when, want string) {
			t.Helper()
			if item, err := c.Get(t.Context(), "k"); err != nil || string(item.Value) != want {
				t.Errorf("%s: %q, %v, want %q", when, item.Value, err, want)
			}
		}
		tell := func() {
			item, _ := d.Get(t.Context(), "k")
			sink.Put(item)
			synctest.Wait()
		}
		is("a")
		tell()
		is("bb")
		reads("changed, and not told", "bb")
		is("a")
		tell() // one report for both changes, of the value that was reported before
		reads("told", "a")
		is("ccc")
		d.gap <- struct{}{}
		<-d.sink
		synctest.Wait()
		reads("after a gap", "ccc")
	})
}

// TestCachedKeepsNothingOlderThanAWrite has readers fill the cache while a
// writer of the same process counts: nobody may see the number go back.
func TestCachedKeepsNothingOlderThanAWrite(t *testing.T) {
	c := cached(t, newStore(t), cache.WithMaxAge(time.Hour))
	_, _ = c.Put(t.Context(), "n", []byte("0"))
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				_, _ = c.Get(t.Context(), "n")
			}
		})
	}
	for i := 1; i <= 300; i++ {
		_, _ = c.Put(t.Context(), "n", []byte(strconv.Itoa(i)))
		item, err := c.Get(t.Context(), "n")
		if err != nil || string(item.Value) != strconv.Itoa(i) {
			t.Errorf("wrote %d, read %q, %v", i, item.Value, err)
			break
		}
	}
	stop.Store(true)
	wg.Wait()
}

func TestCachedRefusesWhatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		store kv.KV
		opt   cache.Option
		want  error
	}{
		"no store":   {nil, cache.WithMaxAge(1), kv.ErrInvalid},
		"nil option": {newStore(t), nil, kv.ErrInvalid},
		"no age":     {newStore(t), cache.WithMaxAge(0), kv.ErrInvalid},
		"no room":    {newStore(t), cache.WithMaxBytes(4095), kv.ErrInvalid},
		"just room":  {newStore(t), cache.WithMaxBytes(4096), nil},
		"not followed": {newStore(t, kv.WithDriver("gone", func(context.Context) (kv.Driver, error) { return gone{}, nil }), kv.WithLazy()),
			cache.WithMaxAge(1), nil},
		"cannot be followed": {newStore(t, kv.WithDriver("gone", func(context.Context) (kv.Driver, error) { return gone{}, nil }), kv.WithLazy()),
			cache.WithFollow(""), kv.ErrUnsupported},
	} {
		made, err := cache.New(c.store, c.opt)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil {
			made.Close()
		}
	}
}

func TestMain(m *testing.M) { leak.Main(m) }

// roomy is a store whose GetMany returns values with room for more bytes, as those
// of backends have.
type roomy struct{ kv.KV }

func (r *roomy) GetMany(ctx context.Context, keys ...string) (map[string]kv.Item, error) {
	items, err := r.KV.GetMany(ctx, keys...)
	for key, item := range items {
		item.Value = append(make([]byte, 0, 64), item.Value...)
		items[key] = item
	}
	return items, err
}

// TestCachedReadersAppendApart: what one reader appends to a value is not seen by
// another one.
func TestCachedReadersAppendApart(t *testing.T) {
	c := cached(t, &roomy{newStore(t)}, cache.WithMaxAge(time.Hour))
	if _, err := c.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	var values [][]byte
	for i := range 3 { // the first fills the cache
		items, err := c.GetMany(t.Context(), "k")
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, append(items["k"].Value, byte('0'+i)))
	}
	item, err := c.Get(t.Context(), "k")
	if err != nil {
		t.Fatal(err)
	}
	values = append(values, append(item.Value, '3'))
	for i, v := range values {
		if want := "v" + strconv.Itoa(i); string(v) != want {
			t.Errorf("reader %d has %q, want %q", i, v, want)
		}
	}
}
