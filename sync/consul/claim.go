package consul

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"
	consulconn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

func (d *driver) Claim(r dsync.Request) dsync.Claim {
	k := keysOf(r.Key)
	return &claim{Request: r, d: d, keys: k, place: k.queue + r.Nonce, value: []byte(strconv.Itoa(r.Limit) + " " + r.Owner)}
}

type claim struct {
	dsync.Request
	keys
	d     *driver
	place string // in the queue
	value []byte

	session  *session
	queued   uint64 // CreateIndex of place; 0: not known to exist
	held     bool   // the holder key
	doubtful bool   // a request with the session may still be on its way
}

// txn runs a transaction; ok is false if the servers refused it, for why.
func (d *driver) txn(ctx context.Context, ops ...*api.KVTxnOp) (results []*api.KVPair, ok bool, why string, err error) {
	all := make(api.TxnOps, len(ops))
	for i, op := range ops {
		all[i] = &api.TxnOp{KV: op}
	}
	ok, r, _, err := d.conn.Txn().Txn(all, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		if strings.Contains(err.Error(), "No cluster leader") { // the API gives no status code here
			err = fault.Mark(fault.Unavailable, err)
		}
		return nil, false, "", consulconn.Write(err)
	}
	if err := consulconn.Refused(r.Errors); err != nil {
		return nil, false, "", err
	}
	for _, e := range r.Errors {
		why += e.What + "; "
	}
	for _, x := range r.Results {
		results = append(results, x.KV)
	}
	return results, ok, why, nil
}

func (c *claim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	if !wait {
		if err := c.peek(ctx); err != nil {
			return dsync.Grant{}, err
		}
	}
	queue, err := c.enqueue(ctx)
	if err != nil {
		return dsync.Grant{}, err
	}
	for _, p := range queue {
		if limit, _ := parse(p); limit != c.Limit {
			return dsync.Grant{}, c.withdraw(ctx, fault.Markf(fault.Conflict, "limit %d, but others use %d", c.Limit, limit))
		}
	}
	if c.first(queue) {
		g, err := c.take(ctx)
		switch {
		case err == nil && g.Token > 0:
			return g, nil
		case errors.Is(err, fault.Lost):
			return dsync.Grant{}, err
		case err != nil && !wait:
			return dsync.Grant{}, c.withdraw(ctx, err)
		} // else a waiter tries again
	}
	if !wait {
		return dsync.Grant{}, c.withdraw(ctx, dsync.ErrHeld)
	}
	return c.wait(ctx)
}

// peek is a look without a trace: ErrHeld if somebody holds or waits.
func (c *claim) peek(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	pairs, _, err := c.d.conn.KV().List(strings.TrimSuffix(c.queue, "queue/"), consistent(ctx))
	if err != nil {
		return unavailable(err)
	}
	for _, p := range pairs {
		if p.Session != "" && c.Limit == 1 {
			_, owner := parse(p)
			return fault.Markf(fault.Held, "owner %q, token %d", owner, p.ModifyIndex)
		}
	}
	return nil
}

// unavailable is for requests that leave nothing behind.
func unavailable(err error) error {
	err = consulconn.Read(err)
	if fault.KindOf(err) == context.DeadlineExceeded {
		err = fault.Mark(fault.Unavailable, err)
	}
	return err
}

// enqueue takes a place and returns the queue, oldest first.
func (c *claim) enqueue(ctx context.Context) ([]*api.KVPair, error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	for {
		s, err := c.d.session(ctx, c.TTL)
		if err != nil {
			return nil, unavailable(err)
		}
		c.session, c.doubtful = s, true
		results, ok, why, err := c.d.txn(ctx,
			&api.KVTxnOp{Verb: api.KVLock, Key: c.place, Value: c.value, Session: s.id},
			&api.KVTxnOp{Verb: api.KVGetTree, Key: c.queue})
		if err != nil {
			if errors.Is(err, fault.Unavailable) || errors.Is(err, fault.Denied) {
				c.session, c.doubtful = nil, false
				c.d.keep(s)
			}
			return nil, err
		}
		c.doubtful = false
		if !ok {
			if strings.Contains(why, "invalid session") && ctx.Err() == nil {
				continue // it had ended while it was idle
			}
			return nil, fault.Markf(fault.Lost, "no place in the queue: %s", why)
		}
		c.queued = results[0].CreateIndex
		queue := results[1:]
		sortQueue(queue)
		return queue, nil
	}
}

