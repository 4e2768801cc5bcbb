package kv

import (
	"context"
	"errors"
	"iter"
	"sync"
	"unicode/utf8"

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
	switch {
	case !utf8.ValidString(prefix):
		return invalidf("prefix is not valid UTF-8")
	case ctx.Err() != nil:
		return ctx.Err()
	case f.life.Closed():
		return ErrClosed
	case !ok || !f.features.Watch:
		return ErrUnsupported
	}
	joined, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(f.life.Context(), func() { cancel(ErrClosed) })
	defer stop()

	w := newWatchState(f, prefix)
	var ended sync.WaitGroup
	ended.Add(2)
	for _, run := range []func(){
		func() { defer ended.Done(); w.follow(joined, d, cancel) },
		func() { defer ended.Done(); w.expiry.run(joined) },
	} {
		if !f.life.Go(func(context.Context) { run() }) {
			cancel(ErrClosed)
			run() // returns at once
		}
	}
	// The reader's goroutine stays until the session has gone, so that a
	// reader that breaks off leaves nothing behind.
	defer func() { cancel(nil); ended.Wait() }()

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
		err := d.Watch(ctx, w.f.namespace+w.prefix, from, s)
		if err == nil {
			err = errors.New("the backend ended the watch")
		}
		return err
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
