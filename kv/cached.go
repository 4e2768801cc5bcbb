package kv

import (
	"context"
	"errors"
	"hash/maphash"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/cache"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// CachedOption configures Cached.
type CachedOption func(*cachedOptions) error

type cachedOptions struct {
	bytes  int64
	maxAge time.Duration
	follow []string
}

// CacheBytes bounds what the near cache holds. The default is 32 MiB.
func CacheBytes(n int64) CachedOption {
	return func(o *cachedOptions) error {
		if n < 4<<10 {
			return invalidf("CacheBytes(%d), want 4096 or more", n)
		}
		o.bytes = n
		return nil
	}
}

// MaxAge is how old what Get returns may be. The default is one second.
func MaxAge(d time.Duration) CachedOption {
	return func(o *cachedOptions) error {
		if d <= 0 {
			return invalidf("max age %v", d)
		}
		o.maxAge = d
		return nil
	}
}

// Following has the backend tell what changes under prefix, whoever changes it.
// While it does, items under prefix are kept until they change, and what Get
// returns is as old as the backend's message is late. While the connection is
// lost, MaxAge counts; when it is made again, nothing is kept that was read
// before. May be given several times, and again for one prefix.
//
// Redis sends the names of keys alone. On other backends it is a watch, which
// reads everything under prefix at first and after an outage. A store that
// another type decorates is watched too, unless its revisions are digests (no
// Features.Versions): then its items age.
func Following(prefix string) CachedOption {
	return func(o *cachedOptions) error { o.follow = append(o.follow, prefix); return nil }
}

// Cached returns store with a near cache in front: Get and GetMany answer from
// this process if what they have is young enough, also that there is nothing,
// and concurrent Gets of one key share one request. A process reads its own
// writes. Everything else goes to the store.
//
// Close ends the watches and closes store.
func Cached(store KV, opts ...CachedOption) (KV, error) {
	o := cachedOptions{bytes: 32 << 20, maxAge: time.Second}
	err := error(nil)
	if store == nil {
		err = invalidf("no store")
	}
	for _, opt := range opts {
		if err == nil {
			if opt == nil {
				err = invalidf("nil option")
			} else {
				err = opt(&o)
			}
		}
	}
	if err == nil && len(o.follow) > 0 && !store.Features().Watch {
		err = fault.Markf(ErrUnsupported, "Following needs a backend that can watch")
	}
	if err != nil {
		return nil, fault.Wrap("kv", "new cached", "", err)
	}
	c := &cached{KV: store, cachedOptions: o, life: life.New(), seed: maphash.MakeSeed()}
	c.flights.life = c.life
	c.near = cache.New(cache.Config[near]{MaxBytes: o.bytes})
	for _, prefix := range o.follow {
		f := &following{prefix: prefix}
		c.following = append(c.following, f)
		c.life.Go(func(ctx context.Context) { c.run(ctx, f) })
	}
	return c, nil
}

type cached struct {
	KV
	cachedOptions
	life      *life.Life
	near      *cache.Cache[near]
	flights   flights[Item]
	following []*following
	eras      atomic.Uint64 // how many there were
	seed      maphash.Seed

	// changes counts, for each part of the keys, how often one of them may have
	// changed. What was read before a change is not kept after it.
	changes [256]atomic.Uint64
}

// near is what the cache knows of a key: its item, or that there is none.
type near struct {
	item   Item
	absent bool
	read   time.Time
	era    uint64 // in which it was read; 0: nobody told what changes
}

// following is one prefix. Its era is 0 while nobody tells what changes, and one
// that no prefix had before after every outage.
type following struct {
	prefix string
	era    atomic.Uint64
}

func (c *cached) part(key string) *atomic.Uint64 {
	return &c.changes[maphash.String(c.seed, key)%uint64(len(c.changes))]
}

// era returns that in which changes of key are told, 0 if they are not.
func (c *cached) era(key string) uint64 {
	for _, f := range c.following {
		if strings.HasPrefix(key, f.prefix) {
			if e := f.era.Load(); e != 0 {
				return e
			}
		}
	}
	return 0
}

// drop forgets key, and what is being read of it.
func (c *cached) drop(key string) {
	c.part(key).Add(1)
	c.near.Update(key, func(near, time.Duration, bool) cache.Change[near] { return cache.Change[near]{Op: cache.Remove} })
}

// look returns what the cache knows of key, if that is young enough.
func (c *cached) look(key string) (near, bool) {
	n, _, ok := c.near.Get(key)
	if !ok {
		return n, false
	}
	if era := c.era(key); era != 0 {
		return n, n.era == era // what was read before may have changed unseen
	}
	return n, time.Since(n.read) < c.maxAge
}

// keep stores what was read, if nothing has changed since before.
func (c *cached) keep(key string, item Item, absent bool, read time.Time, before, era uint64) {
	life := time.Duration(0)
	if era == 0 {
		life = c.maxAge
	}
	if !item.Expires.IsZero() {
		left := time.Until(item.Expires)
		if left <= 0 {
			return
		}
		if life == 0 || left < life {
			life = left
		}
	}
	part := c.part(key)
	c.near.Update(key, func(near, time.Duration, bool) (ch cache.Change[near]) {
		if part.Load() == before {
			ch = cache.Change[near]{Op: cache.Set, Value: near{item, absent, read, era}, Size: len(item.Value) + 96, Life: life}
		}
		return ch
	})
}

func (c *cached) Get(ctx context.Context, key string, opts ...GetOption) (Item, error) {
	for _, opt := range opts {
		if opt == nil {
			return Item{}, fault.Wrap("kv/cached", "get", cut(key), invalidf("nil option"))
		}
	}
	if ctx.Err() == nil && !c.life.Closed() {
		if n, ok := c.look(key); ok {
			if n.absent {
				return Item{}, fault.Wrap("kv/cached", "get", cut(key), ErrNotFound)
			}
			return n.item, nil
		}
	} else {
		return c.KV.Get(ctx, key, opts...) // says what is wrong
	}
	before := c.part(key).Load()
	// A flight from before a change is not joined after it.
	name := strconv.FormatUint(before, 36) + " " + key
	item, err := c.flights.do(ctx, name, func(ctx context.Context) (Item, error) {
		read, era := time.Now(), c.era(key)
		item, err := c.KV.Get(ctx, key, Expiry())
		if err == nil || errors.Is(err, ErrNotFound) {
			c.keep(key, item, err != nil, read, before, era)
		}
		return item, err
	})
	if err != nil {
		return Item{}, fault.Wrap("kv/cached", "get", cut(key), err)
	}
	return item, nil
}

func (c *cached) GetMany(ctx context.Context, keys ...string) (map[string]Item, error) {
	if ctx.Err() != nil || c.life.Closed() {
		return c.KV.GetMany(ctx, keys...)
	}
	items := make(map[string]Item, len(keys))
	var missing []string
	before := map[string]uint64{}
	for _, key := range keys {
		if n, ok := c.look(key); !ok {
			missing = append(missing, key)
			before[key] = c.part(key).Load()
		} else if !n.absent {
			items[key] = n.item
		}
	}
	if len(missing) == 0 {
		return items, nil
	}
	read := time.Now()
	eras := map[string]uint64{}
	for _, key := range missing {
		eras[key] = c.era(key)
	}
	found, err := c.KV.GetMany(ctx, missing...)
	for key, item := range found {
		c.keep(key, item, false, read, before[key], eras[key])
		items[key] = item
	}
	if err == nil {
		for _, key := range missing {
			if _, ok := found[key]; !ok {
				c.keep(key, Item{}, true, read, before[key], eras[key])
			}
		}
	}
	return items, err
}

// A write drops the key before and after: a read in between may have got the
// old value or the new one, and is not kept.

func (c *cached) Put(ctx context.Context, key string, value []byte, opts ...PutOption) (Revision, error) {
	c.drop(key)
	defer c.drop(key)
	return c.KV.Put(ctx, key, value, opts...)
}

func (c *cached) PutMany(ctx context.Context, values map[string][]byte, opts ...PutOption) error {
	for key := range values {
		c.drop(key)
		defer c.drop(key)
	}
	return c.KV.PutMany(ctx, values, opts...)
}

func (c *cached) Delete(ctx context.Context, key string, opts ...DeleteOption) error {
	c.drop(key)
	defer c.drop(key)
	return c.KV.Delete(ctx, key, opts...)
}

func (c *cached) Add(ctx context.Context, key string, delta int64, opts ...PutOption) (int64, error) {
	c.drop(key)
	defer c.drop(key)
	return c.KV.Add(ctx, key, delta, opts...)
}

// run follows one prefix until the end.
func (c *cached) run(ctx context.Context, f *following) {
	live := func(on bool) {
		switch {
		case !on:
			f.era.Store(0)
		case f.era.Load() == 0:
			f.era.Store(c.eras.Add(1))
		}
	}
	defer live(false)
	if s, ok := c.KV.(follower); ok {
		_ = s.follow(ctx, f.prefix, live, c.drop)
		return
	}
	versions := c.KV.Features().Versions
	for event, err := range c.KV.Watch(ctx, f.prefix) {
		switch {
		case err != nil:
			live(false)
		case event.Kind == EventSynced:
			live(versions) // else a value that came back is no event, and what was kept in between stays
		default:
			c.drop(event.Item.Key)
		}
	}
}

func (c *cached) Close() error {
	return c.life.Close(func() error {
		c.near.Close()
		return c.KV.Close()
	})
}
