package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// claim implements sync.Claim.
type claim struct {
	dsync.Request
	d      *driver
	stripe int

	granted  bool
	doubt    bool      // a request of Acquire may still arrive
	released bool      // a Release was sent
	alive    time.Time // until when the place in the queue is kept, by the local clock
}

func (d *driver) Claim(r dsync.Request) dsync.Claim {
	return &claim{Request: r, d: d, stripe: sql.StripeOf(r.Key)}
}

func (c *claim) ttl() int64 { return int64((c.TTL + time.Millisecond - 1) / time.Millisecond) }

// place is a row of sync_claims.
type place struct {
	nonce, owner              string
	seq, token, until, places int64
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*dbsql.Rows, error)
}

// queue returns the claims of a key in their order, also those that have ended,
// and the time.
func (d *driver) queue(ctx context.Context, q querier, key string) (all []place, now int64, err error) {
	rows, err := q.QueryContext(ctx, d.kind.Text("SELECT nonce, owner, seq, token, until, places, NOW FROM sync_claims WHERE k = ? ORDER BY seq"), key)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.nonce, &p.owner, &p.seq, &p.token, &p.until, &p.places, &now); err != nil {
			return nil, 0, err
		}
		all = append(all, p)
	}
	return all, now, rows.Err()
}

// call is the context of one request.
func (c *claim) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.Timeout)
}

func (c *claim) Acquire(ctx context.Context, wait bool) (dsync.Grant, error) {
	start := time.Now()
	call, cancel := c.call(ctx)
	defer cancel()
	var token int64
	c.doubt = true
	err := c.d.in(call, c.stripe, func(t *tx) error {
		var err error
		token, err = c.enter(call, t, wait)
		return err
	})
	err = sql.Unanswered(ctx, err) // rolled back
	c.doubt = err != nil && !certain(err)
	switch {
	case err != nil:
		return dsync.Grant{}, err
	case token > 0:
		c.granted = true
		return dsync.Grant{Token: uint64(token), Until: start.Add(c.TTL)}, nil
	}
	c.alive = start.Add(c.TTL)
	return c.wait(ctx)
}

// certain reports whether an error says that nothing is left of the claim.
func certain(err error) bool {
	switch fault.KindOf(err) {
	case fault.Held, fault.Unavailable, fault.Conflict, fault.Invalid, fault.Denied:
		return true
	}
	return false
}

// enter puts the claim into the queue, and grants it if there is room: then it
// returns a token.
func (c *claim) enter(ctx context.Context, t *tx, wait bool) (token int64, err error) {
	all, _, err := c.d.queue(ctx, t, c.Key)
	if err != nil {
		return 0, err
	}
	before, dead := []place(nil), 0
	for _, p := range all {
		switch {
		case p.nonce == c.Nonce:
			return 0, fault.Markf(dsync.ErrConflict, "the claim is there already")
		case p.until <= t.Now:
			dead++
		case p.places != int64(c.Limit):
			return 0, fault.Markf(dsync.ErrConflict, "limit %d, but others use %d", c.Limit, p.places)
		default:
			before = append(before, p)
		}
	}
	if len(before) < c.Limit {
		token = t.Seq
	} else if !wait {
		return 0, fault.Markf(dsync.ErrHeld, "owner %q, token %d", before[0].owner, before[0].token)
	}
	if dead > 0 {
		if _, err := t.Change(ctx, "DELETE FROM sync_claims WHERE k = ? AND until <= ?", c.Key, t.Now); err != nil {
			return 0, err
		}
	}
	_, err = t.Change(ctx, "INSERT INTO sync_claims (nonce, k, seq, token, until, places, owner) VALUES (?, ?, ?, ?, ?, ?, ?)",
		c.Nonce, c.Key, t.Seq, token, t.Now+c.ttl(), c.Limit, c.Owner)
	if sql.IsDuplicate(err) { // released before it arrived
		return 0, dsync.ErrLost
	}
	return token, err
}

// wait keeps the place in the queue alive until it is one of the first, and
// rides out outages for as long as the place may be there.
func (c *claim) wait(ctx context.Context) (dsync.Grant, error) {
	c.d.tail.Join()
	defer c.d.tail.Leave()
	retry := backoff.Policy{Min: 20 * time.Millisecond, Max: time.Second}
	for failures := 0; ; {
		start := time.Now()
		call, cancel := c.call(ctx)
		first, next, seen, err := c.look(call)
		var token int64
		if err == nil && first {
			start = time.Now()
			token, err = c.take(call)
		}
		cancel()
		switch {
		case token > 0:
			c.granted = true
			return dsync.Grant{Token: uint64(token), Until: start.Add(c.TTL)}, nil
		case ctx.Err() != nil:
			return dsync.Grant{}, ctx.Err() // the front releases
		case errors.Is(err, fault.Lost):
			return dsync.Grant{}, err
		case err != nil:
			if time.Now().After(c.alive) {
				return dsync.Grant{}, fault.Mark(dsync.ErrLost, err)
			}
			if e := backoff.Sleep(ctx, retry.Wait(failures)); e != nil {
				return dsync.Grant{}, e
			}
			failures++
			continue
		}
		failures = 0
		c.alive = start.Add(c.TTL)
		c.d.changed(ctx, c.stripe, seen, min(c.TTL/3, next)) // an outage shows when it looks
	}
}

