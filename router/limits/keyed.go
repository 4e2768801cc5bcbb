package limits

import (
	"container/list"
	"context"
	"sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/router"
)

// PerKey limits each key of a call by a limiter of its own, which is made when
// the key is first seen: for limits of outgoing calls by service or route, for
// instance. It keeps at most maxKeys of them; when there are more, those used
// longest ago are forgotten, and their keys begin again. Permits that are open
// then are released to the limiter that gave them.
func PerKey(key func(ctx context.Context) string, maxKeys int, limiter func(key string) (Limiter, error)) (Limiter, error) {
	if key == nil || limiter == nil || maxKeys < 1 {
		return nil, fault.New(router.ErrInvalid, "router", "limit for each key", "", "%d keys, or no functions", maxKeys)
	}
	return &perKey{key: key, make: limiter, max: maxKeys, limiters: map[string]*list.Element{}, order: list.New()}, nil
}

// Keyed is PerKey with a token bucket for each key.
func Keyed(key func(ctx context.Context) string, perSecond float64, burst, maxKeys int) (Limiter, error) {
	if _, err := TokenBucket(perSecond, burst); err != nil {
		return nil, err
	}
	return PerKey(key, maxKeys, func(string) (Limiter, error) {
		b := newTokenBucket(perSecond, burst)
		b.name = "keyed limit"
		return b, nil
	})
}

type perKey struct {
	key  func(context.Context) string
	make func(string) (Limiter, error)
	max  int

	mu       sync.Mutex
	limiters map[string]*list.Element
	order    *list.List // newest first
}

type keyedLimiter struct {
	key string
	Limiter
}

func (k *perKey) Acquire(ctx context.Context) (Permit, error) {
	l, err := k.limiter(k.key(ctx))
	if err != nil {
		return nil, err
	}
	return acquire(ctx, l)
}

// State is that of the limiter of ctx's key. One that there isn't yet, or no
// longer, is not made for it.
func (k *perKey) State(ctx context.Context) State {
	key := k.key(ctx)
	k.mu.Lock()
	e := k.limiters[key]
	k.mu.Unlock()
	if e == nil {
		return State{}
	}
	return StateOf(ctx, e.Value.(*keyedLimiter).Limiter)
}

func (k *perKey) limiter(key string) (Limiter, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.limiters[key]; e != nil {
		k.order.MoveToFront(e)
		return e.Value.(*keyedLimiter).Limiter, nil
	}
	l, err := k.make(key)
	if err != nil {
		return nil, err
	}
	if fronts.Nil(l) {
		return nil, fault.New(router.ErrInvalid, "router", "limit for each key", key, "nil limiter")
	}
	if len(k.limiters) >= k.max {
		delete(k.limiters, k.order.Remove(k.order.Back()).(*keyedLimiter).key)
	}
	k.limiters[key] = k.order.PushFront(&keyedLimiter{key, l})
	return l, nil
}
