package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// first makes the first snapshot, if need be of last-known-good content.
func (c *front) first() error {
	saved, savedErr := c.loadSaved()
	for _, l := range c.sources {
		if l.problem() != nil {
			saved.restore(l)
		}
	}
	if err := c.sourceErrors(true); err != nil {
		return errors.Join(err, savedErr)
	}
	next, at := c.build(nil)
	err := c.validate(c.life.Context(), next)
	if err != nil {
		refused := err
		if !saved.complete(c.sources) {
			return errors.Join(refused, savedErr)
		}
		if next, at = c.build(saved.parts); c.validate(c.life.Context(), next) != nil {
			return refused
		}
		c.reject(refused)
	}
	c.swap(next, at)
	if !at.IsZero() {
		c.logger.Warn("config: running on last-known-good content", "saved", at, "age", time.Since(at).Round(time.Second),
			"cause", errors.Join(c.sourceErrors(false), err))
	}
	c.save()
	c.tell()
	return nil
}

// build merges the newest content of all layers. pick, unless nil, says which
// parts to take instead of a layer's own, and when they were saved. restored is
// the age of the oldest last-known-good content in the result, if any.
func (c *front) build(pick func(*layer) ([]*tree, time.Time)) (next *Snapshot, restored time.Time) {
	root := emptyObject
	for _, l := range c.sources {
		l.mu.Lock()
		parts, at := l.parts, l.restored
		l.mu.Unlock()
		if pick != nil {
			parts, at = pick(l)
		}
		for _, p := range parts {
			root = merge(root, p)
		}
		if !at.IsZero() && (restored.IsZero() || at.Before(restored)) {
			restored = at
		}
	}
	next = newSnapshot(root, c.secrets, &c.types)
	next.misread = c.misread
	return next, restored
}

func (c *front) validate(ctx context.Context, next *Snapshot) error {
	ctx, cancel := context.WithTimeout(ctx, c.prepare)
	defer cancel()
	for _, v := range c.validators {
		if err := guard(func() error { return v(ctx, next) }); err != nil {
			return fault.Mark(ErrDenied, fmt.Errorf("refused by a validator: %w", err))
		}
	}
	return nil
}

// apply makes the sources' newest content the running one, or says why not.
func (c *front) apply(ctx context.Context) error {
	c.applying.Lock()
	defer c.applying.Unlock()
	defer c.tell()
	cur := c.current.Load()
	next, restored := c.build(nil)
	if same(cur.root, next.root) { // the same values, perhaps from other places
		next.version, next.applied = cur.version, cur.applied
		c.accept(restored)
		c.current.Store(next)
		c.save()
		return nil
	}
	next.version = cur.version + 1
	if err := c.validate(ctx, next); err != nil {
		return c.reject(err)
	}
	commits, err := c.prepareAll(ctx, cur, next, restored)
	if err != nil {
		return c.reject(err)
	}
	for _, commit := range commits {
		commit()
	}
	if c.logger.Enabled(ctx, slog.LevelInfo) {
		c.logger.Info("config: changed", "version", next.version, "hash", next.Hash())
	}
	c.save()
	return nil
}

// prepareAll asks the subscribers and, if none objects, swaps.
func (c *front) prepareAll(ctx context.Context, cur, next *Snapshot, restored time.Time) (commits []func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.prepare)
	defer cancel()
	for _, sub := range c.subscribers {
		before, after := cur.Get(sub.path), next.Get(sub.path)
		if before.Equal(after) {
			continue
		}
		commit, err := sub.prepare(ctx, Change{Path: sub.path, Old: before, New: after, Version: next.version})
		if err != nil {
			return nil, fault.Mark(ErrDenied, fmt.Errorf("refused by the subscriber of %q: %w", sub.path, err))
		}
		if commit != nil {
			commits = append(commits, commit)
		}
	}
	c.swap(next, restored)
	for w := range c.watchers {
		select {
		case w <- struct{}{}:
		default:
		}
	}
	return commits, nil
}

func (s *subscription) prepare(ctx context.Context, ch Change) (commit func(), err error) {
	err = guard(func() (err error) {
		commit, err = s.ask(ctx, ch)
		return err
	})
	return commit, err
}

// swap makes next the running snapshot.
func (c *front) swap(next *Snapshot, restored time.Time) {
	if next.version == 0 {
		next.version = 1
	}
	next.applied = time.Now()
	c.current.Store(next)
	if c.restoredOnly(restored) {
		c.stateMu.Lock()
		c.restored = restored
		c.stateMu.Unlock()
		return
	}
	c.accept(restored)
}

// restoredOnly reports whether the first snapshot had to replace content that
// was refused: the refusal then stays in Health.
func (c *front) restoredOnly(restored time.Time) bool {
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	return c.rejected != nil && !restored.IsZero()
}

func (c *front) accept(restored time.Time) {
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.rejected, c.since, c.restored = nil, time.Time{}, restored
	clear(c.misreads)
}

func (c *front) reject(err error) error {
	c.stateMu.Lock()
	if c.rejected == nil {
		c.since = time.Now()
	}
	c.rejected = err
	c.stateMu.Unlock()
	c.logger.Error("config: change refused, the running configuration stays", "error", err)
	return err
}

// guard turns a panic of user code into an error.
func guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}
