// Package life keeps what every Close promises: it is idempotent, safe against
// concurrent calls, and waits for the goroutines that the value started.
package life

import (
	"context"
	"sync"
	"sync/atomic"
)

// Life is the span from New to Close of a value that owns goroutines.
type Life struct {
	ctx    context.Context
	cancel context.CancelFunc
	closed atomic.Bool

	mu   sync.Mutex // guards the step from open to closed against Go
	wg   sync.WaitGroup
	once sync.Once
	err  error
}

// New returns an open Life.
func New() *Life {
	ctx, cancel := context.WithCancel(context.Background())
	return &Life{ctx: ctx, cancel: cancel}
}

// Context ends when Close is called.
func (l *Life) Context() context.Context { return l.ctx }

// Done is closed when Close is called.
func (l *Life) Done() <-chan struct{} { return l.ctx.Done() }

// Closed reports whether Close was called. It is one atomic load.
func (l *Life) Closed() bool { return l.closed.Load() }

// Go runs f on a goroutine that Close waits for, with a context that ends when
// Close is called. It reports false, without running f, once Close was called.
func (l *Life) Go(f func(ctx context.Context)) bool {
	if !l.Enter() {
		return false
	}
	go func() {
		defer l.Leave()
		f(l.ctx)
	}()
	return true
}

// Enter marks a call as in progress: Close waits until Leave. It reports
// false, and Leave must not be called, once Close was called.
func (l *Life) Enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed.Load() {
		return false
	}
	l.wg.Add(1)
	return true
}

// Leave ends what a successful Enter began.
func (l *Life) Leave() { l.wg.Done() }

// Join returns a context that ends with ctx or with Close, whichever is first.
// Its release must be called.
func (l *Life) Join(ctx context.Context) (context.Context, context.CancelFunc) {
	joined, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(l.ctx, cancel)
	return joined, func() { stop(); cancel() }
}

// Close ends the context, waits for the goroutines and the calls in progress,
// then runs stop once (it may be nil). Every call, also a concurrent one, returns after that with stop's error.
func (l *Life) Close(stop func() error) error {
	l.once.Do(func() {
		l.mu.Lock()
		l.closed.Store(true)
		l.mu.Unlock()
		l.cancel()
		l.wg.Wait()
		if stop != nil {
			l.err = stop()
		}
	})
	return l.err
}
