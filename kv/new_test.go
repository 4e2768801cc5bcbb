package kv_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
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

func TestNewRefusesBadOptions(t *testing.T) {
	driver := kv.WithDriver("mine", func(context.Context) (kv.Driver, error) { return gone{}, nil })
	for name, opts := range map[string][]kv.Option{
		"nil":             {nil},
		"two backends":    {driver, kv.Memory()},
		"no driver":       {kv.WithDriver("", nil)},
		"empty namespace": {kv.WithNamespace("")},
		"slash":           {kv.WithNamespace("a/b")},
		"dial timeout":    {kv.WithDialTimeout(0)},
		"timeout":         {kv.WithTimeout(-time.Second)},
		"logger":          {kv.WithLogger(nil)},
		"observer":        {kv.WithObserver(nil)},
		"no room":         {kv.Memory(kv.MaxBytes(1))},
		"nil in memory":   {kv.Memory(nil)},
	} {
		store, err := kv.New(opts...)
		if !errors.Is(err, kv.ErrInvalid) || !strings.HasPrefix(err.Error(), "kv") || !strings.Contains(err.Error(), ": new: ") || store != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid that says where", name, store, err)
		}
	}
	if _, err := kv.New(driver); !errors.Is(err, kv.ErrUnavailable) || !strings.HasPrefix(err.Error(), "kv/mine: new: ") {
		t.Errorf("a backend that does not answer: %v", err)
	}
}

func TestMemoryEvictsToStayWithinItsBound(t *testing.T) {
	store := newStore(t, kv.Memory(kv.MaxBytes(1<<20)))
	for i := range 20000 {
		if _, err := store.Put(t.Context(), strings.Repeat("k", 1+i%500)+string(rune('a'+i%26)), make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	total := 0
	for item, err := range store.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		total += len(item.Key) + len(item.Value)
	}
	if total == 0 || total > 1<<20 {
		t.Errorf("%d bytes are held, the bound is %d", total, 1<<20)
	}
}

func TestMemoryGetDoesNotAllocate(t *testing.T) {
	for _, opts := range [][]kv.Option{nil, {kv.WithNamespace("shop")}} {
		store := newStore(t, opts...)
		_, _ = store.Put(t.Context(), "k", []byte("v"))
		ctx := context.Background()
		if n := testing.AllocsPerRun(100, func() { _, _ = store.Get(ctx, "k") }); n != 0 {
			t.Errorf("%d options: %v allocations", len(opts), n)
		}
		if n := testing.AllocsPerRun(100, func() { _, _ = store.Get(ctx, "nothing") }); n > 1 {
			t.Errorf("%d options, nothing there: %v allocations, want the error", len(opts), n)
		}
	}
}

// TestNamespacesOnOneDriverDoNotMeet, also where a namespace is another one's
// key.
func TestNamespacesOnOneDriverDoNotMeet(t *testing.T) {
	d, err := kv.NewMemoryDriver()
	if err != nil {
		t.Fatal(err)
	}
	backend := kv.WithDriver("memory", func(context.Context) (kv.Driver, error) { return d, nil })
	outer, inner := newStore(t, backend), newStore(t, backend, kv.WithNamespace("shop"))
	_, _ = outer.Put(t.Context(), "shop/", []byte("v"))
	if item, err := inner.Get(t.Context(), ""); !errors.Is(err, kv.ErrInvalid) {
		t.Errorf("the empty key is %v, %v", item, err)
	}
	_, _ = inner.Put(t.Context(), "k", []byte("v"))
	if item, err := inner.Get(t.Context(), "k"); err != nil || item.Key != "k" {
		t.Errorf("got %v, %v", item, err)
	}
	if item, err := outer.Get(t.Context(), "k"); !errors.Is(err, kv.ErrNotFound) {
		t.Errorf("outside the namespace: %v, %v", item, err)
	}
}

// reader is a Sink that reads what it is notified of at that moment.
type reader struct {
	t *testing.T
	d kv.Driver
	n int
}

func (r *reader) Put(told kv.Item) {
	r.n++
	if item, err := r.d.Get(r.t.Context(), told.Key); err != nil || item.Revision != told.Revision {
		r.t.Errorf("notified of %q in revision %d, read %d, %v", told.Key, told.Revision, item.Revision, err)
	}
}

func (r *reader) Delete(key string) {
	r.n++
	if item, err := r.d.Get(r.t.Context(), key); !errors.Is(err, kv.ErrNotFound) {
		r.t.Errorf("told that %q is gone, read %v, %v", key, item, err)
	}
}

func (r *reader) Synced(uint64) { r.n++ }

// TestWhatIsToldCanBeRead: reads take no lock, so a watch must not be notified of
// what a read does not see yet.
func TestWhatIsToldCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, err := kv.NewMemoryDriver(kv.MaxBytes(16 << 10))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		ctx, cancel := context.WithCancel(t.Context())
		sink := &reader{t: t, d: d}
		var watch sync.WaitGroup
		watch.Go(func() { _ = d.(kvdriver.WatchDriver).Watch(ctx, "", 0, sink) })
		synctest.Wait()
		for i := range 100 { // many of them are evicted
			_, _ = d.Put(ctx, kv.Write{Key: strconv.Itoa(i), TTL: time.Duration(i%2) * time.Minute})
		}
		_, _ = d.(kvdriver.CounterDriver).Add(ctx, "n", 1, 0)
		_, _ = d.(kvdriver.CounterDriver).Add(ctx, "n", 1, 0)
		_ = d.Delete(ctx, "n", 0)
		time.Sleep(time.Hour) // the rest with a life expires
		cancel()
		watch.Wait()
		if sink.n < 150 {
			t.Errorf("only %d reports", sink.n)
		}
	})
}

func TestObserverSeesEveryCall(t *testing.T) {
	var calls []kv.Call
	store := newStore(t, kv.WithObserver(func(c kv.Call) { calls = append(calls, c) }))
	_, _ = store.Put(t.Context(), "k", nil)
	_, _ = store.Get(t.Context(), "k")
	_, _ = store.Get(t.Context(), "none")
	_, _ = store.GetMany(t.Context(), "k", "none")
	_ = store.PutMany(t.Context(), map[string][]byte{"m": nil})
	_, _ = store.Add(t.Context(), "n", 1)
	_ = store.Delete(t.Context(), "k")
	var ops []string
	for _, c := range calls {
		if c.Backend != "kv/memory" || c.Duration < 0 {
			t.Errorf("%+v", c)
		}
		ops = append(ops, c.Op)
	}
	if got := strings.Join(ops, ","); got != "put,get,get,get many,put many,add,delete" || !errors.Is(calls[2].Err, kv.ErrNotFound) || calls[3].Keys != 2 {
		t.Errorf("got %s", got)
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
