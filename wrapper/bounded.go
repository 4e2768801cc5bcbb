package wrapper

import (
	"context"
	"sync"
	"time"
)

// bounded is a context with a deadline, or one that can be cancelled with a
// cause, that costs no allocation and no timer until somebody waits for it. Most
// handlers only ask whether it is over, and then the clock says so. Once Done is
// called it stands on a context of the standard library's, which its children
// find through Value, so that they need no goroutine to follow it.
type bounded struct {
	context.Context           // the parent
	end             time.Time // zero: the parent's
	above           *bounded  // one further up, that was set before this; nil if there is none

	mu    sync.Mutex
	err   error                   // why it ended, once somebody saw that
	why   error                   // what cancel was given
	inner context.Context         // once somebody called Done
	stop  context.CancelCauseFunc // of inner, if it has no deadline
	quit  context.CancelFunc      // of inner, if it has one
	under valued                  // what inner stands on, if above has none of its own
}

// valued is a context with the values of another.
type valued struct {
	context.Context
	values context.Context
}

func (v *valued) Value(key any) any { return v.values.Value(key) }

func (b *bounded) Deadline() (time.Time, bool) {
	end, ok := b.Context.Deadline()
	if b.end.IsZero() || ok && end.Before(b.end) {
		return end, ok
	}
	return b.end, true
}

func (b *bounded) Done() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.inner == nil {
		b.start()
	}
	return b.inner.Done()
}

// start makes the inner context. mu is held.
func (b *bounded) start() {
	parent, end := b.parent()
	if b.err == context.DeadlineExceeded && parent.Err() == context.Canceled {
		parent = context.WithoutCancel(parent) // cancelled after the deadline: too late
	}
	if end.IsZero() || b.err == context.Canceled {
		b.inner, b.stop = context.WithCancelCause(parent)
	} else {
		b.inner, b.quit = context.WithDeadline(parent, end)
	}
	if b.err != nil {
		b.release()
	}
}

// parent is what the inner context stands on, and when that ends. The bound
// above is skipped as long as nobody waits for it: one context and one timer
// then do for both. What lies between has only values then: a context between
// them that could end by itself would wait for the bound above.
func (b *bounded) parent() (context.Context, time.Time) {
	if b.above == nil || !b.above.idle() {
		return b.Context, b.end
	}
	b.under = valued{b.above.Context, b.Context}
	return &b.under, b.above.end
}

// idle reports whether nobody has waited for the context yet, and it has not ended.
func (b *bounded) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inner == nil && b.over() == nil
}

func (b *bounded) Err() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.over()
}

// over returns why the context ended, nil if it has not. mu is held.
func (b *bounded) over() error {
	switch {
	case b.err != nil:
	case b.inner != nil:
		b.err = b.inner.Err()
	case b.Context.Err() != nil:
		b.err = b.Context.Err()
	case !b.end.IsZero() && !time.Now().Before(b.end):
		b.err = context.DeadlineExceeded
	}
	return b.err
}

func (b *bounded) Value(key any) any {
	b.mu.Lock()
	inner := b.inner
	b.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return b.Context.Value(key)
}

// cancel ends the context, with a cause or nil for none, unless it has ended.
func (b *bounded) cancel(why error) {
	b.mu.Lock()
	if b.over() == nil {
		b.err, b.why = context.Canceled, why
	}
	inner := b.inner
	b.mu.Unlock()
	if inner != nil {
		b.release()
	}
}

// release ends the inner context.
func (b *bounded) release() {
	if b.quit != nil {
		b.quit()
	} else {
		b.stop(b.why)
	}
}

// cause is what cancel was given, if that is what ended the context.
func (b *bounded) cause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}
