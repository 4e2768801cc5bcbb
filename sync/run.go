package sync

import (
	"context"
	"errors"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// Do runs f while it holds id, and releases id after it. f's context ends with
// ctx or when the lock is lost, and carries ctx's values; token is for the
// resource that f writes to. Do returns f's error, joined with ErrLost if the
// lock was lost meanwhile.
func Do(ctx context.Context, s Sync, id string, f func(ctx context.Context, token uint64) error, opts ...LockOption) error {
	l, err := s.Lock(ctx, id, opts...)
	if err != nil {
		return err
	}
	return during(ctx, l.Context(), l.Unlock, func(ctx context.Context) error { return f(ctx, l.Token()) })
}

// RunElected campaigns, runs f while it leads, and campaigns again when the
// leadership is lost, until ctx ends or f returns by itself; then it resigns
// and returns f's error or ctx's. f's context ends with ctx or with the
// leadership, and f must return then: the next campaign waits for it. A backend
// that is unavailable only delays.
func RunElected(ctx context.Context, l Leader, f func(ctx context.Context, token uint64) error) error {
	for failures := 0; ; failures++ {
		e, err := l.Elect(ctx)
		switch {
		case err == nil:
			failures = 0
			var lost bool // before f returned
			err = during(ctx, e.Context(), e.Resign, func(ctx context.Context) error {
				err := f(ctx, e.Token())
				lost = e.Context().Err() != nil
				return err
			})
			if !lost || ctx.Err() != nil {
				return err
			}
		case ctx.Err() != nil || !outage(err) && !errors.Is(err, fault.Lost) && !errors.Is(err, fault.Timeout):
			return err
		}
		if err := backoff.Sleep(ctx, backoff.Policy{}.Wait(failures)); err != nil {
			return err
		}
	}
}

// during runs f with a context that ends with the caller's or the lease's, and
// ends the lease, also if f panics.
func during(ctx, lease context.Context, end func(context.Context) error, f func(context.Context) error) (err error) {
	both, cancel := context.WithCancelCause(lease)
	stop := context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
	defer func() {
		stop()
		cancel(context.Canceled)
		// The release must happen although ctx may have ended.
		err = errors.Join(err, end(context.WithoutCancel(ctx)))
	}()
	return f(both)
}
