package cache

import (
	"context"
	"sync/atomic"

	"github.com/micro/go-platform/internal/watch"
	"github.com/micro/go-platform/kv"
)

// following is one prefix. Its era is 0 while nobody tells what changes, and one
// that no prefix had before after every outage.
type following struct {
	prefix string
	era    atomic.Uint64
}

// follower is a store that can say what may have changed, with less than a
// watch costs and skipping nothing: what kv.New returns.
type follower interface {
	Follow(ctx context.Context, prefix string, live func(bool), changed func(key string)) error
}

// run follows one prefix until the end, again when the store panics.
func (c *cached) run(ctx context.Context, f *following) {
	watch.Again(ctx, func() { c.follow(ctx, f) }, nil)
}

func (c *cached) follow(ctx context.Context, f *following) {
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
		_ = s.Follow(ctx, f.prefix, live, c.drop)
		return
	}
	versions := c.KV.Features().Versions
	for event, err := range c.KV.Watch(ctx, f.prefix) {
		switch {
		case err != nil:
			live(false)
		case event.Kind == kv.EventSynced:
			live(versions) // else a value that came back is no event, and what was kept in between stays
		default:
			c.drop(event.Item.Key)
		}
	}
}
