package cache

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/cache"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
)

// New returns store with a near cache in front: Get and GetMany answer from
// this process if what they have is young enough, also that there is nothing,
// and concurrent Gets of one key share one request. A process reads its own
// writes. Everything else goes to the store.
//
// Close ends the watches and closes store.
func New(store kv.KV, opts ...Option) (kv.KV, error) {
	o := options{bytes: 32 << 20, maxAge: time.Second}
	err := fronts.Apply(&o, opts)
	switch {
	case err != nil:
	case fronts.Nil(store):
		err = invalidf("no store")
	case len(o.follow) > 0 && !store.Features().Watch:
		err = fault.Markf(kv.ErrUnsupported, "WithFollow needs a backend that can watch")
	}
	if err != nil {
		return nil, fault.Wrap(scope, "new", "", err)
	}
	c := &cached{KV: store, options: o, life: life.New(), seed: maphash.MakeSeed()}
	c.flights.life = c.life
	c.near = cache.New(cache.Config[near]{MaxBytes: o.bytes})
	for _, prefix := range o.follow {
		f := &following{prefix: prefix}
		c.following = append(c.following, f)
		c.life.Go(func(ctx context.Context) { c.run(ctx, f) })
	}
	return c, nil
}

// scope is what errors begin with.
const scope = "kv/cache"

type cached struct {
	kv.KV
	options
	life      *life.Life
	near      *cache.Cache[near]
	flights   flights
	following []*following
	eras      atomic.Uint64 // how many there were
	seed      maphash.Seed

	// changes counts, for each part of the keys, how often one of them may have
	// changed. What was read before a change is not kept after it.
	changes [256]atomic.Uint64
}

func (c *cached) Get(ctx context.Context, key string, opts ...kv.GetOption) (kv.Item, error) {
	if slices.Contains(opts, nil) {
		return kv.Item{}, fault.Wrap(scope, "get", fronts.Cut(key), invalidf("nil option"))
	}
	if ctx.Err() != nil || c.life.Closed() {
		return c.KV.Get(ctx, key, opts...) // says what is wrong
	}
	if n, ok := c.look(key); ok {
		if n.absent {
			return kv.Item{}, fault.Wrap(scope, "get", fronts.Cut(key), kv.ErrNotFound)
		}
		return n.item, nil
	}
	before := c.part(key).Load()
	// A flight from before a change is not joined after it.
	name := strconv.FormatUint(before, 36) + " " + key
	item, err := c.flights.do(ctx, name, func(ctx context.Context) (kv.Item, error) {
		read, era := time.Now(), c.era(key)
		item, err := c.KV.Get(ctx, key, kv.Expiry())
		if err == nil || errors.Is(err, kv.ErrNotFound) {
			c.keep(key, item, err != nil, read, before, era)
		}
		return item, err
	})
	if err != nil {
		return kv.Item{}, fault.Wrap(scope, "get", fronts.Cut(key), err)
	}
	return item, nil
}

func (c *cached) GetMany(ctx context.Context, keys ...string) (map[string]kv.Item, error) {
	if ctx.Err() != nil || c.life.Closed() {
		return c.KV.GetMany(ctx, keys...)
	}
	items := make(map[string]kv.Item, len(keys))
	var missing []string
	type state struct{ changes, era uint64 }
	before := map[string]state{}
	for _, key := range keys {
		if n, ok := c.look(key); !ok {
			missing = append(missing, key)
			before[key] = state{c.part(key).Load(), c.era(key)}
		} else if !n.absent {
			items[key] = n.item
		}
	}
	if len(missing) == 0 {
		return items, nil
	}
	read := time.Now()
	found, err := c.KV.GetMany(ctx, missing...)
	for key, item := range found {
		c.keep(key, item, false, read, before[key].changes, before[key].era)
		items[key] = item
	}
	if err == nil {
		for _, key := range missing {
			if _, ok := found[key]; !ok {
				c.keep(key, kv.Item{}, true, read, before[key].changes, before[key].era)
			}
		}
	}
	return items, err
}

// A write drops the key when it ends: what was read until then may be the old
// value, and is not kept.

func (c *cached) Put(ctx context.Context, key string, value []byte, opts ...kv.PutOption) (kv.Revision, error) {
	defer c.drop(key)
	return c.KV.Put(ctx, key, value, opts...)
}

func (c *cached) PutMany(ctx context.Context, values map[string][]byte, opts ...kv.PutOption) error {
	for key := range values {
		defer c.drop(key)
	}
	return c.KV.PutMany(ctx, values, opts...)
}

func (c *cached) Delete(ctx context.Context, key string, opts ...kv.DeleteOption) error {
	defer c.drop(key)
	return c.KV.Delete(ctx, key, opts...)
}

func (c *cached) Add(ctx context.Context, key string, delta int64, opts ...kv.PutOption) (int64, error) {
	defer c.drop(key)
	return c.KV.Add(ctx, key, delta, opts...)
}

func (c *cached) Close() error {
	return c.life.Close(func() error {
		c.near.Close()
		return c.KV.Close()
	})
}
