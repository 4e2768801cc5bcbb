package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"hash/fnv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// driver is one stream in a database.
type driver struct {
	db      *sql.DB
	kind    sql.Kind
	stream  string // its name in the shared tables
	table   string // of its records, quoted
	durable bool
	tail    tail

	made, plan, roster made

	insertOne *dbsql.Stmt // of SQLite, with the tables

	packet atomic.Int64 // MySQL's max_allowed_packet; 0: no limit is known

	writer chan struct{} // holds one value while a publisher writes
	mu     sync.Mutex
	queue  []*entry // publishers that wait for the writer
}

// tableName turns a namespace into the name of a table, which is the same
// for no other.
func tableName(ns string) string {
	if ns == "" {
		return "events"
	}
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, ns)
	if plain == ns && len(ns) <= 40 {
		return "events_" + ns
	}
	h := fnv.New64a()
	h.Write([]byte(ns))
	return fmt.Sprintf("events_%.30s_%016x", plain, h.Sum64())
}

func (d *driver) Features() event.Features {
	return event.Features{Durable: d.durable, Shared: d.durable, Atomic: true, Exclusive: true, Positions: true}
}

func (d *driver) Ping(ctx context.Context) error {
	if err := d.db.Ping(ctx); err != nil {
		return err
	}
	return d.askLimits(ctx)
}

func (d *driver) Close(context.Context) error {
	d.tail.close()
	d.writer <- struct{}{} // a write that nobody waits for any more
	if d.insertOne != nil {
		d.insertOne.Close()
	}
	return d.db.Close()
}

// now is the database's clock in milliseconds, as an expression.
func (d *driver) now() string {
	switch d.kind {
	case sql.Postgres:
		return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
	case sql.MySQL:
		return "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)" // a local time is there twice when the clocks are set back
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
}

// indexed is what an index has of a column that may be long: its beginning.
func (d *driver) indexed(column string) string {
	switch d.kind {
	case sql.MySQL:
		return column + "(255)"
	case sql.Postgres:
		return "left(" + column + ", 255)"
	}
	return column
}

// last is the number of the newest record, in a query of event_streams s.
// SQLite does not keep it beside the records.
func (d *driver) last() string {
	if d.kind == sql.SQLite {
		return "(SELECT COALESCE(MAX(seq), s.trimmed) FROM " + d.table + ")"
	}
	return "s.last"
}

// tx runs f in a transaction, again when it collides with another.
func (d *driver) tx(ctx context.Context, f func(t *tx) error) error {
	return d.retry(ctx, func() error { return d.once(ctx, f) })
}

// tx is a transaction with the dialect's placeholders.
type tx struct {
	*dbsql.Tx
	kind sql.Kind
}

func (t *tx) exec(ctx context.Context, query string, args ...any) (int64, error) {
	res, err := t.ExecContext(ctx, t.kind.Rebind(query), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

func (t *tx) query(ctx context.Context, query string, args ...any) (*dbsql.Rows, error) {
	return t.QueryContext(ctx, t.kind.Rebind(query), args...)
}

// each calls f for each of the rows, and closes them.
func each(rs *dbsql.Rows, f func() error) error {
	defer rs.Close()
	for rs.Next() {
		if err := f(); err != nil {
			return err
		}
	}
	return rs.Err()
}

func (t *tx) row(ctx context.Context, query string, args ...any) *dbsql.Row {
	return t.QueryRowContext(ctx, t.kind.Rebind(query), args...)
}

// forUpdate locks the rows that a SELECT finds. SQLite has one writer anyway.
func (t *tx) forUpdate() string {
	if t.kind == sql.SQLite {
		return ""
	}
	return " FOR UPDATE"
}

func (d *driver) once(ctx context.Context, f func(t *tx) error) error {
	var o *dbsql.TxOptions
	if d.kind != sql.SQLite {
		o = &dbsql.TxOptions{Isolation: dbsql.LevelReadCommitted}
	}
	t, err := d.db.BeginTx(ctx, o)
	if err != nil {
		return sql.ReadError(err)
	}
	if err := f(&tx{t, d.kind}); err != nil {
		t.Rollback()
		if sql.IsMissing(err) || errors.Is(err, dbsql.ErrNoRows) { // as after a loss of data
			d.made.Store(false)
		}
		if sql.IsTooLarge(err) {
			return fault.Mark(fault.TooLarge, err)
		}
		if ended := sql.Ended(ctx, err); ended != nil {
			return ended
		}
		return sql.ReadError(err) // rolled back: not applied
	}
	err = t.Commit()
	if ended := sql.Ended(ctx, err); ended != nil {
		return ended
	}
	return sql.WriteError(err)
}
