package sql

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
)

// driver implements discovery.Driver.
type driver struct {
	db   *sql.DB
	kind sql.Kind

	tables  sql.Tables
	striped sql.Striped

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
	d.striped = sql.Striped{Tables: &d.tables, Stripes: stripes, Channel: channel, Lax: true} // heartbeats notice what a crash loses
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
	return c, d.tables.ReadError(err)
}

// rows reads rows one after another.
func (d *driver) rows(ctx context.Context, query string, args []any, each func(scan func(...any) error) error) error {
	rows, err := d.db.Read.QueryContext(ctx, d.kind.Text(query), args...)
	if err != nil {
		return d.tables.ReadError(err)
	}
	defer rows.Close()
	for rows.Next() {
		err := each(rows.Scan)
		if err != nil {
			return d.tables.ReadError(err)
		}
	}
	return d.tables.ReadError(rows.Err())
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
	return n, d.tables.ReadError(err)
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

// in runs f in a transaction that has locked the stripe of a service, again when
// it collides with another. If f returns an error, nothing was done.
func (d *driver) in(ctx context.Context, service string, f func(t *sql.Tx) error) error {
	err := d.striped.Do(ctx, sql.StripeOf(service), f)
	if err == nil {
		d.tail.Poke()
	}
	return err
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