func sortQueue(q []*api.KVPair) {
	slices.SortFunc(q, func(a, b *api.KVPair) int {
		return cmp.Or(cmp.Compare(a.CreateIndex, b.CreateIndex), strings.Compare(a.Key, b.Key))
	})
}

// first reports whether the claim is among those that may hold.
func (c *claim) first(queue []*api.KVPair) bool {
	return slices.ContainsFunc(queue[:min(len(queue), c.Limit)], func(p *api.KVPair) bool { return p.Key == c.place })
}

// take acquires the holder's key. A zero grant says that it is not free: its
// last holder's place is gone before the key, or Consul delays.
func (c *claim) take(ctx context.Context) (dsync.Grant, error) {
	token := c.queued
	if c.Limit == 1 {
		ctx, cancel := context.WithTimeout(ctx, c.Timeout)
		defer cancel()
		c.doubtful = true
		results, ok, why, err := c.d.txn(ctx, &api.KVTxnOp{Verb: api.KVLock, Key: c.holder, Value: c.value, Session: c.session.id})
		if err != nil {
			return dsync.Grant{}, err
		}
		c.doubtful = false
		if !ok && strings.Contains(why, "invalid session") {
			return dsync.Grant{}, fault.Markf(fault.Lost, "%s", why)
		}
		if !ok {
			return dsync.Grant{}, nil
		}
		c.held, token = true, results[0].ModifyIndex
	}
	if c.session.age() > c.TTL/2 {
		if err := c.keep(ctx); errors.Is(err, fault.Lost) {
			return dsync.Grant{}, err
		} // after another error, what is left has to do
	}
	return dsync.Grant{Token: token, Until: c.session.until()}, nil
}

// keep renews the session.
func (c *claim) keep(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.TTL/4)
	defer cancel()
	_, err := c.session.renew(ctx)
	return err
}

func (c *claim) Renew(ctx context.Context) (time.Time, error) {
	until, err := c.session.renew(ctx)
	if err != nil {
		return time.Time{}, err
	}
	// The session lives, but somebody may have deleted the key.
	key := c.holder
	if c.Limit > 1 {
		key = c.place
	}
	p, _, err := c.d.conn.KV().Get(key, consistent(ctx))
	if err != nil {
		return time.Time{}, consulconn.Read(err)
	}
	if p == nil || p.Session != c.session.id {
		return time.Time{}, fault.Markf(fault.Lost, "the key was deleted or released by another")
	}
	return until, nil
}

// withdraw releases a claim that is not to be, and returns why; if that fails,
// the front has to go on with it, and hears of that instead.
func (c *claim) withdraw(ctx context.Context, why error) error {
	if err := c.Release(ctx); err != nil {
		return fault.Mark(fault.UnknownOutcome, errors.Join(err, why))
	}
	return why
}

func (c *claim) Release(ctx context.Context) error {
	if c.session == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if c.doubtful || c.queued == 0 {
		// Whatever is still on its way fails without its session.
		return c.session.destroy(ctx)
	}
	ops := []*api.KVTxnOp{{Verb: api.KVCheckSession, Key: c.place, Session: c.session.id}, {Verb: api.KVDelete, Key: c.place}}
	if c.held {
		ops = append(ops, &api.KVTxnOp{Verb: api.KVCheckSession, Key: c.holder, Session: c.session.id}, &api.KVTxnOp{Verb: api.KVDelete, Key: c.holder})
	}
	_, ok, _, err := c.d.txn(ctx, ops...)
	switch {
	case err != nil:
		return err
	case !ok: // a key is gone; the session may have others
		if err := c.session.destroy(ctx); err != nil {
			return err
		}
		return dsync.ErrLost
	}
	c.d.keep(c.session)
	return nil
}

// parse reads the value of a key.
func parse(p *api.KVPair) (limit int, owner string) {
	first, owner, _ := strings.Cut(string(p.Value), " ")
	limit, _ = strconv.Atoi(first)
	return limit, owner
}
