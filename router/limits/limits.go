// Package limits refuses calls that are too many, or makes them wait.
//
//	bucket, err := limits.TokenBucket(100, 20) // a second, and at once
//	permit, err := bucket.Acquire(ctx)
//	if errors.Is(err, router.ErrLimited) { … }
//	defer permit.Release(router.Outcome{})
//
// Limits of a rate: TokenBucket, and Keyed with a bucket for each key. Of calls
// in progress: Concurrency, Queue (a bounded number waits, in order), Gradient
// (learns the limit from latencies). Throttle refuses here what the backend
// would refuse. PerKey makes a limiter for each key, Named gives one the name
// that callers see, Waiting makes one wait instead of refusing. All are safe
// for concurrent use and start no goroutine.
//
// Package wrapper puts them on the calls that come in (WithLimit) and go out
// (WithPolicies); Quota of package router/kv is one over all processes.
package limits

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/router"
)

// Limiter refuses calls that are too many. It is safe for concurrent use.
type Limiter interface {
	// Acquire lets one call through, or returns an *Error. It does not
	// wait, but for Waiting and Queue, which return the context's error if it
	// ends first.
	Acquire(ctx context.Context) (Permit, error)
}

// Permit is a call that a Limiter let through.
type Permit interface {
	// Release ends the call, and must be called exactly once. What the call
	// came to teaches adaptive limiters.
	Release(o router.Outcome)
}

// Error is an ErrLimited that says when to come back.
type Error struct {
	Limiter string
	After   time.Duration // 0: not known
	State                 // as far as the limiter knows it
}

func (e *Error) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%s: %v, again in %v", e.Limiter, router.ErrLimited, e.After.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s: %v", e.Limiter, router.ErrLimited)
}

// Unwrap makes an Error an ErrLimited.
func (e *Error) Unwrap() error { return router.ErrLimited }

// RetryAfter is After, for those who answer callers.
func (e *Error) RetryAfter() time.Duration { return e.After }

// free is the permit of limiters that count starts only.
type free struct{}

func (free) Release(router.Outcome) {}

// acquire calls l, which a user may have written: a nil *Error counts as no error, and
// a nil permit becomes one whose Release does nothing.
func acquire(ctx context.Context, l Limiter) (Permit, error) {
	p, err := l.Acquire(ctx)
	if limit, ok := err.(*Error); ok && limit == nil {
		err = nil // declared as *Error and never set
	}
	if err == nil && p == nil {
		p = free{}
	}
	return p, err
}

// Wait acquires from l, and waits as long as l says while ctx lasts.
func Wait(ctx context.Context, l Limiter) (Permit, error) {
	for {
		p, err := acquire(ctx, l)
		limit, ok := err.(*Error)
		if !ok || limit.After <= 0 {
			return p, err
		}
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) < limit.After {
			return nil, err // it would be in vain
		}
		select {
		case <-time.After(limit.After):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
