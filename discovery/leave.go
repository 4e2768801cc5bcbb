package discovery

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

func (r *registration) Update(ctx context.Context, change func(in *Instance)) error {
	if !r.f.life.Enter() {
		return r.f.closed("update", r.subject())
	}
	defer r.f.life.Leave()
	ctx2, cancel := fronts.Deadline(ctx, r.f.timeout)
	defer cancel()
	joined, release := r.f.life.Join(ctx2)
	defer release()
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-joined.Done():
		return r.f.wrap(ctx, "update", r.subject(), joined.Err())
	}
	next := r.Instance()
	change(&next)
	next = next.Clone()
	var err error
	next.Address, err = HostPort(next.Address)
	r.mu.Lock()
	switch {
	case err != nil:
	case r.stopped:
		err = fault.Closed
	case next.Service != r.service || next.ID != r.id:
		err = fault.Markf(ErrInvalid, "service and id can't change")
	default:
		err = next.Validate()
		if err == nil {
			r.in, r.dirty = next, true
		}
	}
	r.mu.Unlock()
	if err != nil {
		return fault.Wrap(r.f.scope, "update", r.subject(), err)
	}
	sent := time.Now()
	err = r.f.driver.Register(joined, r.entry(), never)
	r.record(sent, err)
	return r.f.wrap(ctx, "update", r.subject(), err)
}

func (r *registration) Drain(ctx context.Context, settle time.Duration) error {
	err := r.Update(ctx, func(in *Instance) { in.Status = Draining })
	if ctx.Err() == nil && !errors.Is(err, fault.Closed) { // else nobody is left who would send work
		// Close ends the wait as well; it deregisters by itself.
		joined, release := r.f.life.Join(ctx)
		_ = backoff.Sleep(joined, settle)
		release()
	}
	if ctx.Err() == nil {
		return errors.Join(err, r.Deregister(ctx))
	}
	return errors.Join(r.f.wrap(ctx, "drain", r.subject(), ctx.Err()), r.Deregister(context.WithoutCancel(ctx)))
}

func (r *registration) Deregister(ctx context.Context) error {
	bounded, cancel := fronts.Deadline(ctx, r.f.timeout)
	defer cancel()
	return r.deregister(ctx, bounded)
}

// deregister is Deregister until bounded ends, for a caller with the context ctx.
func (r *registration) deregister(ctx, bounded context.Context) error {
	if !r.f.life.Enter() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.done {
			return nil
		}
		return r.f.closed("deregister", r.subject())
	}
	defer r.f.life.Leave()
	r.mu.Lock()
	if !r.stopped {
		r.stopped = true
		close(r.stop)
	}
	r.mu.Unlock()
	// A heartbeat in progress is waited for, not cut off: a write that was cut
	// off could reach the registry after the removal.
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-bounded.Done():
		return r.f.wrap(ctx, "deregister", r.subject(), bounded.Err())
	}
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	if done {
		return nil
	}
	err := fault.Guard(func() error { return r.f.driver.Deregister(bounded, r.entry()) }) // Close calls it on a goroutine
	if err != nil {
		return r.f.wrap(ctx, "deregister", r.subject(), err)
	}
	r.f.release(r)
	r.mu.Lock()
	r.done = true
	r.mu.Unlock()
	return nil
}
