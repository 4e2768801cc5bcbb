package wrapper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/micro/go-platform/internal/seldom"
	"github.com/micro/go-platform/router"
)

var errPanicked = errors.New("a part of the call panicked")

// faults reports panics of parts that are the user's own, where they must not end
// a call, let alone the process: to the log, or to slog.Default() if there is
// none. Of a flood a few of each kind are reported.
type faults struct {
	logger *slog.Logger
	gate   seldom.Gate
}

func newFaults(o *options) *faults {
	if o.log == nil {
		return &faults{logger: slog.Default()}
	}
	return &faults{logger: o.log.Logger("wrapper")}
}

// caught is deferred around a part's method, and ends its panic.
func (f *faults) caught(ctx context.Context, what string) {
	v := recover()
	if v != nil {
		f.report(ctx, what, v, debug.Stack())
	}
}

func (f *faults) report(ctx context.Context, what string, v any, stack []byte) {
	pass, dropped := f.gate.Pass(what, time.Now())
	if !pass {
		return
	}
	f.logger.ErrorContext(ctx, what+" panicked", attrExceptionMessage, fmt.Sprint(v), attrExceptionStack, string(stack), "dropped", dropped)
}

// guarded is an observer of the user's own. An observer can't fail a call: one
// that panics is passed over, and a nil context changes nothing.
type guarded struct {
	Observer
	f *faults
}

func (g guarded) Begin(ctx context.Context, c *Call) (next context.Context) {
	next = ctx
	defer g.f.caught(ctx, "an observer")
	got := g.Observer.Begin(ctx, c)
	if got != nil {
		next = got
	}
	return next
}

func (g guarded) End(ctx context.Context, c *Call) {
	defer g.f.caught(ctx, "an observer")
	g.Observer.End(ctx, c)
}

// guardedAttempts is one that watches attempts too.
type guardedAttempts struct {
	guarded
	a AttemptObserver
}

func (g guardedAttempts) BeginAttempt(ctx context.Context, a *Attempt) (next context.Context) {
	next = ctx
	defer g.f.caught(ctx, "an observer")
	got := g.a.BeginAttempt(ctx, a)
	if got != nil {
		next = got
	}
	return next
}

func (g guardedAttempts) EndAttempt(ctx context.Context, a *Attempt) {
	defer g.f.caught(ctx, "an observer")
	g.a.EndAttempt(ctx, a)
}

func (f *faults) guard(ob Observer) Observer {
	g := guarded{ob, f}
	if a, ok := ob.(AttemptObserver); ok {
		return guardedAttempts{g, a}
	}
	return g
}

// leave leaves a gate. One that panics must not keep what others have given, nor
// the count of calls in progress.
func (w *Wrapper) leave(ctx context.Context, c *Call, g Gate) {
	defer w.o.faults.caught(ctx, "a gate")
	g.Leave(ctx, c)
}

// panicked is deferred by a call that goes out: whatever of the user's own
// panicked, the router, limits and observers see the call end. Then the panic
// goes on.
func (c *clientCall) panicked() {
	v := recover()
	if v == nil {
		return
	}
	c.record.Panic, c.record.Stack = v, debug.Stack()
	c.last = result{class: router.ClientError, err: errPanicked, own: true}
	a := c.current
	if a != nil {
		a.result = c.last
		a.done(nil)
	}
	if a != nil && a.backup != nil {
		a.backup.stop()
		c.counts(a)
	}
	c.dropBody()
	c.finish(errPanicked)
	panic(v)
}
