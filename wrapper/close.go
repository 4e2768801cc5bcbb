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
// deregisters, closes the subscriptions of wrapper/event, waits until no call
// is in progress, runs what WithOnClose gave, and flushes and closes the parts
// that the Wrapper was given. ctx bounds all of
// it, and calls in progress have nine tenths of its time, so that something is
// left for what comes after them; what is left when it ends is still done, as far
// as that needs no waiting.
// Close is idempotent.
func (w *Wrapper) Close(ctx context.Context) error {
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
			do(w.o.router.Close)
		}
		if w.o.auth != nil {
			do(func(context.Context) error { return w.o.auth.Close() })
		}
		if w.o.monitor != nil {
			do(w.o.monitor.Close)
		}
		if w.o.trace != nil {
			do(w.o.trace.Close)
		}
		if w.o.metrics != nil {
			do(w.o.metrics.Close)
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

// drainMost is drain within nine tenths of the time of ctx.
func (w *Wrapper) drainMost(ctx context.Context) error {
	deadline, ok := ctx.Deadline()
	if !ok {
		return w.drain(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Until(deadline)*9/10)
	defer cancel()
	return w.drain(ctx)
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
