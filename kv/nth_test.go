package kv_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/nth"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
)

// double is the memory driver with all its abilities, behind a plan.
type double struct {
	*common
	p nth.Plan
}

func (d double) Close() error                   { return d.p.Close(d.common.Close) }
func (d double) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Driver.Ping) }

func (d double) Get(ctx context.Context, key string) (kv.Item, error) {
	return nth.Read(ctx, d.p, "Get", func() (kv.Item, error) { return d.Driver.Get(ctx, key) })
}

func (d double) Put(ctx context.Context, w kv.Write) (kv.Revision, error) {
	return nth.Change(ctx, d.p, "Put", func() (kv.Revision, error) { return d.Driver.Put(ctx, w) })
}

func (d double) Delete(ctx context.Context, key string, rev kv.Revision) error {
	return nth.Write(ctx, d.p, "Delete", func() error { return d.Driver.Delete(ctx, key, rev) })
}

func (d double) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	return nth.Read(ctx, d.p, "GetMany", func() (map[string]kv.Item, error) { return d.BatchDriver.GetMany(ctx, keys) })
}

func (d double) PutMany(ctx context.Context, writes []kv.Write) []error {
	err := nth.Write(ctx, d.p, "PutMany", func() error { return errors.Join(d.BatchDriver.PutMany(ctx, writes)...) })
	if err == nil {
		return nil
	}
	errs := make([]error, len(writes))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func (d double) Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error) {
	return nth.Change(ctx, d.p, "Add", func() (int64, error) { return d.CounterDriver.Add(ctx, key, delta, ttl) })
}

func (d double) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	seq, err := nth.Read(ctx, d.p, "List", func() (iter.Seq2[kv.Item, error], error) { return d.ListDriver.List(ctx, prefix, after), nil })
	if err != nil {
		return func(yield func(kv.Item, error) bool) { yield(kv.Item{}, err) }
	}
	return seq
}

func (d double) Watch(ctx context.Context, prefix string, from uint64, sink kvdriver.Sink) error {
	_, err := nth.Read(ctx, d.p, "Watch", func() (struct{}, error) { return struct{}{}, d.WatchDriver.Watch(ctx, prefix, from, sink) })
	return err
}

// plain is double without the abilities that the store can stand in for.
type plain struct {
	kv.Driver
	d double
}

func (p plain) Features() kv.Features {
	f := p.d.Features()
	f.Batch, f.Counter, f.Watch = false, false, false
	return f
}

func (p plain) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return p.d.List(ctx, prefix, after)
}

// Whatever call of the driver fails, and however: the store says so, what is
// stored is as before or as after, and the same again succeeds.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	for name, wrap := range map[string]func(double) kv.Driver{
		"with every ability": func(d double) kv.Driver { return d },
		"without":            func(d double) kv.Driver { return plain{d, d} },
	} {
		t.Run(name, func(t *testing.T) {
			nth.Run(t, nth.Promises{Unavailable: kv.ErrUnavailable, Unknown: kv.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
				items, err := kv.NewMemoryDriver()
				if err != nil {
					t.Fatal(err)
				}
				d := double{all(items, true).(*common), p}
				return world(t, p, items, wrap(d))
			})
		})
	}
}

// world is what a user does with a store.
func world(t *testing.T, p nth.Plan, items, d kv.Driver) nth.World {
	var store kv.KV
	step := func(name string, do func(ctx context.Context) error) nth.Step { return nth.Step{Name: name, Do: do} }
	partly := func(s nth.Step) nth.Step { s.Partly = true; return s }
	steps := []nth.Step{
		step("new", func(context.Context) (err error) {
			store, err = kv.New(kv.WithNamespace("n"), kv.WithDriver("double", func(context.Context) (kv.Driver, error) { p.Open(); return d, nil }))
			return err
		}),
		step("put", func(ctx context.Context) error {
			_, err := store.Put(ctx, "a", []byte("1"))
			return err
		}),
		{Name: "put what is not there", Again: []error{kv.ErrExists}, Do: func(ctx context.Context) error {
			_, err := store.Put(ctx, "b", []byte("2"), kv.IfAbsent())
			return err
		}},
		step("get", func(ctx context.Context) error {
			item, err := store.Get(ctx, "a")
			return want(err, string(item.Value) == "1", item)
		}),
		step("get what is not there", func(ctx context.Context) error {
			_, err := store.Get(ctx, "none")
			if errors.Is(err, kv.ErrNotFound) {
				return nil
			}
			return want(err, false, "an item")
		}),
		step("update", func(ctx context.Context) error {
			_, err := kv.Update(ctx, store, "a", func(kv.Item, bool) ([]byte, error) { return []byte("3"), nil })
			return err
		}),
		partly(step("put many", func(ctx context.Context) error {
			return store.PutMany(ctx, map[string][]byte{"c": []byte("4"), "d": []byte("5")})
		})),
		step("get many", func(ctx context.Context) error {
			got, err := store.GetMany(ctx, "a", "c", "d", "none")
			return want(err, len(got) == 3, got)
		}),
		step("add", func(ctx context.Context) error { // makes the counter, and may be done once more
			sum, err := store.Add(ctx, "sum", 0)
			return want(err, sum == 0, sum)
		}),
		{Name: "list", Unbounded: true, Do: func(ctx context.Context) error {
			n := 0
			for _, err := range store.List(ctx, "") {
				if err != nil {
					return err
				}
				n++
			}
			return want(nil, n >= 5, n)
		}},
		step("delete", func(ctx context.Context) error { return store.Delete(ctx, "b") }),
		{Name: "watch", Unbounded: true, Do: func(ctx context.Context) (first error) {
			if !store.Features().Watch {
				return nil
			}
			for e, err := range store.Watch(ctx, "") {
				if err != nil && first == nil {
					first = err
				}
				if e.Kind == kv.EventSynced {
					break
				}
			}
			return first
		}},
		{Name: "close", Once: true, Do: func(context.Context) error { return store.Close() }},
	}
	return nth.World{Steps: steps, End: func() { items.Close() }, State: func() string {
		var all []string
		for item, err := range items.(kvdriver.ListDriver).List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, item.Key+"="+string(item.Value))
		}
		return strings.Join(all, " ")
	}}
}

// want is err, or one that says what there is instead of what should be.
func want(err error, ok bool, got any) error {
	if err == nil && !ok {
		err = fmt.Errorf("got %v", got)
	}
	return err
}
