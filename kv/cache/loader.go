package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/internal/cache"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
)

// Loader fills a store on demand: what is not there is loaded, once for each
// key in this process however many ask, and stored.
type Loader struct {
	loaderOptions
	store   kv.KV
	ttl     time.Duration
	life    *life.Life
	flights flights
	// resting are keys that are not to be loaded now: those for which a load
	// found nothing (true), and stale ones whose load has just failed (false).
	resting *cache.Cache[bool]
}

// NewLoader returns a loader whose items live for ttl in store. Close it before
// the store.
func NewLoader(store kv.KV, ttl time.Duration, opts ...LoaderOption) (*Loader, error) {
	o := loaderOptions{jitter: jitter}
	err := fronts.Apply(&o, opts)
	if err == nil && (fronts.Nil(store) || ttl < time.Millisecond) {
		err = invalidf("NewLoader wants a store and a TTL of 1ms or more")
	}
	if err != nil {
		return nil, fault.Wrap(scope, "new loader", "", err)
	}
	l := &Loader{loaderOptions: o, store: store, ttl: ttl, life: life.New()}
	l.flights.life = l.life
	l.resting = cache.New(cache.Config[bool]{MaxBytes: 1 << 20})
	return l, nil
}

// GetOrLoad returns the item at key. If it is not there, load is called for it,
// and what it returns is stored and returned to all who wait. An error of load
// is returned to them and not stored, but for kv.ErrNotFound see WithNegative. load's
// context is not ctx: it ends after 30 s or with Close, so a caller that leaves
// spoils nothing. A store that is unavailable is passed by: the loaded value is
// returned, with revision 0 if it could not be stored.
func (l *Loader) GetOrLoad(ctx context.Context, key string, load func(ctx context.Context) ([]byte, error)) (kv.Item, error) {
	item, err := l.getOrLoad(ctx, key, load)
	if err != nil {
		return kv.Item{}, fault.Theirs(scope, "get or load", fronts.Cut(key), err)
	}
	return item, nil
}

func (l *Loader) getOrLoad(ctx context.Context, key string, load func(context.Context) ([]byte, error)) (kv.Item, error) {
	if l.life.Closed() {
		return kv.Item{}, kv.ErrClosed
	}
	var opts []kv.GetOption
	if l.stale > 0 {
		opts = []kv.GetOption{kv.Expiry()}
	}
	item, err := l.store.Get(ctx, key, opts...)
	switch {
	case err == nil:
		if l.stale > 0 && !item.Expires.IsZero() && time.Until(item.Expires) <= l.stale {
			if _, _, resting := l.resting.Get(key); !resting {
				l.flights.start(key, func(ctx context.Context) (kv.Item, error) { return l.load(ctx, key, load, true) })
			}
		}
		return item, nil
	case errors.Is(err, kv.ErrNotFound):
		if absent, _, _ := l.resting.Get(key); absent {
			return kv.Item{}, kv.ErrNotFound
		}
	case errors.Is(err, kv.ErrInvalid), errors.Is(err, kv.ErrClosed), ctx.Err() != nil:
		return kv.Item{}, err
	}
	return l.flights.do(ctx, key, func(ctx context.Context) (kv.Item, error) { return l.load(ctx, key, load, false) })
}

// rest keeps key from being loaded for d.
func (l *Loader) rest(key string, d time.Duration, absent bool) {
	if d > 0 {
		l.resting.Update(key, func(bool, time.Duration, bool) cache.Change[bool] {
			return cache.Change[bool]{Op: cache.Set, Value: absent, Life: d}
		})
	}
}

func (l *Loader) load(ctx context.Context, key string, load func(context.Context) ([]byte, error), refresh bool) (kv.Item, error) {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	if !refresh {
		// Between the caller's look and this flight another one may have ended.
		if item, err := l.store.Get(ctx, key); err == nil {
			return item, nil
		}
	}
	value, err := load(ctx)
	switch {
	case errors.Is(err, kv.ErrNotFound):
		l.rest(key, l.negative, true)
		if refresh {
			_ = l.store.Delete(ctx, key)
		}
		return kv.Item{}, err
	case err != nil:
		if refresh {
			l.rest(key, min(time.Second, l.stale), false)
		}
		return kv.Item{}, err
	}
	ttl := max(l.ttl-time.Duration(rand.Float64()*l.jitter*float64(l.ttl)), time.Millisecond)
	item := kv.Item{Key: key, Value: value, Expires: time.Now().Add(ttl + l.stale)}
	item.Revision, err = l.store.Put(ctx, key, value, kv.TTL(ttl+l.stale))
	if err != nil && refresh {
		l.rest(key, min(time.Second, l.stale), false)
	}
	return item, nil
}

// Forget removes key from the store, and what is remembered about it here.
func (l *Loader) Forget(ctx context.Context, key string) error {
	l.resting.Update(key, func(bool, time.Duration, bool) cache.Change[bool] {
		return cache.Change[bool]{Op: cache.Remove}
	})
	return l.store.Delete(ctx, key)
}

// Close ends the loads and waits for them. The store stays open.
func (l *Loader) Close() error {
	return l.life.Close(func() error { l.resting.Close(); return nil })
}
