package cache_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
)

// double is a store of which a test does some parts itself.
type double struct {
	kv.KV
	get     func(key string, opts int) (kv.Item, error)
	getMany func(keys []string) (map[string]kv.Item, error)
	put     func() error
	watch   func(ctx context.Context) iter.Seq2[kv.Event, error]
	gets    int // of Get and GetMany
}

func (d *double) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	d.gets++
	if d.get != nil {
		return d.get(key, len(opts))
	}
	return d.KV.Get(ctx, key, opts...)
}

func (d *double) GetMany(ctx context.Context, keys ...string) (map[string]kv.Item, error) {
	d.gets++
	if d.getMany != nil {
		return d.getMany(keys)
	}
	return d.KV.GetMany(ctx, keys...)
}

func (d *double) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	if d.put != nil {
		return 0, d.put()
	}
	return d.KV.Put(ctx, key, value, opts...)
}

func (d *double) Watch(ctx context.Context, prefix string) iter.Seq2[kv.Event, error] {
	if d.watch != nil {
		return d.watch(ctx)
	}
	return d.KV.Watch(ctx, prefix)
}

func TestCachedGetManyAsksForWhatIsNotKept(t *testing.T) {
	store := &double{KV: newStore(t)}
	c := cached(t, store, cache.WithMaxAge(time.Hour))
	for _, key := range []string{"a", "b"} {
		if _, err := store.KV.Put(t.Context(), key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	for i, step := range []struct {
		keys []string
		gets int // so far
	}{
		{[]string{"a", "none"}, 1}, {[]string{"a", "none"}, 1}, {[]string{"none"}, 1}, {[]string{"a", "b", "none"}, 2}, {[]string{"b", "a"}, 2},
	} {
		items, err := c.GetMany(t.Context(), step.keys...)
		want := len(step.keys)
		if _, there := items["none"]; there {
			t.Errorf("step %d: an item of nothing", i)
		}
		for _, key := range step.keys {
			if key == "none" {
				want--
			} else if string(items[key].Value) != key {
				t.Errorf("step %d: %s is %q", i, key, items[key].Value)
			}
		}
		if err != nil || len(items) != want || store.gets != step.gets {
			t.Errorf("step %d: %d items after %d requests, %v; want %d after %d", i, len(items), store.gets, err, want, step.gets)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if items, err := c.GetMany(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v, %v", items, err)
	}
	if item, err := c.Get(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v, %v", item, err)
	}
	if item, err := c.Get(t.Context(), "a", nil); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("a nil option: %v, %v", item, err)
	}
	// Part of an answer says nothing of the rest.
	store.getMany = func([]string) (map[string]kv.Item, error) {
		return map[string]kv.Item{"x": {Key: "x", Value: []byte("1")}}, kv.ErrUnavailable
	}
	if items, err := c.GetMany(t.Context(), "x", "y"); len(items) != 1 || !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("half an answer: %v, %v", items, err)
	}
	if _, err := store.KV.Put(t.Context(), "y", []byte("2")); err != nil {
		t.Fatal(err)
	}
	if item, err := c.Get(t.Context(), "y"); err != nil || string(item.Value) != "2" {
		t.Errorf("what was left out of half an answer: %q, %v", item.Value, err)
	}
	before := store.gets
	if item, err := c.Get(t.Context(), "x"); err != nil || string(item.Value) != "1" || store.gets != before {
		t.Errorf("what was in half an answer: %q, %v", item.Value, err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	store.getMany = nil
	if items, err := c.GetMany(t.Context(), "a"); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("after Close: %v, %v", items, err)
	}
}

// What was being read when a write began is not kept when it has ended.
func TestCachedReadsThatAWriteOvertakes(t *testing.T) {
	for name, write := range map[string]func(kv.KV, context.Context) error{
		"Put":     func(c kv.KV, ctx context.Context) error { _, err := c.Put(ctx, "k", []byte("2")); return err },
		"PutMany": func(c kv.KV, ctx context.Context) error { return c.PutMany(ctx, map[string][]byte{"k": []byte("2")}) },
		"Delete":  func(c kv.KV, ctx context.Context) error { return c.Delete(ctx, "k") },
		"Add":     func(c kv.KV, ctx context.Context) error { _, err := c.Add(ctx, "k", 1); return err },
	} {
		synctest.Test(t, func(t *testing.T) {
			inner, slow := newStore(t), true
			store := &double{KV: inner}
			store.get = func(key string, _ int) (kv.Item, error) {
				item, err := inner.Get(t.Context(), key)
				if slow {
					time.Sleep(time.Second) // the answer is on its way
				}
				return item, err
			}
			c := cached(t, store, cache.WithMaxAge(time.Hour))
			if _, err := inner.Put(t.Context(), "k", []byte("1")); err != nil {
				t.Fatal(err)
			}
			go c.Get(t.Context(), "k")
			time.Sleep(time.Millisecond)
			if err := write(c, t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
			slow = false
			want := "2"
			if name == "Delete" {
				want = ""
			}
			for _, when := range []string{"read again", "and again"} {
				if item, err := c.Get(t.Context(), "k"); string(item.Value) != want || (err != nil) != (want == "") {
					t.Errorf("%s, %s: %q, %v, want %q", name, when, item.Value, err, want)
				}
			}
		})
	}
}

// follows is a store that says itself what changes, as long as it does.
type follows struct {
	*double
	follow func(ctx context.Context, live func(bool), changed func(string)) error
}

func (f *follows) Follow(ctx context.Context, _ string, live func(bool), changed func(string)) error {
	return f.follow(ctx, live, changed)
}

// Items that were kept while somebody told what changes age when nobody does,
// whatever ended it.
func TestCachedItemsAgeOnceNobodyTells(t *testing.T) {
	for _, way := range []string{"a watch fails", "following ends", "following says so", "nothing ends"} {
		for after, asked := range map[time.Duration]bool{time.Second - 1: false, time.Second: true} {
			synctest.Test(t, func(t *testing.T) {
				end := make(chan struct{})
				d := &double{KV: newStore(t)}
				var store kv.KV = d
				switch way {
				case "a watch fails":
					d.watch = func(ctx context.Context) iter.Seq2[kv.Event, error] {
						return func(yield func(kv.Event, error) bool) {
							yield(kv.Event{Kind: kv.EventSynced}, nil)
							<-end
							yield(kv.Event{}, kv.ErrUnavailable)
							<-ctx.Done() // it tries to connect again
						}
					}
				case "following ends":
					store = &follows{d, func(_ context.Context, live func(bool), _ func(string)) error {
						live(true)
						<-end
						return kv.ErrUnavailable
					}}
				default:
					store = &follows{d, func(ctx context.Context, live func(bool), _ func(string)) error {
						live(true)
						<-end
						live(way == "nothing ends")
						<-ctx.Done()
						return ctx.Err()
					}}
				}
				c := cached(t, store, cache.WithMaxAge(time.Second), cache.WithFollow(""))
				synctest.Wait()
				get := func() {
					t.Helper()
					if _, err := c.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
						t.Fatal(err)
					}
				}
				get()
				time.Sleep(after)
				get()
				if d.gets != 1 {
					t.Errorf("%s: asked again after %s, although nothing changed", way, after)
				}
				close(end)
				synctest.Wait()
				get()
				if again := d.gets > 1; again != (asked && way != "nothing ends") {
					t.Errorf("%s after %s: asked again %t", way, after, again)
				}
			})
		}
	}
}

// An item that ends is not kept beyond its end, followed or not.
func TestCachedItemsEnd(t *testing.T) {
	for _, opts := range [][]cache.Option{nil, {cache.WithFollow("")}} {
		for _, c := range []struct {
			left, after time.Duration
			gets        int
		}{
			{-1, 0, 2}, {0, 0, 2}, {1, 0, 1}, {time.Minute, time.Minute - 1, 1}, {time.Minute, time.Minute, 2}, {2 * time.Hour, time.Hour - 1, 1},
		} {
			synctest.Test(t, func(t *testing.T) {
				d := &double{KV: newStore(t)}
				d.get = func(key string, _ int) (kv.Item, error) {
					return kv.Item{Key: key, Expires: time.Now().Add(c.left)}, nil
				}
				store := &follows{d, func(ctx context.Context, live func(bool), _ func(string)) error {
					live(true)
					<-ctx.Done()
					return ctx.Err()
				}}
				near := cached(t, store, append(opts, cache.WithMaxAge(time.Hour))...)
				synctest.Wait()
				for range 2 {
					if _, err := near.Get(t.Context(), "k"); err != nil {
						t.Fatal(err)
					}
					time.Sleep(c.after)
				}
				if d.gets != c.gets {
					t.Errorf("an item of %s, %s later, %d options: %d requests, want %d", c.left, c.after, len(opts), d.gets, c.gets)
				}
			})
		}
	}
}

func TestLoaderOptions(t *testing.T) {
	for name, c := range map[string]struct {
		store kv.KV
		ttl   time.Duration
		opt   cache.LoaderOption
		ok    bool
	}{
		"no store":         {nil, time.Minute, cache.WithStale(0), false},
		"no TTL":           {newStore(t), 0, cache.WithStale(0), false},
		"too short a TTL":  {newStore(t), time.Millisecond - 1, cache.WithStale(0), false},
		"the shortest TTL": {newStore(t), time.Millisecond, cache.WithStale(0), true},
		"a nil option":     {newStore(t), time.Minute, nil, false},
		"stale before":     {newStore(t), time.Minute, cache.WithStale(-1), false},
		"not stale":        {newStore(t), time.Minute, cache.WithStale(0), true},
		"negative before":  {newStore(t), time.Minute, cache.WithNegative(-1), false},
		"not negative":     {newStore(t), time.Minute, cache.WithNegative(0), true},
	} {
		l, err := cache.NewLoader(c.store, c.ttl, c.opt)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, kv.ErrInvalid) || l != nil) {
			t.Errorf("%s: %v, want success %t", name, err, c.ok)
		}
		if err == nil {
			l.Close()
		}
	}
}

// When a loader loads, by what the store says, and how often in two calls.
func TestWhenALoaderLoads(t *testing.T) {
	fresh := func(left time.Duration) kv.Item {
		return kv.Item{Key: "k", Value: []byte("old"), Expires: time.Now().Add(left)}
	}
	for _, c := range []struct {
		name  string
		stale time.Duration
		item  func() (kv.Item, error)
		load  error
		put   error
		value string // "": ErrNotFound
		loads int
		opts  int // of Get
	}{
		{"fresh", 0, func() (kv.Item, error) { return fresh(time.Hour), nil }, nil, nil, "old", 0, 0},
		{"old by this clock, but not stale", 0, func() (kv.Item, error) { return fresh(-1), nil }, nil, nil, "old", 0, 0},
		{"fresh, of a loader that serves stale", time.Minute, func() (kv.Item, error) { return fresh(time.Minute + 1), nil }, nil, nil, "old", 0, 1},
		{"stale", time.Minute, func() (kv.Item, error) { return fresh(time.Minute), nil }, nil, nil, "old", 2, 1},
		{"stale, and down", time.Minute, func() (kv.Item, error) { return fresh(time.Minute), nil }, errors.New("down"), nil, "old", 1, 1},
		{"stale, and not stored", time.Minute, func() (kv.Item, error) { return fresh(time.Minute), nil }, nil, kv.ErrUnavailable, "old", 1, 1},
		{"without an end", time.Minute, func() (kv.Item, error) { return kv.Item{Key: "k", Value: []byte("old")}, nil }, nil, nil, "old", 0, 1},
		{"not there", 0, func() (kv.Item, error) { return kv.Item{}, kv.ErrNotFound }, nil, nil, "new", 2, 0},
		{"not there, not stored", time.Minute, func() (kv.Item, error) { return kv.Item{}, kv.ErrNotFound }, nil, kv.ErrUnavailable, "new", 2, 1},
		{"nowhere", 0, func() (kv.Item, error) { return kv.Item{}, kv.ErrNotFound }, kv.ErrNotFound, nil, "", 2, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			d, opts := &double{KV: newStore(t)}, 0
			first := true
			d.get = func(_ string, n int) (kv.Item, error) {
				if first {
					opts, first = n, false
				}
				return c.item()
			}
			d.put = func() error { return c.put }
			l := newLoader(t, d, time.Hour, cache.WithStale(c.stale))
			loads := 0
			for range 2 {
				item, err := l.GetOrLoad(t.Context(), "k", func(context.Context) ([]byte, error) { loads++; return []byte("new"), c.load })
				if string(item.Value) != c.value || (err != nil) != (c.value == "") || err != nil && !errors.Is(err, kv.ErrNotFound) {
					t.Errorf("%s: %q, %v, want %q", c.name, item.Value, err, c.value)
				}
				synctest.Wait()
			}
			if loads != c.loads || opts != c.opts {
				t.Errorf("%s: %d loads, Get with %d options; want %d and %d", c.name, loads, opts, c.loads, c.opts)
			}
		})
	}
}

