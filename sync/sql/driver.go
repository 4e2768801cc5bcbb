package sql

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	dsync "github.com/micro/go-platform/sync"
)

// driver implements sync.Driver.
type driver struct {
	db   *sql.DB
	kind sql.Kind

	tables  sql.Tables
	striped sql.Striped
	tail    sql.Tail[sql.Counts]
}

// minTTL is the shortest life of a claim: on a busy database a transaction takes
// a while.
const minTTL = 100 * time.Millisecond

const channel = "sync_claims" // of PostgreSQL's notifications

func newDriver(db *sql.DB) *driver {
	d := &driver{db: db, kind: db.Kind}
	d.tables = sql.Tables{DB: db, Statements: schema, There: func(ctx context.Context) error { return db.HasStripes(ctx, stripes) }}
	d.striped = sql.Striped{Tables: &d.tables, Stripes: stripes, Channel: channel}
	d.tail = sql.Tail[sql.Counts]{DB: db, Channel: channel, Ask: d.ask, Slowest: 50 * time.Millisecond}
	return d
}

func (d *driver) Features() dsync.Features {
	return dsync.Features{Limits: true, Fair: true, Durable: d.db.Durable(), MinTTL: minTTL, TTLStep: time.Millisecond}
}

func (d *driver) Ping(ctx context.Context) error { return d.db.Ping(ctx) }

func (d *driver) Close() error {
	d.tail.Close()
	return d.db.Close()
}

func (d *driver) ask(ctx context.Context) (c sql.Counts, err error) {
	if err := d.tables.Make(ctx); err != nil {
		return c, err
	}
	c, err = d.db.Counts(ctx, stripes)
	return c, d.tables.ReadError(err)
}

// stripes is the table of stripes.
const stripes = "sync_stripes"

var schema = append([]string{
	"CREATE TABLE IF NOT EXISTS sync_claims (nonce {text 255} NOT NULL PRIMARY KEY, k {text 2000} NOT NULL, seq BIGINT NOT NULL, token BIGINT NOT NULL, until BIGINT NOT NULL, places BIGINT NOT NULL, owner {text 2000} NOT NULL)",
	"CREATE INDEX IF NOT EXISTS sync_claims_k ON sync_claims (k, seq)",
}, sql.MakeStripes(stripes)...)

// tx is a transaction that has locked the stripe of a key.
type tx = sql.Tx

// in runs f in a transaction that has locked the stripe of a key, again when it
// collides with another. If f returns an error, nothing was done.
func (d *driver) in(ctx context.Context, stripe int, f func(t *tx) error) error {
	err := d.striped.Do(ctx, stripe, f)
	if err == nil {
		d.tail.Poke()
	}
	return err
}

func (d *driver) Holder(ctx context.Context, key string) (dsync.Candidate, error) {
	c, _, err := d.holder(ctx, key)
	if err == nil && c.Token == 0 {
		err = dsync.ErrNoLeader
	}
	return c, err
}

// holder returns who holds a key, and for how long if nobody renews.
func (d *driver) holder(ctx context.Context, key string) (dsync.Candidate, time.Duration, error) {
	if err := d.tables.Make(ctx); err != nil {
		return dsync.Candidate{}, 0, err
	}
	all, now, err := d.queue(ctx, d.db.Read, key)
	if err != nil {
		return dsync.Candidate{}, 0, d.tables.ReadError(err)
	}
	for _, c := range all {
		if c.token > 0 && c.until > now {
			return dsync.Candidate{Owner: c.owner, Token: uint64(c.token)}, time.Duration(c.until-now) * time.Millisecond, nil
		}
	}
	return dsync.Candidate{}, 0, nil
}

// Watch looks when the key's stripe changes, and when a holder that nobody
// renews has ended.
func (d *driver) Watch(ctx context.Context, key string, report func(dsync.Candidate)) error {
	d.tail.Join()
	defer d.tail.Leave()
	stripe := sql.StripeOf(key)
	for {
		call, cancel := sql.Bound(ctx)
		before, err := d.ask(call)
		if err != nil {
			cancel()
			return sql.Unanswered(ctx, err)
		}
		c, left, err := d.holder(call, key)
		cancel()
		if err != nil {
			return sql.Unanswered(ctx, err)
		}
		report(c)
		if err := d.changed(ctx, stripe, before[stripe], left); err != nil {
			return sql.Unanswered(ctx, err)
		}
	}
}

// changed waits until a stripe's count is another, or for limit; 0 is no limit.
func (d *driver) changed(ctx context.Context, stripe int, seen int64, limit time.Duration) error {
	bounded := ctx
	if limit > 0 {
		var cancel context.CancelFunc
		bounded, cancel = context.WithTimeout(ctx, limit+time.Millisecond)
		defer cancel()
	}
	_, err := d.tail.Wait(bounded, func(now sql.Counts, later bool) bool {
		return now[stripe] > seen || now[stripe] < seen && later // less: data were lost
	})
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return nil
	}
	return err
}
