package limits

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
)

// longestFill is how many seconds an empty bucket may take to be full: about a
// century, so that a time.Duration holds it.
const longestFill = 3.2e9

// TokenBucket lets perSecond calls through on average, and up to burst at once.
// It is one atomic word (the virtual scheduling of GCRA, ITU-T I.371).
func TokenBucket(perSecond float64, burst int) (Limiter, error) {
	if !(perSecond > 0) || perSecond > 1e9 || burst < 1 || float64(burst)/perSecond > longestFill {
		return nil, fault.New(router.ErrInvalid, "router", "token bucket", "", "%v a second and burst %d, want more than 0, and a bucket that is full within a century", perSecond, burst)
	}
	return newTokenBucket(perSecond, burst), nil
}

type tokenBucket struct {
	name        string
	each, slack time.Duration // between two calls; how far ahead of it they may come
	start       time.Time
	next        atomic.Int64 // when the next call is due, since start
}

func newTokenBucket(perSecond float64, burst int) *tokenBucket {
	each := time.Duration(float64(time.Second) / perSecond)
	return &tokenBucket{name: "token bucket", each: max(each, 1), slack: time.Duration(burst-1) * max(each, 1), start: time.Now()}
}

func (b *tokenBucket) Acquire(context.Context) (Permit, error) {
	if wait := b.take(); wait > 0 {
		s := State{Reset: wait}
		s.Limit, s.Window = b.policy()
		return nil, &Error{Limiter: b.name, After: wait, State: s}
	}
	return free{}, nil
}

// policy is how many calls get through in which time: a full bucket in the time
// that fills it, or in a second if that takes less.
func (b *tokenBucket) policy() (int64, time.Duration) {
	burst := int64(b.slack/b.each) + 1
	fills := time.Duration(burst) * b.each
	if fills < time.Second {
		return int64(time.Second / b.each), time.Second
	}
	return burst, fills
}

// State counts the tokens.
func (b *tokenBucket) State(context.Context) State {
	var s State
	s.Limit, s.Window = b.policy()
	early := max(time.Duration(b.next.Load())-time.Since(b.start), 0) // what is missing of a full bucket
	if early > b.slack {
		s.Reset = early - b.slack
		return s
	}
	s.Remaining = int64((b.slack-early)/b.each) + 1
	if early > 0 {
		s.Reset = b.each - (b.slack-early)%b.each
	}
	return s
}

// take takes a token, or returns how long until there is one.
func (b *tokenBucket) take() time.Duration {
	now := time.Since(b.start)
	for {
		due := b.next.Load()
		if early := time.Duration(due) - now; early > b.slack {
			return early - b.slack
		}
		if b.next.CompareAndSwap(due, max(due, int64(now))+int64(b.each)) {
			return 0
		}
	}
}

// Concurrency lets at most n calls through at the same time.
func Concurrency(n int) (Limiter, error) {
	if n < 1 {
		return nil, fault.New(router.ErrInvalid, "router", "concurrency limit", "", "%d calls, want 1 or more", n)
	}
	return &concurrency{limit: int64(n)}, nil
}

type concurrency struct {
	limit int64
	busy  atomic.Int64
}

func (c *concurrency) Acquire(context.Context) (Permit, error) {
	if c.busy.Add(1) > c.limit {
		c.busy.Add(-1)
		return nil, &Error{Limiter: "concurrency limit", State: State{Limit: c.limit}}
	}
	return c, nil
}

// Release makes the limiter its own permit, so that a call costs no allocation.
func (c *concurrency) Release(router.Outcome) { c.busy.Add(-1) }
