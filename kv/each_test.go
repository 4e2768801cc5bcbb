package kv_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/micro/go-platform/kv"
)

var errBroken = errors.New("broken")

// breaks is a driver without batches whose n-th call panics.
type breaks struct {
	kv.Driver
	calls *atomic.Int64
	nth   int64
}

func (b breaks) Features() kv.Features {
	f := b.Driver.Features()
	f.Batch, f.Local = false, false
	return f
}

func (b breaks) count() {
	if b.calls.Add(1) == b.nth {
		panic(errBroken)
	}
}

func (b breaks) Get(ctx context.Context, key string) (kv.Item, error) {
	b.count()
	return b.Driver.Get(ctx, key)
}

func (b breaks) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	b.count()
	return b.Driver.Put(ctx, w)
}

// A panic of the driver during a batch is the caller's, as in every other call:
// he can recover, and the store goes on.
func TestBatchRaisesADriversPanicOnTheCallersGoroutine(t *testing.T) {
	const keys = 40
	all, values := make([]string, keys), map[string][]byte{}
	for i := range all {
		all[i] = "k" + strings.Repeat("x", i)
		values[all[i]] = []byte("v")
	}
	for name, call := range map[string]func(ctx context.Context, s kv.KV) error{
		"GetMany": func(ctx context.Context, s kv.KV) error { _, err := s.GetMany(ctx, all...); return err },
		"PutMany": func(ctx context.Context, s kv.KV) error { return s.PutMany(ctx, values) },
	} {
		for _, nth := range []int64{0, 1, 20, keys} { // 0: none
			mem, err := kv.NewMemoryDriver()
			if err != nil {
				t.Fatal(err)
			}
			d := breaks{mem, new(atomic.Int64), nth}
			store := newStore(t, kv.WithDriver("breaks", func(context.Context) (kv.Driver, error) { return d, nil }))
			v := func() (v any) {
				defer func() { v = recover() }()
				if err := call(t.Context(), store); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				return nil
			}()
			err, _ = v.(error)
			switch {
			case nth == 0 && v != nil:
				t.Errorf("%s: panicked without a cause: %v", name, v)
			case nth != 0 && (!errors.Is(err, errBroken) || !strings.Contains(err.Error(), "each_test.go")):
				t.Errorf("%s: call %d panicked, and the caller got %v, want the driver's value and its stack", name, nth, v)
			}
			if err := call(t.Context(), store); err != nil {
				t.Errorf("%s once more: %v", name, err)
			}
			if err := store.Close(); err != nil { // waits for the calls in progress
				t.Errorf("%s: close: %v", name, err)
			}
		}
	}
}
