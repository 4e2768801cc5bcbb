package kubernetes

import (
	"context"
	"sync"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// bucket bounds what one process asks of an API server, so that a mistake in it
// is not an attack: a token bucket whose tokens may be borrowed, by waiting.
type bucket struct {
	every time.Duration // a token
	burst time.Duration // what may be saved up

	mu   sync.Mutex
	next time.Time // when the next token is whole, if none were saved
}

func newBucket(rate float64, burst int) *bucket {
	every := time.Duration(float64(time.Second) / rate)
	return &bucket{every: every, burst: time.Duration(burst) * every}
}

// take waits for a token. It fails at once if ctx ends before there is one.
func (b *bucket) take(ctx context.Context) error {
	b.mu.Lock()
	now := time.Now()
	if saved := now.Add(-b.burst); b.next.Before(saved) {
		b.next = saved
	}
	wait := b.next.Add(b.every).Sub(now)
	if d, ok := ctx.Deadline(); ok && wait > 0 && now.Add(wait).After(d) {
		b.mu.Unlock()
		return fault.Markf(fault.Unavailable, "not sent: this process has used up its requests for the next %v (client-side rate limit)", wait.Round(time.Millisecond))
	}
	b.next = b.next.Add(b.every)
	b.mu.Unlock()
	if wait <= 0 {
		return ctx.Err()
	}
	return backoff.Sleep(ctx, wait)
}
