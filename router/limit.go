package router

import (
	"context"
	"fmt"
	"time"
)

// Limiter refuses calls that are too many. It is safe for concurrent use.
type Limiter interface {
	// Acquire lets one call through, or returns a *LimitError. It does not
	// wait, but for Waiting and Queue, which return the context's error if it
	// ends first.
	Acquire(ctx context.Context) (Permit, error)
}

// Permit is a call that a Limiter let through.
type Permit interface {
	// Release ends the call, and must be called exactly once. What the call
	// came to teaches adaptive limiters.
	Release(o Outcome)
}

// LimitError is an ErrLimited that says when to come back.
type LimitError struct {
	Limiter    string
	After      time.Duration // 0: not known
	LimitState               // as far as the limiter knows it
}

func (e *LimitError) Error() string {
	if e.After > 0 {
		return fmt.Sprintf("%s: %v, again in %v", e.Limiter, ErrLimited, e.After.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s: %v", e.Limiter, ErrLimited)
}

// Unwrap makes a LimitError an ErrLimited.
func (e *LimitError) Unwrap() error { return ErrLimited }

// RetryAfter is After, for those who answer callers.
func (e *LimitError) RetryAfter() time.Duration { return e.After }

// free is the permit of limiters that count starts only.
type free struct{}

func (free) Release(Outcome) {}

// Wait acquires from l, and waits as long as l says while ctx lasts.
func Wait(ctx context.Context, l Limiter) (Permit, error) {
	for {
		p, err := l.Acquire(ctx)
		limit, ok := err.(*LimitError)
		if !ok || limit.After <= 0 {
			return p, err
		}
		if end, bounded := ctx.Deadline(); bounded && time.Until(end) < limit.After {
			return nil, err // it would be in vain
		}
		t := time.NewTimer(limit.After)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}
