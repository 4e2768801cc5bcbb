// Package backoff spaces retries: exponential growth with full jitter, as in
// "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015), but never
// below a floor, so that a retry is never immediate.
package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Policy says how waits grow. The zero value waits from 50 ms to 5 s.
type Policy struct {
	Min time.Duration // the floor of every wait and the first ceiling; 0 means 50 ms
	Max time.Duration // the ceiling that growth stops at; 0 means 5 s
}

// Wait returns how long to wait before the retry that follows n failures in a
// row: between Min and min(Max, Min·2ⁿ), uniformly.
func (p Policy) Wait(n int) time.Duration {
	lo, hi := p.Min, p.Max
	if lo <= 0 {
		lo = 50 * time.Millisecond
	}
	if hi <= 0 {
		hi = 5 * time.Second
	}
	top := max(lo, hi)
	if lo <= top>>n { // else Min·2ⁿ is above, or beyond what a Duration holds
		top = lo << n
	}
	return lo + time.Duration(rand.Int64N(int64(top-lo)+1))
}

// Sleep waits for d or until ctx ends, whose error it returns.
func Sleep(ctx context.Context, d time.Duration) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
