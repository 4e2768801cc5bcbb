package cache_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/cache"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// planned is the memory driver behind a plan.
type planned struct {
	kv.Driver
	p nth.Plan
}

func (d planned) Close() error                   { return d.p.Close(func() error { return nil }) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Driver.Ping) }

func (d planned) Features() kv.Features {
	f := d.Driver.Features()
	f.Local, f.Deadlines = false, false
	return f
}

func (d planned) Get(ctx context.Context, key string) (kv.Item, error) {
	return nth.Read(ctx, d.p, "Get", func() (kv.Item, error) { return d.Driver.Get(ctx, key) })
}

func (d planned) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	return nth.Change(ctx, d.p, "Put", func() (kv.Revision, error) { return d.Driver.Put(ctx, w) })
}

func (d planned) Delete(ctx context.Context, key string, rev kv.Revision) error {
	return nth.Write(ctx, d.p, "Delete", func() error { return d.Driver.Delete(ctx, key, rev) })
}

func (d planned) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	return nth.Read(ctx, d.p, "GetMany", func() (map[string]kv.Item, error) { return d.Driver.(kvdriver.BatchDriver).GetMany(ctx, keys) })
}

func (d planned) PutMany(ctx context.Context, writes []kv.Write) []error {
	return d.Driver.(kvdriver.BatchDriver).PutMany(ctx, writes)
}

func (d planned) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return d.Driver.(kvdriver.ListDriver).List(ctx, prefix, after)
}

func (d planned) Watch(ctx context.Context, prefix string, from uint64, sink kvdriver.Sink) error {
	return nth.Check(ctx, d.p, "Watch", func(ctx context.Context) error {
		return d.Driver.(kvdriver.WatchDriver).Watch(ctx, prefix, from, sink)
	})
}

// Whatever call of the store behind a near cache fails, and however: the caller hears
// of it, nothing that failed is kept as an answer, a process reads its own writes, and
// what others write is seen in time.
func TestEveryCallOfTheStoreMayFail(t *testing.T) {
	for name, c := range map[string]struct {
		opts []cache.Option
		age  time.Duration // after which a read is as new
	}{
		"by age":    {[]cache.Option{cache.WithMaxAge(time.Minute)}, time.Minute},
		"following": {[]cache.Option{cache.WithMaxAge(time.Hour), cache.WithFollow("")}, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			nth.Run(t, nth.Promises{Unavailable: kv.ErrUnavailable, Unknown: kv.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
				p.Within("Watch", 30*time.Second) // a flight that its caller has left is joined until it ends, hence the pauses
				items, err := kv.NewMemoryDriver()
				if err != nil {
					t.Fatal(err)
				}
				var store kv.KV
				get := func(ctx context.Context, want string) error {
					item, err := store.Get(ctx, "a")
					if err == nil && string(item.Value) != want {
						err = fmt.Errorf("got %q, want %q", item.Value, want)
					}
					return err
				}
				return nth.World{
					Background: []string{"Watch"},
					Steps: []nth.Step{
						{Name: "new", Do: func(context.Context) error {
							inner, err := kv.New(kv.WithDriver("double", func(context.Context) (kv.Driver, error) { p.Open(); return planned{items, p}, nil }))
							if err == nil {
								store, err = cache.New(inner, c.opts...)
							}
							return err
						}},
						{Name: "get what is not there", Pause: 10 * time.Second, Do: func(ctx context.Context) error {
							_, err := store.Get(ctx, "a")
							if errors.Is(err, kv.ErrNotFound) {
								return nil
							}
							return orGot(err, "an item")
						}},
						{Name: "put", Do: func(ctx context.Context) error {
							_, err := store.Put(ctx, "a", []byte("1"))
							return err
						}},
						{Name: "get", Pause: 10 * time.Second, Do: func(ctx context.Context) error { return get(ctx, "1") }},
						{Name: "get again", Pause: 10 * time.Second, Do: func(ctx context.Context) error { return get(ctx, "1") }},
						{Name: "put again", Do: func(ctx context.Context) error {
							_, err := store.Put(ctx, "a", []byte("2"))
							return err
						}},
						{Name: "get its own write", Pause: 10 * time.Second, Do: func(ctx context.Context) error { return get(ctx, "2") }},
						{Name: "get many", Pause: 10 * time.Second, Do: func(ctx context.Context) error {
							got, err := store.GetMany(ctx, "a", "none")
							if err == nil && (len(got) != 1 || string(got["a"].Value) != "2") {
								err = fmt.Errorf("got %v", got)
							}
							return err
						}},
						{Name: "get what another wrote", Partly: true, Pause: 10 * time.Second, Do: func(ctx context.Context) error {
							if _, err := items.Put(context.WithoutCancel(ctx), kv.Write{Key: "a", Value: []byte("3")}); err != nil {
								return err
							}
							time.Sleep(c.age + time.Millisecond)
							return get(ctx, "3")
						}},
						{Name: "delete", Do: func(ctx context.Context) error { return store.Delete(ctx, "a") }},
						{Name: "get what was deleted", Pause: 10 * time.Second, Do: func(ctx context.Context) error {
							_, err := store.Get(ctx, "a")
							if errors.Is(err, kv.ErrNotFound) {
								return nil
							}
							return orGot(err, "an item")
						}},
						{Name: "close", Once: true, Do: func(context.Context) error { return store.Close() }},
					},
					State: func() string {
						item, err := items.Get(context.WithoutCancel(t.Context()), "a")
						if errors.Is(err, kv.ErrNotFound) {
							return "nothing"
						}
						return string(item.Value)
					},
					End: func() { items.Close() },
				}
			})
		})
	}
}

// orGot is err, or one that says what there is.
func orGot(err error, got string) error {
	if err == nil {
		err = errors.New("got " + got)
	}
	return err
}
