package config

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

func (c *front) Health() Health {
	s := c.current.Load()
	h := Health{Version: s.version, Applied: s.applied, Hash: s.Hash()}
	c.stateMu.Lock()
	h.Rejected, h.Since, h.Restored, h.Unsaved = c.rejected, c.since, c.restored, c.unsaved
	if h.Rejected == nil {
		h.Rejected, h.Since = c.unfollowed, c.unfollowedSince
	}
	for _, err := range c.misreads {
		h.Misreads = append(h.Misreads, err)
	}
	h.Late = slices.Collect(maps.Values(c.late))
	c.stateMu.Unlock()
	h.Unresolved = c.refs.unresolved()
	byText := func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) }
	slices.SortFunc(h.Misreads, byText)
	slices.SortFunc(h.Late, byText)
	slices.SortFunc(h.Unresolved, byText)
	h.OK = h.Rejected == nil && h.Restored.IsZero() && len(h.Late) == 0 && len(h.Unresolved) == 0
	for _, l := range c.sources {
		sh := l.health()
		h.OK = h.OK && sh.Err == nil
		h.Sources = append(h.Sources, sh)
	}
	return h
}

// Err joins everything that is wrong, nil if Health is OK. It is what a health
// check returns.
func (h Health) Err() error {
	var errs []error
	for _, s := range h.Sources {
		if s.Err != nil {
			errs = append(errs, &SourceError{Source: s.Name, Since: s.Since, Err: s.Err})
		}
	}
	if h.Rejected != nil {
		errs = append(errs, h.Rejected)
	}
	errs = append(errs, h.Unresolved...)
	errs = append(errs, h.Late...)
	if !h.Restored.IsZero() {
		errs = append(errs, errors.New("running on last-known-good content of "+h.Restored.Format("2006-01-02 15:04:05 MST")))
	}
	return errors.Join(errs...)
}

// tell logs what changed about the sources and calls onHealth.
func (c *front) tell() {
	c.telling.Lock()
	defer c.telling.Unlock()
	for _, l := range c.sources {
		l.mu.Lock()
		err, was, have := l.err, l.told, l.have
		l.told = err
		l.mu.Unlock()
		switch {
		case err != nil && was == nil:
			what := "config: source failed, its last values stay"
			if !have {
				what = "config: source failed, it has no values yet"
			}
			c.logger.Warn(what, "config.source", l.src.Name(), "error", err)
		case err == nil && was != nil:
			c.logger.Info("config: source is back", "config.source", l.src.Name())
		}
	}
	if c.onHealth == nil || c.current.Load() == nil {
		return
	}
	h := c.Health()
	if h.equal(c.toldHealth) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.prepare)
	defer cancel()
	told := c.call(ctx, &c.healthGuest, func(context.Context) error { c.onHealth(h); return nil })
	if told == nil {
		c.toldHealth = h
	}
}

// equal compares what a person would call a change of health.
func (h Health) equal(o Health) bool {
	return h.OK == o.OK && h.Version == o.Version && text(h.Rejected) == text(o.Rejected) && text(h.Unsaved) == text(o.Unsaved) &&
		slices.EqualFunc(h.Late, o.Late, sameText) && slices.EqualFunc(h.Unresolved, o.Unresolved, sameText) &&
		h.Restored.Equal(o.Restored) &&
		slices.EqualFunc(h.Sources, o.Sources, func(a, b SourceHealth) bool {
			return a.Revision == b.Revision && a.Restored == b.Restored && text(a.Err) == text(b.Err)
		})
}

func sameText(a, b error) bool { return text(a) == text(b) }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// misread notes a getter that met another type.
func (c *front) misread(v Value, want string) {
	path := v.path
	key := path + "\x00" + want
	c.stateMu.Lock()
	_, known := c.misreads[key]
	if known || len(c.misreads) >= 100 {
		c.stateMu.Unlock()
		return
	}
	err := &FieldError{Path: path, Origin: v.t.origin(), Problem: "want " + want + ", got " + v.t.describe(c.secrets, path, v.redaction().all)}
	c.misreads[key] = err
	c.stateMu.Unlock()
	c.logger.Warn("config: default used, the value has another type", "error", err)
}

func (c *front) accept(restored time.Time) {
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.rejected, c.since, c.restored = nil, time.Time{}, restored
	clear(c.misreads)
}

// failed notes until the next swap that not everybody follows the running
// content. A call that is late is in Health by itself.
func (c *front) failed(err error) {
	c.logger.Error("config: a subscriber did not follow a change", "error", err)
	if errors.Is(err, context.DeadlineExceeded) {
		return
	}
	c.stateMu.Lock()
	defer c.stateMu.Unlock()
	c.unfollowed, c.unfollowedSince = err, time.Now()
}

func (c *front) reject(err error) error {
	if c.life.Closed() { // not refused but interrupted
		return err
	}
	c.stateMu.Lock()
	if c.rejected == nil {
		c.since = time.Now()
	}
	c.rejected = err
	c.stateMu.Unlock()
	c.logger.Error("config: change refused, the running configuration stays", "error", err)
	return err
}
