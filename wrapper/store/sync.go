package store

import (
	"context"

	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
)

// Sync returns s with w's observers around the taking of locks and permits: how
// long it took, with the waiting, and whether it failed. system is the value of
// db.system.name, such as "etcd".
func Sync(w *wrapper.Wrapper, s sync.Sync, system string) sync.Sync {
	return &locks{s, observer{w.Adapter(), "lock", system}}
}

type locks struct {
	sync.Sync
	o observer
}

func (s *locks) Lock(ctx context.Context, id string, opts ...sync.LockOption) (sync.Lock, error) {
	return s.take(ctx, "lock", id, func(ctx context.Context) (sync.Lock, error) { return s.Sync.Lock(ctx, id, opts...) })
}

func (s *locks) TryLock(ctx context.Context, id string, opts ...sync.LockOption) (sync.Lock, error) {
	return s.take(ctx, "try_lock", id, func(ctx context.Context) (sync.Lock, error) { return s.Sync.TryLock(ctx, id, opts...) })
}

func (s *locks) Semaphore(ctx context.Context, id string, limit int, opts ...sync.LockOption) (sync.Lock, error) {
	return s.take(ctx, "semaphore", id, func(ctx context.Context) (sync.Lock, error) { return s.Sync.Semaphore(ctx, id, limit, opts...) })
}

// take asks for a lock. Its context carries the values of the caller's, and not
// the span of the taking, which is over by then.
func (s *locks) take(ctx context.Context, op, id string, ask func(context.Context) (sync.Lock, error)) (sync.Lock, error) {
	_, done := s.o.begin(ctx, op, id, 1)
	lock, err := ask(ctx)
	done(err)
	return lock, err
}
