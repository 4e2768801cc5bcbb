package kv_test

import (
	"context"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
	"github.com/micro/go-platform/kv/kvtest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// common is one memory driver under several stores, as a server would be.
type common struct {
	kv.Driver
	kvdriver.BatchDriver
	kvdriver.CounterDriver
	kvdriver.ListDriver
	kvdriver.WatchDriver
	remote bool // pretends to be one
}

func (c *common) Close() error { return nil }

func (c *common) Features() kv.Features {
	f := c.Driver.Features()
	f.Shared, f.Local = true, !c.remote
	return f
}

// bare has no ability but the required ones, so the store has to stand in.
type bare struct{ kv.Driver }

func (bare) Close() error { return nil }

func (b bare) Features() kv.Features {
	f := b.Driver.Features()
	return kv.Features{Versions: true, Linearizable: true, Shared: true, MaxValue: f.MaxValue}
}

func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		kvtest.Run(t, kvtest.Harness{Stress: 4, Open: opener(kv.Memory())})
	})
	for name, wrap := range map[string]func(kv.Driver) kv.Driver{
		"shared": func(d kv.Driver) kv.Driver { return all(d, false) },
		"remote": func(d kv.Driver) kv.Driver { return all(d, true) },
		"bare":   func(d kv.Driver) kv.Driver { return bare{d} },
	} {
		t.Run(name, func(t *testing.T) {
			d, err := kv.NewMemoryDriver(kv.MaxBytes(64 << 20))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			// Its sweeper shall run before the suite counts goroutines.
			if _, err := d.Put(t.Context(), kv.Write{Key: "k", TTL: time.Hour}); err != nil {
				t.Fatal(err)
			}
			kvtest.Run(t, kvtest.Harness{Open: opener(kv.WithDriver(name, func(context.Context) (kv.Driver, error) {
				return wrap(d), nil
			}))})
		})
	}
}

func all(d kv.Driver, remote bool) kv.Driver {
	return &common{d, d.(kvdriver.BatchDriver), d.(kvdriver.CounterDriver), d.(kvdriver.ListDriver), d.(kvdriver.WatchDriver), remote}
}

func opener(backend kv.Option) func(testing.TB, ...kv.Option) kv.KV {
	return func(t testing.TB, opts ...kv.Option) kv.KV {
		t.Helper()
		store, err := kv.New(append(opts, backend)...)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

func TestMemoryIsLinearizable(t *testing.T) {
	d, err := kv.NewMemoryDriver()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	backend := kv.WithDriver("shared", func(context.Context) (kv.Driver, error) { return all(d, false), nil })
	kvtest.Linearizable(t, func() kv.KV { return opener(backend)(t) }, 50*time.Millisecond, nil)
}
