package config

import (
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
	next, at := c.build(nil)
	err := c.validate(c.life.Context(), next)
	if err != nil {
		refused := err
		if !saved.complete(c.sources) {
			return errors.Join(refused, savedErr)
		}
		next, at = c.build(saved.parts)
		if c.validate(c.life.Context(), next) != nil {
			return refused
		}
		c.reject(refused)
	}
	c.swap(next, at)
	if !at.IsZero() {
		c.logger.Warn("config: running on last-known-good content", "saved", at, "age", time.Since(at).Round(time.Second),
			"cause", errors.Join(c.sourceErrors(), err))
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
