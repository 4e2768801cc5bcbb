package limits

import (
	"context"
	"sync/atomic"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/router"
)

// Waiting makes a limiter that waits instead of refusing: as long as l says
// that a call must wait, while its context lasts. A call that would have to
// wait beyond its deadline is refused at once, and one that l can't say a time
// for, too; see Queue for those.
func Waiting(l Limiter) (Limiter, error) {
	if fronts.Nil(l) {
		return nil, fault.New(router.ErrInvalid, "router", "waiting limit", "", "nil limiter")
	}
	return waiting{l}, nil
}

type waiting struct{ l Limiter }

func (w waiting) Acquire(ctx context.Context) (Permit, error) { return Wait(ctx, w.l) }

func (w waiting) State(ctx context.Context) State { return StateOf(ctx, w.l) }

// Queue lets at most n calls through at the same time, and up to waiting more
// wait for their turn, in the order in which they came, while their contexts
// last. Those beyond are refused. With waiting 0 it is Concurrency.
func Queue(n, waiting int) (Limiter, error) {
	if n < 1 || waiting < 0 {
		return nil, fault.New(router.ErrInvalid, "router", "queue", "", "%d calls and %d that wait, want 1 or more, and 0 or more", n, waiting)
	}
	return &queue{places: make(chan struct{}, n), most: int64(waiting)}, nil
}

type queue struct {
	places chan struct{} // holds an element for each call; its senders are served in order
	most   int64
	wait   atomic.Int64 // how many do
}

func (q *queue) Acquire(ctx context.Context) (Permit, error) {
	select {
	case q.places <- struct{}{}:
		return q, nil
	default:
	}
	if q.wait.Add(1) > q.most {
		q.wait.Add(-1)
		return nil, &Error{Limiter: "queue", State: State{Limit: int64(cap(q.places))}}
	}
	defer q.wait.Add(-1)
	select {
	case q.places <- struct{}{}:
		return q, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Release makes the limiter its own permit, so that a call costs no allocation.
func (q *queue) Release(router.Outcome) { <-q.places }