// look keeps the place and reports whether there is room for it, else in how
// long one of those before it ends if it is not renewed, and the stripe's count
// from before it looked.
func (c *claim) look(ctx context.Context) (first bool, next time.Duration, seen int64, err error) {
	counts, err := c.d.ask(ctx)
	if err != nil {
		return false, 0, 0, err
	}
	r, err := c.d.db.ExecContext(ctx, c.d.kind.Text("UPDATE sync_claims SET until = NOW + ? WHERE nonce = ? AND until > NOW"), c.ttl(), c.Nonce)
	if err != nil {
		return false, 0, 0, c.d.tables.ReadError(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return false, 0, 0, dsync.ErrLost
	}
	all, now, err := c.d.queue(ctx, c.d.db.Read, c.Key)
	if err != nil {
		return false, 0, 0, c.d.tables.ReadError(err)
	}
	_, before := c.ahead(all, now)
	next = c.TTL
	for _, p := range before {
		next = min(next, time.Duration(p.until-now)*time.Millisecond)
	}
	return len(before) < c.Limit, next, counts[c.stripe], nil
}

// ahead returns this claim's place, if it is still there, and the live claims
// that have to end before it has room: those before it, and those behind it that
// hold already. These took this one for dead, as a database may that executes a
// request late.
func (c *claim) ahead(all []place, now int64) (own *place, before []place) {
	for i, p := range all {
		switch {
		case p.until <= now:
		case p.nonce == c.Nonce:
			own = &all[i]
		case own == nil || p.token > 0:
			before = append(before, p)
		}
	}
	return own, before
}

// take grants the claim if it is still one of the first, and returns the token,
// or 0.
func (c *claim) take(ctx context.Context) (token int64, err error) {
	c.doubt = true
	err = c.d.in(ctx, c.stripe, func(t *tx) error {
		all, _, err := c.d.queue(ctx, t, c.Key)
		if err != nil {
			return err
		}
		own, before := c.ahead(all, t.Now)
		switch {
		case own == nil, own.token > 0 && len(before) >= c.Limit: // its time was over, and others had their turn
			return dsync.ErrLost
		case own.token > 0: // an answer was lost
			token = own.token
		case len(before) < c.Limit:
			token = t.Seq
		default:
			return nil
		}
		_, err = t.Change(ctx, "UPDATE sync_claims SET token = ?, until = ? WHERE nonce = ?", token, t.Now+c.ttl(), c.Nonce)
		return err
	})
	if err != nil {
		return 0, err
	}
	c.doubt = false
	return token, nil
}

func (c *claim) Renew(ctx context.Context) (time.Time, error) {
	start := time.Now()
	if err := c.d.tables.Make(ctx); err != nil {
		return time.Time{}, err
	}
	r, err := c.d.db.ExecContext(ctx, c.d.kind.Text("UPDATE sync_claims SET until = NOW + ? WHERE nonce = ? AND token > 0 AND until > NOW"), c.ttl(), c.Nonce)
	if err != nil {
		return time.Time{}, c.d.tables.ReadError(err)
	}
	if n, err := r.RowsAffected(); err != nil || n == 0 {
		return time.Time{}, dsync.ErrLost
	}
	return start.Add(c.TTL), nil
}

// keepRefusal is how long a released claim refuses a request that is late.
const keepRefusal = 10 * time.Minute

// Release removes the claim. If a request of Acquire may still arrive, a row
// without a key stays in its way.
func (c *claim) Release(ctx context.Context) error {
	call, cancel := c.call(ctx)
	defer cancel()
	again := c.released
	c.released = true
	lost := false
	err := c.d.in(call, c.stripe, func(t *tx) error {
		n, err := t.Change(call, "DELETE FROM sync_claims WHERE nonce = ? AND until > ?", c.Nonce, t.Now)
		if err != nil {
			return err
		}
		lost = n == 0 && c.granted && !again
		if n == 0 { // it has ended by itself, or there is none
			if _, err := t.Change(call, "DELETE FROM sync_claims WHERE nonce = ?", c.Nonce); err != nil {
				return err
			}
		}
		if !c.doubt {
			return nil
		}
		if _, err := t.Change(call, "DELETE FROM sync_claims WHERE k = '' AND until <= ?", t.Now); err != nil {
			return err
		}
		_, err = t.Change(call, "INSERT INTO sync_claims (nonce, k, seq, token, until, places, owner) VALUES (?, '', 0, 0, ?, 0, '')", c.Nonce, t.Now+keepRefusal.Milliseconds())
		return err
	})
	err = sql.Unanswered(ctx, err) // rolled back
	if err != nil {
		return err
	}
	if lost {
		return dsync.ErrLost
	}
	return nil
}
