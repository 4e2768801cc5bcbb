package kv_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/kv"
)

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
	store := newStore(t)
	_, _ = store.Put(t.Context(), "k", []byte("v"))
	ctx := context.Background()
	if n := testing.AllocsPerRun(100, func() { _, _ = store.Get(ctx, "k") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
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
