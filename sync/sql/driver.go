package sql

import (
	"context"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
)

// driver implements sync.Driver.
type driver struct {
	db   *sql.DB
	kind sql.Kind

	tables sql.Tables
	tail   sql.Tail[sql.Counts]
}

// minTTL is the shortest life of a claim: on a busy database a transaction takes
// a while.
const minTTL = 100 * time.Millisecond

const channel = "sync_claims" // of PostgreSQL's notifications

func newDriver(db *sql.DB) *driver {
	d := &driver{db: db, kind: db.Kind}
	d.tables = sql.Tables{DB: db, Statements: schema, There: func(ctx context.Context) error { return db.HasStripes(ctx, stripes) }}
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
	if err != nil {
		return c, d.readError(err)
	}
	return c, nil
}

// stripes is the table of stripes.
const stripes = "sync_stripes"

var schema = append([]string{
	"CREATE TABLE IF NOT EXISTS sync_claims (nonce {text 255} NOT NULL PRIMARY KEY, k {text 2000} NOT NULL, seq BIGINT NOT NULL, token BIGINT NOT NULL, until BIGINT NOT NULL, places BIGINT NOT NULL, owner {text 2000} NOT NULL)",
	"CREATE INDEX IF NOT EXISTS sync_claims_k ON sync_claims (k, seq)",
}, sql.MakeStripes(stripes)...)

// readError gives the error of a statement that changes nothing its kind, and
// forgets that the tables are there when they are not, as after a loss of data.
func (d *driver) readError(err error) error {
	if d.tables.Lost(err) {
		return fault.Mark(fault.Unavailable, err) // they are made by the next call
	}
	return sql.ReadError(err)
}

// tx is a transaction that has locked a stripe.
type tx struct {
	*dbsql.Tx
	d   *driver
	seq int64 // the stripe's count, used by nobody before
	now int64 // the database's clock, after the stripe was locked
}

// in runs f in a transaction that has locked the stripe of a key, again when it
// collides with another. If f returns an error, nothing was done.
func (d *driver) in(ctx context.Context, stripe int, f func(t *tx) error) error {
	if err := d.tables.Make(ctx); err != nil {
		return err
	}
	return sql.Retry(ctx, func() error { return d.once(ctx, stripe, f) })
}

func (d *driver) once(ctx context.Context, stripe int, f func(t *tx) error) error {
	var o *dbsql.TxOptions
	if d.kind != sql.SQLite {
		o = &dbsql.TxOptions{Isolation: dbsql.LevelReadCommitted}
	}
	inner, err := d.db.BeginTx(ctx, o)
	if err != nil {
		return d.readError(err)
	}
	defer inner.Rollback() // after Commit it does nothing
	t := &tx{Tx: inner, d: d}
	if err := t.lock(ctx, stripe); err != nil {
		return d.readError(err)
	}
	if err := f(t); err != nil {
		if fault.KindOf(err) != nil {
			return err
		}
		return d.readError(err)
	}
	if err := inner.Commit(); err != nil {
		return sql.WriteError(err)
	}
	d.tail.Poke()
	return nil
}

func (t *tx) lock(ctx context.Context, stripe int) error {
	const update = "UPDATE sync_stripes SET seq = seq + 1 WHERE id = ?"
	switch t.d.kind {
	case sql.MySQL:
		if _, err := t.ExecContext(ctx, update, stripe); err != nil {
			return err
		}
		return t.QueryRowContext(ctx, t.d.kind.Text("SELECT seq, NOW FROM sync_stripes WHERE id = ?"), stripe).Scan(&t.seq, &t.now)
	case sql.Postgres:
		var told string
		return t.QueryRowContext(ctx, t.d.kind.Rebind(update)+" RETURNING seq, CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), CAST(pg_notify('"+channel+"', '') AS TEXT)", stripe).Scan(&t.seq, &t.now, &told)
	}
	return t.QueryRowContext(ctx, t.d.kind.Text(update+" RETURNING seq, NOW"), stripe).Scan(&t.seq, &t.now)
}

func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, t.d.kind.Text(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
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
		return dsync.Candidate{}, 0, d.readError(err)
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
