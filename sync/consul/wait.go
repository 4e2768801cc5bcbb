package consul

import (
	"context"
	"errors"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/internal/backoff"
	consulconn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// wait returns a grant once the claim holds. It rides out what the session
// survives.
func (c *claim) wait(ctx context.Context) (dsync.Grant, error) {
	for failures, refused := 0, 0; ; {
		g, err := c.step(ctx, &refused)
		switch {
		case err == nil && g.Token > 0:
			return g, nil
		case err == nil:
			failures = 0
		case ctx.Err() != nil:
			return dsync.Grant{}, ctx.Err()
		case errors.Is(err, fault.Lost), errors.Is(err, fault.Denied):
			return dsync.Grant{}, err
		default:
			if err := backoff.Sleep(ctx, backoff.Policy{Max: c.TTL / 6}.Wait(failures)); err != nil {
				return dsync.Grant{}, err
			}
			failures++
		}
		if err := c.refresh(ctx); err != nil {
			return dsync.Grant{}, err
		}
	}
}

// step looks, and takes the lock or waits for what is in the way, at most for a
// third of the TTL. refused counts how often the lock was free in vain.
func (c *claim) step(ctx context.Context, refused *int) (dsync.Grant, error) {
	ahead, err := c.look(ctx)
	switch {
	case err != nil:
		return dsync.Grant{}, err
	case ahead != "":
		return dsync.Grant{}, c.block(ctx, ahead)
	}
	if g, err := c.take(ctx); err != nil || g.Token > 0 {
		return g, err
	}
	// First, but refused: held for another moment, or delayed by Consul, which
	// doesn't say for how long.
	if err := c.blockHolder(ctx); err != nil {
		return dsync.Grant{}, err
	}
	*refused++
	return dsync.Grant{}, backoff.Sleep(ctx, backoff.Policy{Min: 2 * time.Millisecond, Max: 250 * time.Millisecond}.Wait(*refused-1))
}

// refresh keeps the place alive. It fails only if the place is lost.
func (c *claim) refresh(ctx context.Context) error {
	if c.session.age() < c.TTL/3 {
		return nil
	}
	if err := c.keep(ctx); errors.Is(err, fault.Lost) {
		return err
	}
	if c.session.age() > c.TTL {
		return fault.Markf(fault.Lost, "the session was not renewed in time")
	}
	return nil
}

// look returns the key whose end matters: "" if the claim is first, the place
// before its own, or, of a semaphore, all places.
func (c *claim) look(ctx context.Context) (ahead string, err error) {
	ctx, cancel := context.WithTimeout(ctx, min(c.Timeout, max(c.TTL/3, time.Second)))
	defer cancel()
	queue, _, err := c.d.conn.KV().List(c.queue, consistent(ctx))
	if err != nil {
		return "", consulconn.Read(err)
	}
	sortQueue(queue)
	for i, p := range queue {
		switch {
		case p.Key != c.place:
		case p.Session != c.session.id:
			return "", fault.Markf(fault.Lost, "the place in the queue is another's")
		case i < c.Limit:
			return "", nil
		case c.Limit > 1:
			return c.queue, nil
		default:
			return queue[i-1].Key, nil
		}
	}
	return "", fault.Markf(fault.Lost, "the place in the queue is gone")
}

// block returns when key may have gone, or after a third of the TTL.
func (c *claim) block(ctx context.Context, key string) error {
	get := func(q *api.QueryOptions) (api.KVPairs, *api.QueryMeta, error) { return c.d.conn.KV().List(key, q) }
	var before int
	return c.until(ctx, get, func(now api.KVPairs, first bool) bool {
		changed := !first && len(now) < before || len(now) == 0
		before = len(now)
		return changed
	})
}

// blockHolder returns when the holder's key may be free, or like block.
func (c *claim) blockHolder(ctx context.Context) error {
	get := func(q *api.QueryOptions) (api.KVPairs, *api.QueryMeta, error) { return c.d.conn.KV().List(c.holder, q) }
	return c.until(ctx, get, func(now api.KVPairs, _ bool) bool { return len(now) == 0 || now[0].Session == "" })
}

var errEnough = errors.New("enough")

// until follows a key until done says so or it is time to renew the session.
func (c *claim) until(ctx context.Context, get func(q *api.QueryOptions) (api.KVPairs, *api.QueryMeta, error), done func(now api.KVPairs, first bool) bool) error {
	wait := max(c.TTL/3-c.session.age(), 100*time.Millisecond)
	end := time.Now().Add(wait)
	first := true
	err := consulconn.Follow(ctx, c.d.conn, wait, get, func(a consulconn.Answer[api.KVPairs]) error {
		if done(a.Value, first) || !time.Now().Before(end) {
			return errEnough
		}
		first = false
		return nil
	})
	if err == errEnough {
		return nil
	}
	return err
}
