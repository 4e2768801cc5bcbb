package cache

import (
	"context"
	"errors"
	"sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
)

// flights lets callers that want the same item at the same time share one
// piece of work. The work belongs to none of them: it goes on if the first one
// leaves, and each waits no longer than its own context.
type flights struct {
	life *life.Life
	mu   sync.Mutex
	all  map[string]*flight
}

type flight struct {
	done chan struct{}
	item kv.Item
	err  error
}

// start returns the flight of name, which is begun if there is none. nil: the
// life is over.
func (f *flights) start(name string, work func(context.Context) (kv.Item, error)) *flight {
	f.mu.Lock()
	defer f.mu.Unlock()
	if one := f.all[name]; one != nil {
		return one
	}
	one := &flight{done: make(chan struct{})}
	if f.all == nil {
		f.all = map[string]*flight{}
	}
	started := f.life.Go(func(ctx context.Context) {
		defer func() { // also when work ends its goroutine
			f.mu.Lock()
			delete(f.all, name)
			f.mu.Unlock()
			close(one.done)
		}()
		one.err = errors.New("it ended its goroutine")
		one.err = fault.Guard(func() (err error) { one.item, err = work(ctx); return err })
	})
	if !started {
		return nil
	}
	f.all[name] = one
	return one
}

// do waits for the flight of name.
func (f *flights) do(ctx context.Context, name string, work func(context.Context) (kv.Item, error)) (kv.Item, error) {
	one := f.start(name, work)
	if one == nil {
		return kv.Item{}, kv.ErrClosed
	}
	select {
	case <-one.done:
		return one.item, one.err
	case <-ctx.Done():
		return kv.Item{}, ctx.Err()
	}
}