// A flight that ended between the look and the load has loaded already.
func TestLoaderLooksOnceMore(t *testing.T) {
	d := &double{KV: newStore(t)}
	d.get = func(string, int) (kv.Item, error) {
		if d.gets == 1 {
			return kv.Item{}, kv.ErrNotFound
		}
		return kv.Item{Key: "k", Value: []byte("theirs")}, nil
	}
	item, err := newLoader(t, d, time.Hour).GetOrLoad(t.Context(), "k", func(context.Context) ([]byte, error) { return []byte("ours"), nil })
	if err != nil || string(item.Value) != "theirs" {
		t.Errorf("%q, %v, want what another flight stored", item.Value, err)
	}
}

// A stale item of which the source says that it is gone goes.
func TestLoaderDeletesWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore(t)
		l := newLoader(t, store, time.Minute, cache.WithStale(time.Minute), cache.WithJitter(0))
		var answer error
		load := func(context.Context) ([]byte, error) { return []byte("v"), answer }
		if _, err := l.GetOrLoad(t.Context(), "k", load); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		answer = kv.ErrNotFound
		if item, err := l.GetOrLoad(t.Context(), "k", load); err != nil || string(item.Value) != "v" {
			t.Errorf("stale: %q, %v", item.Value, err)
		}
		synctest.Wait()
		if item, err := store.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
			t.Errorf("after that: %q, %v, want ErrNotFound", item.Value, err)
		}
	})
}

