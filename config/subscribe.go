package config

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
)

// subscription is a Subscriber and the path that it follows.
type subscription struct {
	guest
	path  string
	ask   Subscriber
	ended atomic.Bool
}

func (c *front) Subscribe(path string, ask Subscriber) (cancel func(), err error) {
	if ask == nil {
		return nil, fault.New(ErrInvalid, "config", "subscribe", path, "nil subscriber")
	}
	if !c.life.Enter() {
		return nil, fault.Wrap("config", "subscribe", path, ErrClosed)
	}
	defer c.life.Leave()
	sub := &subscription{guest: guest{name: fmt.Sprintf("the subscriber of %q", path)}, path: path, ask: ask}
	if err := c.join(sub); err != nil {
		return nil, fault.Wrap("config", "subscribe", path, err)
	}
	return func() { c.unsubscribe(sub) }, nil
}

// join tells a new subscription the value as it is, and takes it in once that
// is the newest: no lock is held while it is asked, so there may be a change in
// between.
func (c *front) join(sub *subscription) error {
	ctx, stop := context.WithTimeout(c.life.Context(), c.prepare)
	defer stop()
	var knows Value
	for first := true; ; first = false {
		s := c.current.Load()
		v := s.Get(sub.path)
		if first || !v.Equal(knows) {
			commit, err := c.ask(ctx, sub, Change{Path: sub.path, Old: knows, New: v, Version: s.version})
			if err == nil && commit != nil {
				err = c.call(ctx, &sub.guest, func(context.Context) error { commit(); return nil })
			}
			if err != nil {
				return err
			}
			knows = v
		}
		if c.takeIn(sub, knows) {
			return nil
		}
	}
}

// takeIn adds a subscription if what it knows is the current value: from then
// on it is asked before each change.
func (c *front) takeIn(sub *subscription, knows Value) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current.Load().Get(sub.path).Equal(knows) {
		return false
	}
	c.subscribers = append(c.subscribers, sub)
	return true
}

func (c *front) unsubscribe(sub *subscription) {
	sub.ended.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.subscribers = slices.DeleteFunc(c.subscribers, func(s *subscription) bool { return s == sub })
}

// ask calls the Subscriber.
func (c *front) ask(ctx context.Context, sub *subscription, ch Change) (commit func(), err error) {
	answer := make(chan func(), 1) // not a variable: a late answer must not be seen
	err = c.call(ctx, &sub.guest, func(ctx context.Context) error {
		commit, err := sub.ask(ctx, ch)
		answer <- commit
		return err
	})
	if err == nil {
		commit = <-answer
	}
	return commit, err
}
