package sync

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/fault"
)

// once makes Release of a claim idempotent and keeps its calls one at a time:
// Unlock, another Unlock and the background may all want it. A panic of the claim in
// Renew or Release is an error: nobody could recover it in the background.
type once struct {
	Claim
	timeout time.Duration // of a request to release

	turn     chan struct{} // held by who calls Release
	done     bool
	result   error
	doubtful bool // an earlier try may have been applied
}

func newOnce(c Claim, timeout time.Duration) *once {
	return &once{Claim: c, timeout: timeout, turn: make(chan struct{}, 1)}
}

func (c *once) Renew(ctx context.Context) (until time.Time, err error) {
	err = fault.Guard(func() (err error) { until, err = c.Claim.Renew(ctx); return err })
	return until, err
}

func (c *once) Release(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
	default: // wait, but no longer than the caller does
		select {
		case c.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	defer func() { <-c.turn }()
	if c.done {
		return c.result
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	err := fault.Guard(func() error { return c.Claim.Release(limited) })
	if err != nil && ctx.Err() == nil && limited.Err() != nil && isContext(err) { // it was sent
		err = fault.Markf(ErrUnknownOutcome, "no answer within %v: %w", c.timeout, err)
	}
	switch {
	case err == nil:
		c.done = true
	case errors.Is(err, fault.Lost):
		if c.doubtful { // it was there when the first try began, which removed it
			err = nil
		}
		c.done, c.result = true, err
	case !errors.Is(err, fault.Unavailable):
		c.doubtful = true
	}
	return err
}
