package redis

import (
	"context"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

func (d *driver) Claim(r dsync.Request) dsync.Claim {
	return newClaim(r, d)
}

func newClaim(r dsync.Request, d *driver) *claim {
	return &claim{Request: r, d: d, key: r.Key, ttl: r.TTL.Milliseconds()}
}

type claim struct {
	dsync.Request
	d        *driver
	key, ttl any  // as arguments of commands
	doubtful bool // a request to acquire may still be on its way
}

// try asks once.
func (c *claim) try(ctx context.Context) (answer, error) {
	a, err := c.d.acquire(bound(ctx, c.Timeout), c)
	if err != nil {
		c.doubtful = c.doubtful || !clean(err)
	}
	return a, err
}

// clean reports whether a failed request has certainly not been applied, and
// never will.
func clean(err error) bool {
	return errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Conflict) || errors.Is(err, fault.Invalid) ||
		errors.Is(err, fault.Denied)
}

func (c *claim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	a, err := c.try(ctx)
	switch {
	case err != nil:
		return dsync.Grant{}, err
	case a.granted:
		return c.grant(a), nil
	case !wait:
		return dsync.Grant{}, held(a)
	}
	s := c.d.hub.join(c.Key)
	defer s.leave()
	due := time.NewTimer(min(a.left, firstWait))
	defer due.Stop()
	for failures := 0; ; {
		select {
		case m := <-s.messages: // released, or subscribed: a message may have been missed
			if m == "granted" {
				continue
			}
		case <-due.C: // the holder may have died
		case <-ctx.Done():
			return dsync.Grant{}, c.unless(ctx.Err())
		}
		a, err := c.try(ctx)
		next := a.left + time.Millisecond
		switch {
		case err == nil && a.granted:
			return c.grant(a), nil
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return dsync.Grant{}, c.unless(ctx.Err())
		case errors.Is(err, fault.Conflict), errors.Is(err, fault.Lost), errors.Is(err, fault.Denied), errors.Is(err, fault.Invalid):
			return dsync.Grant{}, c.unless(err)
		default: // an outage: a claim may be repeated, so try on
			next = backoff.Policy{Max: time.Second}.Wait(failures)
			failures++
		}
		due.Reset(next)
	}
}

// firstWait bounds the time until the second try, in case the subscription
// takes long.
const firstWait = time.Second

// unless keeps an error from saying that nothing is left if something may be.
func (c *claim) unless(err error) error {
	if c.doubtful {
		return fault.Mark(fault.UnknownOutcome, err)
	}
	return err
}

func (c *claim) grant(a answer) dsync.Grant {
	c.doubtful = false
	return dsync.Grant{Token: a.token, Until: a.sent.Add(c.TTL)}
}

func held(a answer) error {
	if a.holder.Token == 0 {
		return dsync.ErrHeld
	}
	return fault.Markf(fault.Held, "owner %q, token %d", a.holder.Owner, a.holder.Token)
}

func (c *claim) Renew(ctx context.Context) (time.Time, error) {
	sent := time.Now()
	there, err := c.d.renew(ctx, c)
	switch {
	case err != nil:
		return time.Time{}, err
	case !there:
		return time.Time{}, fault.Markf(fault.Lost, "the key is gone or another's")
	}
	return sent.Add(c.TTL), nil
}

func (c *claim) Release(ctx context.Context) error {
	there, err := c.d.release(bound(ctx, c.Timeout), c, c.doubtful)
	if err == nil && !there && !c.doubtful {
		return dsync.ErrLost
	}
	return err
}
