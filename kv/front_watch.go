package kv

import (
	"context"
	"iter"
	"sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/internal/watch"
)

func (f *front) Watch(ctx context.Context, prefix string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		if err := f.watch(ctx, prefix, yield); err != nil {
			yield(Event{}, fault.Wrap(f.scope, "watch", fronts.Cut(prefix), err))
		}
	}
}

// watch returns the error that ends the sequence, nil if the reader has left.
func (f *front) watch(ctx context.Context, prefix string, yield func(Event, error) bool) error {
	d, ok := f.driver.(watchDriver)
	if err := f.begin(ctx, prefix, ok && f.features.Watch); err != nil {
		return err
	}
	joined, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(f.life.Context(), func() { cancel(ErrClosed) })
	defer stop()

	w := newWatchState(f, prefix)
	gone := make(chan struct{})
	if !f.life.Go(func(context.Context) {
		defer close(gone)
		var expiry sync.WaitGroup
		expiry.Go(func() { w.expiry.run(joined) })
		w.follow(joined, d, cancel)
		expiry.Wait()
	}) {
		return ErrClosed
	}
	// The reader's goroutine stays until the session has gone, so that a
	// reader that breaks off leaves nothing behind.
	defer func() { cancel(nil); <-gone }()

	for {
		e, err, ok := w.next(joined)
		if !ok {
			return context.Cause(joined)
		}
		if err != nil {
			f.logger.Warn("watch interrupted", "store", f.scope, "prefix", prefix, "error", err)
			err = fault.Wrap(f.scope, "watch", fronts.Cut(prefix), err)
		}
		if !yield(e, err) {
			return nil
		}
	}
}

// follow runs sessions until ctx ends or one fails for good.
func (w *watchState) follow(ctx context.Context, d watchDriver, end context.CancelCauseFunc) {
	opts := watch.Options{OnError: func(err error) {
		if isKind(err, fault.Unsupported, fault.Invalid, fault.Closed) {
			end(err)
			return
		}
		w.interrupted(err)
	}}
	_ = watch.Follow(ctx, opts, func(ctx context.Context, from uint64, progress func(uint64)) error {
		w.begin(from == 0)
		s := &session{w: w, progress: progress}
		return ended(d.Watch(ctx, w.f.namespace+w.prefix, from, s))
	})
}

// session is the Sink of one session.
type session struct {
	w        *watchState
	progress func(uint64)
}

func (s *session) Put(item Item)     { s.w.put(item) }
func (s *session) Delete(key string) { s.w.delete(key) }
func (s *session) Synced(c uint64)   { s.w.synced(); s.progress(c) }
