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

	mu    sync.Mutex
	err   error           // why it ended, once somebody saw that
	why   error           // what cancel was given
	inner context.Context // once somebody called Done
	stop  context.CancelCauseFunc
}

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
	parent := b.Context
	if b.err == context.DeadlineExceeded && parent.Err() == context.Canceled {
		parent = context.WithoutCancel(parent) // cancelled after the deadline: too late
	}
	if b.end.IsZero() || b.err == context.Canceled {
		b.inner, b.stop = context.WithCancelCause(parent)
	} else {
		inner, stop := context.WithDeadline(parent, b.end)
		b.inner, b.stop = inner, func(error) { stop() }
	}
	if b.err != nil {
		b.stop(b.why)
	}
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
	stop := b.stop
	b.mu.Unlock()
	if stop != nil {
		stop(why)
	}
}

// cause is what cancel was given, if that is what ended the context.
func (b *bounded) cause() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.why
}
