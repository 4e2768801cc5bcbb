package sync

import (
	"context"
	"slices"
	gosync "sync"

	"github.com/micro/go-platform/internal/fault"
)

// gates let at most limit callers of this process near a key, in the order of
// their arrival, where the backend has no queue: a hundred waiters here are one
// waiter there.
type gates struct {
	mu   gosync.Mutex
	keys map[string]*gate
}

type gate struct {
	limit   int
	inside  int
	waiting []chan struct{}
}

func newGates() *gates { return &gates{keys: map[string]*gate{}} }

// enter waits for a place. leave, which is idempotent, gives it to the next.
func (g *gates) enter(ctx context.Context, key string, limit int, wait bool) (leave func(), err error) {
	g.mu.Lock()
	k := g.keys[key]
	if k == nil {
		k = &gate{limit: limit}
		g.keys[key] = k
	}
	switch {
	case k.limit != limit:
		g.mu.Unlock()
		return nil, fault.Markf(ErrConflict, "limit %d, but others here use %d", limit, k.limit)
	case k.inside < limit && len(k.waiting) == 0:
		k.inside++
		g.mu.Unlock()
	case !wait:
		g.mu.Unlock()
		return nil, ErrHeld
	default:
		turn := make(chan struct{})
		k.waiting = append(k.waiting, turn)
		g.mu.Unlock()
		select {
		case <-turn:
		case <-ctx.Done():
			if g.giveUp(key, k, turn) {
				return nil, ctx.Err()
			}
		}
	}
	var once gosync.Once
	return func() { once.Do(func() { g.leave(key, k) }) }, nil
}

// giveUp takes turn out of the queue. It reports false if the place was given
// meanwhile: the caller is inside.
func (g *gates) giveUp(key string, k *gate, turn chan struct{}) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(k.waiting, turn)
	if i < 0 {
		return false
	}
	k.waiting = slices.Delete(k.waiting, i, i+1)
	return true
}

func (g *gates) leave(key string, k *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(k.waiting) > 0 {
		close(k.waiting[0]) // the place goes on, so inside stays
		k.waiting = k.waiting[1:]
		return
	}
	k.inside--
	if k.inside == 0 {
		delete(g.keys, key)
	}
}
