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

	made   atomic.Bool // the tables are there
	making sync.Mutex

	insertOne *dbsql.Stmt // of SQLite, with the tables

	packet atomic.Int64 // MySQL's max_allowed_packet; 0: no limit is known

	plan   planTable
	roster rosterTable

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

// tables makes what is missing, once.
func (d *driver) tables(ctx context.Context) error {
	if d.made.Load() {
		return nil
	}
	d.making.Lock()
	defer d.making.Unlock()
	if d.made.Load() {
		return nil
	}
	text, long, blob, serial := "TEXT", "TEXT", "BLOB", ""
	switch d.kind {
	case sql.MySQL:
		text, long, blob, serial = "VARBINARY(255)", "MEDIUMBLOB", "LONGBLOB", " ENGINE=InnoDB"
	case sql.Postgres:
		blob = "BYTEA"
	}
	r := strings.NewReplacer("TEXT", text, "LONG", long, "BLOB", blob, "EVENTS", d.table)
	bare := strings.Trim(d.table, "`\"")
	statements := []string{
		"CREATE TABLE IF NOT EXISTS event_streams (stream TEXT NOT NULL PRIMARY KEY, last BIGINT NOT NULL, trimmed BIGINT NOT NULL, bytes BIGINT NOT NULL)" + serial,
		"CREATE TABLE IF NOT EXISTS event_groups (stream TEXT NOT NULL, name TEXT NOT NULL, types BLOB NOT NULL, handed BIGINT NOT NULL, holder TEXT NOT NULL, holder_until BIGINT NOT NULL, PRIMARY KEY (stream, name))" + serial,
		"CREATE TABLE IF NOT EXISTS event_pending (stream TEXT NOT NULL, name TEXT NOT NULL, seq BIGINT NOT NULL, consumer TEXT NOT NULL, until BIGINT NOT NULL, attempts BIGINT NOT NULL, PRIMARY KEY (stream, name, seq))" + serial,
		"CREATE TABLE IF NOT EXISTS EVENTS (seq BIGINT NOT NULL PRIMARY KEY, id LONG NOT NULL, type LONG NOT NULL, source LONG NOT NULL, root LONG NOT NULL, parent LONG NOT NULL, subject LONG NOT NULL, time BIGINT NOT NULL, stored BIGINT NOT NULL, size BIGINT NOT NULL, metadata BLOB, content_type LONG NOT NULL, data BLOB)" + serial,
	}
	if d.kind == sql.SQLite { // an INTEGER PRIMARY KEY is the row's own number
		statements[3] = strings.Replace(statements[3], "seq BIGINT NOT NULL PRIMARY KEY", "seq INTEGER PRIMARY KEY", 1)
	}
	index := "CREATE INDEX IF NOT EXISTS "
	if d.kind == sql.MySQL {
		index = "CREATE INDEX " // MySQL has no IF NOT EXISTS here; that it is there is no error below
	}
	for _, column := range []string{"id", "root"} {
		statements = append(statements, index+d.kind.Quote(bare+"_"+column)+" ON EVENTS ("+d.indexed(column)+")")
	}
	for _, s := range statements {
		if _, err := d.db.ExecContext(ctx, r.Replace(s)); err != nil && !sql.IsThere(err) {
			return sql.WriteError(err)
		}
	}
	_, err := d.db.ExecContext(ctx, d.kind.Rebind("INSERT INTO event_streams (stream, last, trimmed, bytes) VALUES (?, 0, 0, 0)"), d.stream)
	if err != nil && !sql.IsDuplicate(err) {
		return sql.WriteError(err)
	}
	if d.kind == sql.SQLite && d.insertOne == nil {
		d.insertOne, err = d.db.PrepareContext(ctx, d.sqliteInsert())
		if err != nil {
			return sql.WriteError(err)
		}
	}
	if err := d.askLimits(ctx); err != nil {
		return err
	}
	d.made.Store(true)
	return nil
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
