package cache

import (
	"context"
	"errors"
	"sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
)

// flights lets callers that want the same thing at the same time share one
// piece of work. The work belongs to none of them: it goes on if the first one
// leaves, and each waits no longer than its own context.
type flights[V any] struct {
	life *life.Life
	mu   sync.Mutex
	all  map[string]*flight[V]
}

type flight[V any] struct {
	done chan struct{}
	v    V
	err  error
}

// start returns the flight of name, which is begun if there is none. nil: the
// life is over.
func (f *flights[V]) start(name string, work func(context.Context) (V, error)) *flight[V] {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.all[name]; one != nil {
		return one
	}
	one := &flight[V]{done: make(chan struct{})}
	if f.all == nil {
		f.all = map[string]*flight[V]{}
	}
	started := f.life.Go(func(ctx context.Context) {
		defer func() { // also when work ends its goroutine
			f.mu.Lock()
			delete(f.all, name)
			f.mu.Unlock()
			close(one.done)
		}()
		one.err = errors.New("it ended its goroutine")
		one.err = fault.Guard(func() (err error) { one.v, err = work(ctx); return err })
	})
	if !started {
		return nil
	}
	f.all[name] = one
	return one
}

// do waits for the flight of name.
func (f *flights[V]) do(ctx context.Context, name string, work func(context.Context) (V, error)) (v V, err error) {
	one := f.start(name, work)
	if one == nil {
		return v, kv.ErrClosed
	}
	select {
	case <-one.done:
		return one.v, one.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}