func TestLoaderThatCloses(t *testing.T) {
	d := &double{KV: newStore(t)}
	l := newLoader(t, d, time.Hour)
	load := func(context.Context) ([]byte, error) { return []byte("v"), nil }
	d.get = func(string, int) (kv.Item, error) { l.Close(); return kv.Item{}, kv.ErrNotFound }
	if item, err := l.GetOrLoad(t.Context(), "k", load); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("closed while it looks: %v, %v, want ErrClosed", item, err)
	}
	d.get = func(string, int) (kv.Item, error) { return kv.Item{Key: "k"}, nil }
	if item, err := l.GetOrLoad(t.Context(), "k", load); !errors.Is(err, kv.ErrClosed) {
		t.Errorf("closed: %v, %v, want ErrClosed", item, err)
	}
	away := newStore(t, kv.WithDriver("gone", func(context.Context) (kv.Driver, error) { return gone{}, nil }), kv.WithLazy())
	if err := newLoader(t, away, time.Hour).Forget(t.Context(), "k"); !errors.Is(err, kv.ErrUnavailable) {
		t.Errorf("Forget of a store that is unavailable: %v", err)
	}
}

// A store whose watch panics is watched again, and is no end of the process.
func TestAWatchThatPanicsIsMadeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner := newStore(t)
		watches := 0
		store := &double{KV: inner, watch: func(ctx context.Context) iter.Seq2[kv.Event, error] {
			watches++
			if watches < 3 {
				panic("no watch")
			}
			return inner.Watch(ctx, "f/")
		}}
		c := cached(t, store, cache.WithMaxAge(time.Second), cache.WithFollow("f/"))
		time.Sleep(time.Minute)
		if _, err := inner.Put(t.Context(), "f/k", []byte("1")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for range 2 {
			if item, err := c.Get(t.Context(), "f/k"); err != nil || string(item.Value) != "1" {
				t.Fatalf("%q, %v", item.Value, err)
			}
			time.Sleep(time.Hour)
		}
		if watches != 3 || store.gets != 1 {
			t.Errorf("%d watches and %d requests, want 3 and one that was kept for an hour", watches, store.gets)
		}
	})
}
