package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// driver implements discovery.Driver.
type driver struct {
	db   *sql.DB
	kind sql.Kind

	tables sql.Tables

	leases *leases
	tail   sql.Tail[sql.Counts]
	ends   ends

	stop     context.CancelFunc // of cleaning
	cleaner  context.Context
	cleaned  atomic.Int64 // when old rows were last removed, as UnixNano
	cleaning sync.WaitGroup
}

const (
	channel = "discovery_instances"  // of PostgreSQL's notifications
	slowest = 250 * time.Millisecond // between two questions to a database that doesn't notify
)

func newDriver(db *sql.DB) *driver {
	d := &driver{db: db, kind: db.Kind}
	d.cleaner, d.stop = context.WithCancel(context.Background())
	d.tables = sql.Tables{DB: db, Statements: schema, There: func(ctx context.Context) error { return db.HasStripes(ctx, stripes) }}
	d.leases = &leases{d: d, shared: map[time.Duration]*lease{}, own: map[name]record{}}
	d.tail = sql.Tail[sql.Counts]{DB: db, Channel: channel, Ask: d.ask, Slowest: slowest}
	d.ends = ends{dead: map[string]time.Time{}, poke: d.tail.Poke}
	d.cleaned.Store(time.Now().UnixNano())
	return d
}

func (d *driver) Ping(ctx context.Context) error { return d.db.Ping(ctx) }

func (d *driver) Close() error {
	d.stop()
	d.cleaning.Wait()
	d.ends.close()
	d.tail.Close()
	return d.db.Close()
}

// ask is what the tail asks for: what has changed, and who has died.
func (d *driver) ask(ctx context.Context) (sql.Counts, error) {
	c, err := d.counts(ctx)
	if err == nil {
		err = d.look(ctx)
	}
	return c, err
}

func (d *driver) counts(ctx context.Context) (c sql.Counts, err error) {
	err = d.tables.Make(ctx)
	if err != nil {
		return c, err
	}
	c, err = d.db.Counts(ctx, stripes)
	return c, d.readError(err)
}

// rows reads rows one after another.
func (d *driver) rows(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := d.db.Read.QueryContext(ctx, d.kind.Text(query), args...)
	if err != nil {
		return d.readError(err)
	}
	defer rows.Close()
	for rows.Next() {
		err := each(rows.Scan)
		if err != nil {
			return d.readError(err)
		}
	}
	return d.readError(rows.Err())
}

// exec runs a statement that may be repeated, so that a lost answer to it is
// nothing, and returns how many rows it found.
func (d *driver) exec(ctx context.Context, query string, args ...any) (n int64, err error) {
	err = d.tables.Make(ctx)
	if err != nil {
		return 0, err
	}
	err = sql.Retry(ctx, func() error {
		r, err := d.db.ExecContext(ctx, d.kind.Text(query), args...)
		if err != nil {
			return err
		}
		n, err = r.RowsAffected()
		return err
	})
	return n, d.readError(err)
}

// stripes is the table of stripes.
const stripes = "discovery_stripes"

var schema = append([]string{
	"CREATE TABLE IF NOT EXISTS discovery_instances (service {text 300} NOT NULL, id {text 255} NOT NULL, owner {text 255} NOT NULL, lease {text 255} NOT NULL, " +
		"gone BIGINT NOT NULL, entry {text} NOT NULL, PRIMARY KEY (service, id))",
	"CREATE INDEX IF NOT EXISTS discovery_instances_lease ON discovery_instances (lease)",
	"CREATE TABLE IF NOT EXISTS discovery_leases (id {text 255} NOT NULL PRIMARY KEY, until BIGINT NOT NULL)",
	"CREATE INDEX IF NOT EXISTS discovery_leases_until ON discovery_leases (until)",
}, sql.MakeStripes(stripes)...)

// readError gives the error of a statement that changes nothing its kind.
func (d *driver) readError(err error) error {
	d.tables.Lost(err)
	return sql.ReadError(err)
}

// tx is a transaction that has locked the stripe of a service.
type tx struct {
	*dbsql.Tx
	d   *driver
	now int64 // the database's clock, after the stripe was locked
}

// in runs f in a transaction that has locked the stripe of a service, again when
// it collides with another. If f returns an error, nothing was done.
func (d *driver) in(ctx context.Context, service string, f func(t *tx) error) error {
	err := d.tables.Make(ctx)
	if err != nil {
		return err
	}
	return sql.Retry(ctx, func() error { return d.once(ctx, service, f) })
}

func (d *driver) once(ctx context.Context, service string, f func(t *tx) error) error {
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
	err = t.lock(ctx, sql.StripeOf(service))
	if err == nil {
		err = f(t)
	}
	if err != nil {
		if fault.KindOf(err) != nil || errors.Is(err, errEnded) || errors.Is(err, errNobody) {
			return err
		}
		return d.readError(err)
	}
	err = inner.Commit()
	if err != nil {
		return sql.WriteError(err)
	}
	d.tail.Poke()
	return nil
}

// lock locks a stripe. PostgreSQL needn't wait for its disk, and holds up nobody
// meanwhile: what a crash loses is noticed by a heartbeat.
func (t *tx) lock(ctx context.Context, stripe int) error {
	const update = "UPDATE discovery_stripes SET seq = seq + 1 WHERE id = ?"
	switch t.d.kind {
	case sql.MySQL:
		_, err := t.ExecContext(ctx, update, stripe)
		if err != nil {
			return err
		}
		return t.QueryRowContext(ctx, t.d.kind.Text("SELECT NOW FROM discovery_stripes WHERE id = ?"), stripe).Scan(&t.now)
	case sql.Postgres:
		var told, set string
		return t.QueryRowContext(ctx, t.d.kind.Rebind(update)+" RETURNING CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT), CAST(pg_notify('"+channel+"', '') AS TEXT), set_config('synchronous_commit', 'off', true)", stripe).Scan(&t.now, &told, &set)
	}
	return t.QueryRowContext(ctx, t.d.kind.Text(update+" RETURNING NOW"), stripe).Scan(&t.now)
}

func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	r, err := t.ExecContext(ctx, t.d.kind.Text(query), args...)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (d *driver) Services(ctx context.Context) (names []string, err error) {
	err = d.tables.Make(ctx)
	if err != nil {
		return nil, err
	}
	err = d.rows(ctx, "SELECT DISTINCT i.service FROM discovery_instances i JOIN discovery_leases l ON l.id = i.lease WHERE i.gone = 0 AND l.until > NOW", nil,
		func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	return names, err
}

var _ discovery.Driver = (*driver)(nil)
