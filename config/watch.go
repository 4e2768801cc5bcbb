package config

import (
	"context"
	"iter"
	"slices"

	"github.com/micro/go-platform/internal/fault"
)

func (c *front) Watch(ctx context.Context, path string) iter.Seq2[Change, error] {
	return func(yield func(Change, error) bool) {
		news := make(chan struct{}, 1)
		c.mu.Lock()
		c.watchers[news] = true
		c.mu.Unlock()
		defer func() {
			c.mu.Lock()
			delete(c.watchers, news)
			c.mu.Unlock()
		}()
		var last Value
		for first := true; ; first = false {
			if err := ctx.Err(); err != nil {
				yield(Change{}, fault.Wrap("config", "watch", path, err))
				return
			}
			if c.life.Closed() {
				yield(Change{}, fault.Wrap("config", "watch", path, ErrClosed))
				return
			}
			s := c.current.Load()
			if v := s.Get(path); first || !v.Equal(last) {
				if !yield(Change{Path: path, Old: last, New: v, Version: s.version}, nil) {
					return
				}
				last = v
			}
			select {
			case <-news:
			case <-ctx.Done():
			case <-c.life.Done():
			}
		}
	}
}

func (c *front) Subscribe(path string, ask Subscriber) (cancel func(), err error) {
	if ask == nil {
		return nil, fault.New(ErrInvalid, "config", "subscribe", path, "nil subscriber")
	}
	if !c.life.Enter() {
		return nil, fault.Wrap("config", "subscribe", path, ErrClosed)
	}
	defer c.life.Leave()
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, stop := context.WithTimeout(c.life.Context(), c.prepare)
	defer stop()
	sub := &subscription{path, ask}
	s := c.current.Load()
	commit, err := sub.prepare(ctx, Change{Path: path, New: s.Get(path), Version: s.version})
	if err != nil {
		return nil, fault.Wrap("config", "subscribe", path, err)
	}
	if commit != nil {
		commit()
	}
	c.subscribers = append(c.subscribers, sub)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.subscribers = slices.DeleteFunc(c.subscribers, func(s *subscription) bool { return s == sub })
	}, nil
}
