package fronts

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// Limit is the deadline that a front gave a call whose context had none. The zero
// Limit is none: what ends such a call is the caller's own.
type Limit struct {
	caller  context.Context
	timeout time.Duration
	at      time.Time
}

// Limited is Deadline, with the Limit by which the call's error is given its kind.
func Limited(ctx context.Context, timeout time.Duration) (context.Context, Limit, context.CancelFunc) {
	if _, ok := ctx.Deadline(); ok {
		return ctx, Limit{}, func() {}
	}
	limited, cancel := context.WithTimeout(ctx, timeout)
	at, _ := limited.Deadline()
	return limited, Limit{ctx, timeout, at}, cancel
}

// Late is fault.Late for the error of a call that was made with ctx, the limited
// context or one made of it: an earlier deadline is its caller's own.
func (l Limit) Late(ctx context.Context, err error) error {
	if err == nil || l.caller == nil {
		return err
	}
	if at, ok := ctx.Deadline(); ok && at.Before(l.at) {
		return err
	}
	return fault.Late(l.caller, l.timeout, err)
}
