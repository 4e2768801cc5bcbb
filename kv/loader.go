package kv

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/internal/cache"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
)

// LoaderOption configures a Loader.
type LoaderOption func(*loaderOptions) error

type loaderOptions struct {
	stale, negative, timeout time.Duration
	jitter                   float64
}

// Stale has an item served for up to d after its TTL, while it is loaded again
// in the background: nobody waits. The default is 0: everybody waits.
func Stale(d time.Duration) LoaderOption {
	return func(o *loaderOptions) error {
		if d < 0 {
			return invalidf("stale for %v", d)
		}
		o.stale = d
		return nil
	}
}

// Negative has this process remember for d that a load found nothing
// (ErrNotFound). The default is 0: it is asked again.
func Negative(d time.Duration) LoaderOption {
	return func(o *loaderOptions) error {
		if d < 0 {
			return invalidf("negative for %v", d)
		}
		o.negative = d
		return nil
	}
}

// Jitter makes TTLs shorter by a random part of up to fraction, so that items
// loaded together do not end together. The default is 0.1; it goes to 1.
func Jitter(fraction float64) LoaderOption {
	return func(o *loaderOptions) error {
		if !(fraction >= 0 && fraction <= 1) {
			return invalidf("jitter %v, want 0 to 1", fraction)
		}
		o.jitter = fraction
		return nil
	}
}

// LoadTimeout bounds one load, which no caller's context does. The default is
// 30 s.
func LoadTimeout(d time.Duration) LoaderOption {
	return func(o *loaderOptions) error {
		if d <= 0 {
			return invalidf("load timeout %v", d)
		}
		o.timeout = d
		return nil
	}
}

// Loader fills a store on demand: what is not there is loaded, once for each
// key in this process however many ask, and stored.
type Loader struct {
	loaderOptions
	store   KV
	ttl     time.Duration
	life    *life.Life
	flights flights[Item]
	// resting are keys that are not to be loaded now: those for which a load
	// found nothing (true), and stale ones whose load has just failed (false).
	resting *cache.Cache[bool]
}

// NewLoader returns a loader whose items live for ttl in store. Close it before
// the store.
func NewLoader(store KV, ttl time.Duration, opts ...LoaderOption) (*Loader, error) {
	o := loaderOptions{jitter: 0.1, timeout: 30 * time.Second}
	err := error(nil)
	if store == nil || ttl < time.Millisecond {
		err = invalidf("NewLoader wants a store and a TTL of 1ms or more")
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
	if err != nil {
		return nil, fault.Wrap("kv", "new loader", "", err)
	}
	l := &Loader{loaderOptions: o, store: store, ttl: ttl, life: life.New()}
	l.flights.life = l.life
	l.resting = cache.New(cache.Config[bool]{MaxBytes: 1 << 20})
	return l, nil
}

// GetOrLoad returns the item at key. If it is not there, load is called for it,
// and what it returns is stored and returned to all who wait. An error of load
// is returned to them and not stored, but for ErrNotFound see Negative. load's
// context is not ctx: it ends with LoadTimeout or Close, so a caller that leaves
// spoils nothing. A store that is unavailable is passed by: the loaded value is
// returned, with revision 0 if it could not be stored.
func (l *Loader) GetOrLoad(ctx context.Context, key string, load func(ctx context.Context) ([]byte, error)) (Item, error) {
	item, err := l.getOrLoad(ctx, key, load)
	if err != nil {
		return Item{}, fault.Theirs("kv", "get or load", cut(key), err)
	}
	return item, nil
}

func (l *Loader) getOrLoad(ctx context.Context, key string, load func(context.Context) ([]byte, error)) (Item, error) {
	if l.life.Closed() {
		return Item{}, ErrClosed
	}
	var opts []GetOption
	if l.stale > 0 {
		opts = []GetOption{Expiry()}
	}
	item, err := l.store.Get(ctx, key, opts...)
	switch {
	case err == nil:
		if l.stale > 0 && !item.Expires.IsZero() && time.Until(item.Expires) <= l.stale {
			if _, _, resting := l.resting.Get(key); !resting {
				l.flights.start(key, func(ctx context.Context) (Item, error) { return l.load(ctx, key, load, true) })
			}
		}
		return item, nil
	case errors.Is(err, ErrNotFound):
		if absent, _, _ := l.resting.Get(key); absent {
			return Item{}, ErrNotFound
		}
	case isKind(err, ErrInvalid, ErrClosed), ctx.Err() != nil:
		return Item{}, err
	}
	return l.flights.do(ctx, key, func(ctx context.Context) (Item, error) { return l.load(ctx, key, load, false) })
}

// rest keeps key from being loaded for d.
func (l *Loader) rest(key string, d time.Duration, absent bool) {
	if d > 0 {
		l.resting.Update(key, func(bool, time.Duration, bool) cache.Change[bool] {
			return cache.Change[bool]{Op: cache.Set, Value: absent, Life: d}
		})
	}
}

func (l *Loader) load(ctx context.Context, key string, load func(context.Context) ([]byte, error), refresh bool) (Item, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	if !refresh {
		// Between the caller's look and this flight another one may have ended.
		if item, err := l.store.Get(ctx, key); err == nil {
			return item, nil
		}
	}
	value, err := load(ctx)
	switch {
	case errors.Is(err, ErrNotFound):
		l.rest(key, l.negative, true)
		if refresh {
			_ = l.store.Delete(ctx, key)
		}
		return Item{}, err
	case err != nil:
		if refresh {
			l.rest(key, min(time.Second, l.stale), false)
		}
		return Item{}, err
	}
	ttl := max(l.ttl-time.Duration(rand.Float64()*l.jitter*float64(l.ttl)), time.Millisecond)
	item := Item{Key: key, Value: value, Expires: time.Now().Add(ttl + l.stale)}
	if item.Revision, err = l.store.Put(ctx, key, value, TTL(ttl+l.stale)); err != nil && refresh {
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
