package store

import (
	"context"

	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/wrapper"
)

// Sync returns s with w's observers around the taking of locks and permits: how
// long it took, with the waiting, and whether it failed. What is held, waited for
// and lost has metrics too. system is the value of db.system.name, such as "etcd".
func Sync(w *wrapper.Wrapper, s sync.Sync, system string) sync.Sync {
	return &locks{s, observer{w.Adapter(), "lock", system, saysSync}, newMeter(w.Adapter(), s, system)}
}

type locks struct {
	sync.Sync
	o     observer
	meter *meter
}

func (s *locks) Lock(ctx context.Context, id string, opts ...sync.LockOption) (sync.Lock, error) {
	return s.take(ctx, "lock", sync.KindLock, id, func(ctx context.Context) (sync.Lock, error) { return s.Sync.Lock(ctx, id, opts...) })
}

func (s *locks) TryLock(ctx context.Context, id string, opts ...sync.LockOption) (sync.Lock, error) {
	return s.take(ctx, "try_lock", sync.KindLock, id, func(ctx context.Context) (sync.Lock, error) { return s.Sync.TryLock(ctx, id, opts...) })
}

func (s *locks) Semaphore(ctx context.Context, id string, limit int, opts ...sync.LockOption) (sync.Lock, error) {
	return s.take(ctx, "semaphore", sync.KindSemaphore, id, func(ctx context.Context) (sync.Lock, error) { return s.Sync.Semaphore(ctx, id, limit, opts...) })
}

// take asks for a lock. Its context carries the values of the caller's, and not
// the span of the taking, which is over by then.
func (s *locks) take(ctx context.Context, op string, kind sync.Kind, id string, ask func(context.Context) (sync.Lock, error)) (sync.Lock, error) {
	_, done := s.o.begin(ctx, op, id, 1)
	lock, err := ask(ctx)
	done(err)
	if err == nil {
		s.meter.watch(lock.Context(), kind)
	}
	return lock, err
}

func (s *locks) Leader(id string, opts ...sync.LeaderOption) (sync.Leader, error) {
	l, err := s.Sync.Leader(id, opts...)
	if err != nil {
		return nil, err
	}
	return candidate{l, s.meter}, nil
}

func (s *locks) Close() error {
	err := s.Sync.Close()
	s.meter.close()
	return err
}

type leader = sync.Leader // which has a method Leader

// candidate counts terms of office that are lost.
type candidate struct {
	leader
	meter *meter
}

func (l candidate) Elect(ctx context.Context) (sync.Elected, error) {
	e, err := l.leader.Elect(ctx)
	if err == nil {
		l.meter.watch(e.Context(), sync.KindLeader)
	}
	return e, err
}
