package wrapper

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/monitor"
)

// Close ends the service in order: it says that the process drains,
// deregisters, closes the subscriptions of wrapper/event, runs what WithOnDrain
// gave and waits until no call is in progress, runs what WithOnClose gave, and
// flushes and closes the parts that the Wrapper was given. From its beginning,
// answers over HTTP ask callers to come on another connection (Connection: close;
// GOAWAY over HTTP/2). Close is idempotent.
//
// ctx bounds all of it, and nothing that does not answer takes the time of what
// comes later: deregistering has a quarter of it, at most 5 s, the calls in
// progress have nine tenths of what is left then, and each part half. What is left
// when ctx ends is still done, as far as that needs no waiting.
func (w *Wrapper) Close(ctx context.Context) error {
	w.draining.Store(true)
	return w.life.Close(func() error {
		var errs []error
		do := func(f func(ctx context.Context) error) {
			// What a user gave may panic, which must not keep the others from being flushed.
			err := fault.Guard(func() error { return f(ctx) })
			if err != nil {
				errs = append(errs, err)
			}
		}
		if w.o.monitor != nil {
			do(func(context.Context) error { w.o.monitor.SetPhase(monitor.Draining); return nil })
		}
		do(w.deregister)
		for _, stop := range w.sources.take() {
			do(stop)
		}
		do(func(ctx context.Context) error { return backoff.Sleep(ctx, w.o.drain) })
		do(w.drainMost)
		for _, f := range w.o.onClose {
			do(f)
		}
		w.client.CloseIdleConnections()
		if w.o.router != nil {
			do(half(w.o.router.Close))
		}
		if w.o.auth != nil {
			do(func(context.Context) error { return w.o.auth.Close() })
		}
		if w.o.monitor != nil {
			do(half(w.o.monitor.Close))
		}
		if w.o.trace != nil {
			do(half(w.o.trace.Close))
		}
		if w.o.metrics != nil {
			do(half(w.o.metrics.Close))
		}
		for _, stop := range w.measured.take() {
			do(stop)
		}
		if w.o.log != nil { // last: the others may log
			do(w.o.log.Close)
		}
		return fault.Wrap("wrapper", "close", "", errors.Join(errs...))
	})
}

// sources are what brings calls by itself, or is read for metrics.
type sources struct {
	mu   sync.Mutex
	next int
	all  map[int]func(context.Context) error
}

func (s *sources) add(stop func(context.Context) error) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[int]func(context.Context) error{}
	}
	id := s.next
	s.next++
	s.all[id] = stop
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.all, id)
	}
}

// take empties s, and returns what was in it in the order of adding.
func (s *sources) take() []func(context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []func(context.Context) error
	for _, id := range slices.Sorted(maps.Keys(s.all)) {
		out = append(out, s.all[id])
	}
	s.all = nil
	return out
}

// within returns a context that has a share of ctx's time, if that is bounded, and
// at most limit, if there is one.
func within(ctx context.Context, share float64, limit time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if ok {
		left := time.Duration(share * float64(time.Until(deadline)))
		if limit == 0 || left < limit {
			limit = left
		}
	}
	if limit == 0 && !ok {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, limit)
}

// half calls f with half of the time that there is.
func half(f func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		ctx, cancel := within(ctx, .5, 0)
		defer cancel()
		return f(ctx)
	}
}

// drainMost is leaveOff within nine tenths of the time of ctx.
func (w *Wrapper) drainMost(ctx context.Context) error {
	ctx, cancel := within(ctx, .9, 0)
	defer cancel()
	return w.leaveOff(ctx)
}

// leaveOff runs what WithOnDrain gave while calls in progress end. When their time is
// over, they are counted before a server hears of it and cuts them off.
func (w *Wrapper) leaveOff(ctx context.Context) error {
	counted, cut := make(chan struct{}), heldBack{ctx, make(chan struct{})}
	defer context.AfterFunc(ctx, func() { <-counted; close(cut.done) })()
	drain := func(context.Context) error { defer close(counted); return w.drain(ctx) }
	return together(cut, append([]func(context.Context) error{drain}, w.o.onDrain...))
}

// heldBack is a context that ends when done is closed, after the one within.
type heldBack struct {
	context.Context
	done chan struct{}
}

func (h heldBack) Done() <-chan struct{} { return h.done }

func (h heldBack) Err() error {
	select {
	case <-h.done:
		return h.Context.Err()
	default:
		return nil
	}
}

// together calls all at the same time, and waits for them.
func together(ctx context.Context, all []func(context.Context) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, f := range all {
		wg.Go(func() { errs[i] = fault.Guard(func() error { return f(ctx) }) })
	}
	wg.Wait()
	return errors.Join(errs...)
}

// drain waits until no call is in progress.
func (w *Wrapper) drain(ctx context.Context) error {
	for w.inFlight.Load() > 0 {
		select {
		case <-w.idle:
		case <-ctx.Done():
			return fmt.Errorf("%d calls in progress: %w", w.inFlight.Load(), ctx.Err())
		}
	}
	return nil
}
