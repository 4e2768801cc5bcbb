package config

import (
	"context"
	"iter"

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
