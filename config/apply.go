package config

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// apply makes the sources' newest content the running one, or says why not:
//
//	build     merge what the sources hold into the next snapshot, and resolve its references
//	validate  ask the validators about the whole
//	prepare   ask the subscribers whose value changes; each may refuse
//	swap      make the snapshot the current one and wake the watchers
//	commit    tell those who were asked that it is
//
// Only loop calls it, so changes are one at a time and in order. User code runs
// without a lock: it may use the Config in every way but to wait for the next
// change.
func (c *front) apply(ctx context.Context) error {
	defer c.tell()
	cur := c.current.Load()
	next, restored, err := c.build(ctx, nil)
	if err != nil {
		return c.reject(err)
	}
	if same(cur.root, next.root) { // the same values, perhaps from other places
		next.version, next.applied = cur.version, cur.applied
		c.accept(restored)
		c.refs.adopt(next.references)
		c.current.Store(next)
		c.save()
		return nil
	}
	next.version = cur.version + 1
	if err := c.validate(ctx, next); err != nil {
		return c.reject(err)
	}
	ch := &change{cur: cur, next: next, restored: restored, asked: map[*subscription]bool{}}
	if err := c.prepareAndSwap(ctx, ch); err != nil {
		return c.reject(err)
	}
	c.commit(ctx, ch)
	if c.logger.Enabled(ctx, slog.LevelInfo) {
		c.logger.Info("config: changed", "version", next.version, "hash", next.Hash())
	}
	c.save()
	return nil
}

// change is one change on its way through the steps of apply.
type change struct {
	cur, next *Snapshot
	restored  time.Time // see build
	asked     map[*subscription]bool
	commits   []commit
}

// commit is what a subscriber wants to do once the change is made.
type commit struct {
	sub *subscription
	run func()
}

func (c *front) validate(ctx context.Context, next *Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, c.prepare)
	defer cancel()
	for _, v := range c.validators {
		err := ctx.Err()
		if err == nil {
			err = c.call(ctx, &v.guest, func(ctx context.Context) error { return v.check(ctx, next) })
		}
		if err != nil {
			return fault.Mark(ErrDenied, fmt.Errorf("refused by a validator: %w", err))
		}
	}
	return nil
}

// prepareAndSwap asks the subscribers, also those that join meanwhile, and
// swaps if none refuses. Once the time is over nobody else is asked: each that is late
// would have its grace, and Close would wait for all of them.
func (c *front) prepareAndSwap(ctx context.Context, ch *change) error {
	ctx, cancel := context.WithTimeout(ctx, c.prepare)
	defer cancel()
	for {
		sub := c.unaskedOrSwap(ch)
		if sub == nil {
			return nil
		}
		ch.asked[sub] = true
		before, after := ch.cur.Get(sub.path), ch.next.Get(sub.path)
		if before.Equal(after) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return fault.Mark(ErrDenied, fmt.Errorf("no time was left to ask %s: %w", sub.name, err))
		}
		run, err := c.ask(ctx, sub, Change{Path: sub.path, Old: before, New: after, Version: ch.next.version})
		switch {
		case sub.ended.Load(): // it has no say any more
		case err != nil:
			return fault.Mark(ErrDenied, fmt.Errorf("refused by %s: %w", sub.name, err))
		case run != nil:
			ch.commits = append(ch.commits, commit{sub, run})
		}
	}
}

// unaskedOrSwap returns a subscriber that does not know of the change. If there
// is none it swaps, under the lock by which subscribers join: each has either
// been asked or joins with the new snapshot.
func (c *front) unaskedOrSwap(ch *change) *subscription {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, sub := range c.subscribers {
		if !ch.asked[sub] && !sub.ended.Load() {
			return sub
		}
	}
	c.swap(ch.next, ch.restored)
	for w := range c.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return nil
}

// commit tells the subscribers that the change is made. What goes wrong here
// can't take it back.
func (c *front) commit(ctx context.Context, ch *change) {
	for _, co := range ch.commits {
		if co.sub.ended.Load() {
			continue
		}
		limited, cancel := context.WithTimeout(ctx, c.prepare)
		err := c.call(limited, &co.sub.guest, func(context.Context) error { co.run(); return nil })
		cancel()
		if err != nil {
			c.failed(fmt.Errorf("%s did not follow version %d: %w", co.sub.name, ch.next.version, err))
		}
	}
}

// swap makes next the running snapshot.
func (c *front) swap(next *Snapshot, restored time.Time) {
	if next.version == 0 {
		next.version = 1
	}
	next.applied = time.Now()
	c.refs.adopt(next.references)
	c.current.Store(next)
	c.stateMu.Lock()
	c.unfollowed, c.unfollowedSince = nil, time.Time{}
	c.stateMu.Unlock()
	c.accept(restored)
}
