package config

import (
	"context"
	"errors"
	"time"
)

// first makes the first snapshot, if need be of last-known-good content.
func (c *front) first() error {
	saved, savedErr := c.loadSaved()
	for _, l := range c.sources {
		if l.problem() != nil {
			saved.restore(l)
		}
	}
	if err := c.fatal(); err != nil {
		return errors.Join(err, savedErr)
	}
	next, at, refused := c.checked(nil)
	if refused != nil {
		if !saved.complete(c.sources) {
			return errors.Join(refused, savedErr)
		}
		var err error
		next, at, err = c.checked(saved.parts)
		if err != nil {
			return refused
		}
	}
	c.swap(next, at)
	if refused != nil { // which stays in Health until something else is accepted
		c.reject(refused)
	}
	if !at.IsZero() {
		c.logger.Warn("config: running on last-known-good content", "saved", at, "age", time.Since(at).Round(time.Second),
			"cause", errors.Join(c.sourceErrors(), refused))
	}
	c.save()
	c.tell()
	return nil
}

// checked builds and validates a snapshot.
func (c *front) checked(pick func(*layer) ([]*tree, time.Time)) (*Snapshot, time.Time, error) {
	next, at, err := c.build(c.life.Context(), pick)
	if err == nil {
		err = c.validate(c.life.Context(), next)
	}
	return next, at, err
}

// build merges the newest content of all layers. pick, unless nil, says which
// parts to take instead of a layer's own, and when they were saved. restored is
// the age of the oldest last-known-good content in the result, if any. The error
// is that of references that can't be resolved.
func (c *front) build(ctx context.Context, pick func(*layer) ([]*tree, time.Time)) (next *Snapshot, restored time.Time, err error) {
	root := emptyObject
	made := make([]used, len(c.sources))
	for i, l := range c.sources {
		l.mu.Lock()
		made[i] = l.used()
		l.mu.Unlock()
		parts, at := made[i].parts, made[i].restored
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
	root, found, err := c.refs.expand(ctx, root)
	if err != nil {
		return nil, restored, err
	}
	next = newSnapshot(root, c.secrets, &c.types)
	next.misread, next.references, next.used = c.misread, found, made
	return next, restored, nil
}
