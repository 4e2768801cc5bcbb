package kv

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// bounds is what a remote call holds until it ends.
type bounds struct {
	f      *front
	cancel context.CancelFunc
	own    bool // the deadline is ours, not the caller's
}

// enter begins a call: it refuses ended contexts and closed stores and bounds
// what has no deadline. A local call holds nothing.
func (f *front) enter(ctx context.Context) (context.Context, bounds, error) {
	if err := ctx.Err(); err != nil {
		return ctx, bounds{}, err
	}
	if f.features.Local {
		if f.life.Closed() {
			return ctx, bounds{}, ErrClosed
		}
		return ctx, bounds{}, nil
	}
	if !f.life.Enter() {
		return ctx, bounds{}, ErrClosed
	}
	b := bounds{f: f}
	if _, ok := ctx.Deadline(); ok {
		return ctx, b, nil
	}
	b.own = true
	if f.features.Deadlines {
		return &limited{ctx, time.Now().Add(f.timeout)}, b, nil
	}
	ctx, b.cancel = context.WithTimeout(ctx, f.timeout)
	return ctx, b, nil
}

// limited is a context with a deadline that only Deadline tells of.
type limited struct {
	context.Context
	at time.Time
}

func (l *limited) Deadline() (time.Time, bool) { return l.at, true }

// end ends a call, also one whose driver panics: Close waits for it.
func (b bounds) end() {
	if b.f == nil {
		return
	}
	if b.cancel != nil {
		b.cancel()
	}
	b.f.life.Leave()
}

// late gives a call's error its kind. Our own deadline is no error of the caller's
// context: a backend that did not answer in time is unavailable.
func (b bounds) late(err error) error {
	if b.own && err != nil && errors.Is(err, context.DeadlineExceeded) && !isKind(err, fault.UnknownOutcome, fault.Unavailable) {
		err = fault.Markf(ErrUnavailable, "no answer within %v: %w", b.f.timeout, err)
	}
	return err
}

// done wraps a call's error and tells the observer.
func (f *front) done(op, key string, keys int, start time.Time, err error) error {
	if err != nil {
		err = fault.Wrap(f.scope, op, fronts.Cut(key), err)
	}
	if f.observe != nil {
		c := Call{Backend: f.scope, Op: op, Keys: keys, Duration: time.Since(start), Err: err}
		// It can't fail the call, which may have written.
		f.gate.Guard(f.logger, "the observer failed", func() { f.observe(c) }, "backend", f.scope)
	}
	return err
}

// now is the start of a call, read only if somebody wants to know.
func (f *front) now() (t time.Time) {
	if f.observe != nil {
		t = time.Now()
	}
	return t
}
