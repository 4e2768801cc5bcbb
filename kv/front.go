package kv

import (
	"context"
	"slices"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/internal/seldom"
)

// front is what every store is the same in. Drivers stand behind it.
type front struct {
	options
	scope    string // "kv/redis"
	driver   Driver
	features Features
	life     *life.Life
	embedded *memory // the driver, if it is that one and nobody observes
	gate     seldom.Gate
}

func newFront(opts []Option) (KV, error) {
	o := defaults()
	if err := fronts.New("kv", &o, opts); err != nil {
		return nil, err
	}
	if !o.backend.Chosen() {
		if err := Memory()(&o); err != nil {
			return nil, fault.Wrap("kv", "new", "", err)
		}
	}
	f := &front{options: o, scope: "kv/" + o.backend.Name, life: life.New()}
	d, err := o.backend.Open(f.scope, func(advice string) { f.logger.Info(advice, "backend", f.scope) })
	if err != nil {
		return nil, err
	}
	f.driver, f.features = d, d.Features()
	f.features.Backend = o.backend.Name
	if m, ok := d.(*memory); ok && o.observe == nil {
		f.embedded = m
	}
	return f, nil
}

func (f *front) Features() Features { return f.features }

func (f *front) Close() error {
	return fault.Wrap(f.scope, "close", "", f.life.Close(f.driver.Close))
}

func (f *front) check(key string) error {
	switch {
	case key == "":
		return invalidf("empty key")
	case len(f.namespace)+len(key) > MaxKey:
		return invalidf("key of %d bytes, want at most %d with its namespace", len(key), MaxKey)
	case !utf8.ValidString(key):
		return invalidf("key is not valid UTF-8")
	}
	return nil
}

func (f *front) Get(ctx context.Context, key string, opts ...GetOption) (Item, error) {
	if f.embedded != nil && len(opts) == 0 && key != "" && ctx.Err() == nil && !f.life.Closed() {
		// What is there passed the checks when it was put.
		full := key
		if f.namespace != "" {
			full = f.namespace + key
		}
		if s, life, ok := f.embedded.items.Get(full); ok {
			return s.item(key, life), nil
		}
		if f.check(key) == nil {
			return Item{}, fault.Wrap(f.scope, "get", fronts.Cut(key), ErrNotFound)
		}
	}
	start := f.now()
	item, err := f.get(ctx, key, opts)
	if err != nil || f.observe != nil {
		err = f.done("get", key, 1, start, err)
	}
	return item, err
}

func (f *front) get(ctx context.Context, key string, opts []GetOption) (Item, error) {
	if err := f.check(key); err != nil {
		return Item{}, err
	}
	expiry := false
	if len(opts) > 0 { // most reads have none, and allocate nothing for them
		r, err := reads(opts)
		if err != nil {
			return Item{}, err
		}
		expiry = r.expiry
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return Item{}, err
	}
	defer b.end()
	var item Item
	if expiry {
		item, err = getExpiring(ctx, f.driver, f.namespace+key)
	} else {
		item, err = f.driver.Get(ctx, f.namespace+key)
	}
	err = b.late(err)
	if err != nil {
		return Item{}, err
	}
	item.Key, item.Value = key, slices.Clip(item.Value) // shared: an append must make a copy
	return item, nil
}

func reads(opts []GetOption) (r read, err error) {
	for _, opt := range opts {
		if opt == nil {
			return r, invalidf("nil option")
		}
		opt.get(&r)
	}
	return r, nil
}

// getExpiring returns an item with its expiry.
func getExpiring(ctx context.Context, d Driver, key string) (Item, error) {
	if e, ok := d.(expiryDriver); ok {
		return e.GetExpiring(ctx, key)
	}
	return d.Get(ctx, key)
}
