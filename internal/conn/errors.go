package conn

import (
	"context"
	"errors"
	"time"
)

// Ended returns ctx's error, also if its deadline has passed a moment before ctx
// has noticed: the network's timers may be faster.
func Ended(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if d, ok := ctx.Deadline(); ok && !time.Now().Before(d) {
		return context.DeadlineExceeded
	}
	return nil
}

// IsContext reports whether err says that a context has ended.
func IsContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// TimedOut reports whether an error of the network says that the time was over.
func TimedOut(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}
