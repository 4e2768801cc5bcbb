package kv

import (
	"context"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/watch"
)

// Follow is for package kv/cache, which finds it by type assertion. It calls
// changed with every key under prefix that may have changed while it is live,
// with less than a watch costs and skipping nothing, until ctx ends or the store
// is closed. Each true is a new life: what changed before it was not told.
func (f *front) Follow(ctx context.Context, prefix string, live func(bool), changed func(key string)) error {
	if !f.life.Enter() {
		return ErrClosed
	}
	defer f.life.Leave()
	ctx, cancel := f.life.Join(ctx)
	defer cancel()
	sink := &followSink{namespace: len(f.namespace), live: live, changed: changed}
	failing := false
	opts := watch.Options{OnError: func(err error) {
		if isKind(err, fault.Unsupported, fault.Invalid) {
			cancel()
		}
		if !failing {
			failing = true
			f.logger.Warn("near cache interrupted: items age", "store", f.scope, "prefix", prefix, "error", err)
		}
	}}
	return watch.Follow(ctx, opts, func(ctx context.Context, from uint64, progress func(uint64)) error {
		defer live(false)
		sink.progress = func(c uint64) { failing = false; progress(c) }
		if d, ok := f.driver.(invalidationDriver); ok {
			return ended(d.Invalidations(ctx, f.namespace+prefix, sink))
		}
		if d, ok := f.driver.(watchDriver); ok && f.features.Watch {
			return ended(d.Watch(ctx, f.namespace+prefix, from, sink))
		}
		return ErrUnsupported
	})
}

// ended is the error of a session, which has one.
func ended(err error) error {
	if err == nil {
		err = fault.Markf(ErrUnavailable, "the backend ended the session")
	}
	return err
}

// followSink is the Sink of the sessions, one after the other.
type followSink struct {
	namespace int // bytes in front of keys
	live      func(bool)
	changed   func(key string)
	progress  func(uint64)
}

func (s *followSink) Put(item Item)        { s.changed(item.Key[s.namespace:]) }
func (s *followSink) Delete(key string)    { s.changed(key[s.namespace:]) }
func (s *followSink) Synced(cursor uint64) { s.live(true); s.progress(cursor) }
