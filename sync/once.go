package sync

import (
	"context"
	"errors"
)

// once makes Release of a claim idempotent and keeps its calls one at a time:
// Unlock, another Unlock and the background may all want it.
type once struct {
	Claim
	turn chan struct{} // 1 place

	// guarded by turn
	done     bool
	result   error
	doubtful bool // an earlier try may have been applied
}

func (c *once) Release(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if c.done {
		return c.result
	}
	err := c.Claim.Release(ctx)
	switch {
	case err == nil:
		c.done = true
	case errors.Is(err, ErrLost):
		if c.doubtful { // it was there when the first try began, which removed it
			err = nil
		}
		c.done, c.result = true, err
	case !errors.Is(err, ErrUnavailable):
		c.doubtful = true
	}
	return err
}
