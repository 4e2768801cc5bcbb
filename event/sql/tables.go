package sql

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// made says that tables are there. It is false again after they were lost.
type made struct {
	atomic.Bool
	making sync.Mutex
}

// once calls f until it has succeeded.
func (m *made) once(f func() error) error {
	if m.Load() {
		return nil
	}
	m.making.Lock()
	defer m.making.Unlock()
	if m.Load() {
		return nil
	}
	if err := f(); err != nil {
		return err
	}
	m.Store(true)
	return nil
}

// make makes what is missing of some tables. A user who may not is fine where they are
// there, which the query says by succeeding.
func (d *driver) make(ctx context.Context, query string, statements ...string) error {
	for _, s := range statements {
		_, err := d.db.ExecContext(ctx, s)
		if err == nil || sql.IsThere(err) {
			continue
		}
		err = sql.WriteError(err)
		if errors.Is(err, fault.Denied) {
			if _, e := d.db.ExecContext(ctx, query); e == nil {
				return nil
			}
		}
		return err
	}
	return nil
}

// tables makes those of the stream.
func (d *driver) tables(ctx context.Context) error {
	return d.made.once(func() error { return d.makeTables(ctx) })
}

func (d *driver) makeTables(ctx context.Context) error {
	text, long, blob, engine := "TEXT", "TEXT", "BLOB", ""
	switch d.kind {
	case sql.MySQL:
		text, long, blob, engine = "VARBINARY(255)", "MEDIUMBLOB", "LONGBLOB", " ENGINE=InnoDB"
	case sql.Postgres:
		blob = "BYTEA"
	}
	seq := "BIGINT NOT NULL PRIMARY KEY"
	if d.kind == sql.SQLite { // an INTEGER PRIMARY KEY is the row's own number
		seq = "INTEGER PRIMARY KEY"
	}
	index := "CREATE INDEX IF NOT EXISTS "
	if d.kind == sql.MySQL {
		index = "CREATE INDEX " // MySQL has no IF NOT EXISTS here; that it is there is no error
	}
	bare := strings.Trim(d.table, "`\"")
	r := strings.NewReplacer("TEXT", text, "LONG", long, "BLOB", blob, "EVENTS", d.table)
	statements := []string{
		"CREATE TABLE IF NOT EXISTS event_streams (stream TEXT NOT NULL PRIMARY KEY, last BIGINT NOT NULL, trimmed BIGINT NOT NULL, bytes BIGINT NOT NULL)" + engine,
		"CREATE TABLE IF NOT EXISTS event_groups (stream TEXT NOT NULL, name TEXT NOT NULL, types BLOB NOT NULL, handed BIGINT NOT NULL, holder TEXT NOT NULL, holder_until BIGINT NOT NULL, PRIMARY KEY (stream, name))" + engine,
		"CREATE TABLE IF NOT EXISTS event_pending (stream TEXT NOT NULL, name TEXT NOT NULL, seq BIGINT NOT NULL, consumer TEXT NOT NULL, until BIGINT NOT NULL, attempts BIGINT NOT NULL, PRIMARY KEY (stream, name, seq))" + engine,
		"CREATE TABLE IF NOT EXISTS EVENTS (seq " + seq + ", id LONG NOT NULL, type LONG NOT NULL, source LONG NOT NULL, root LONG NOT NULL, parent LONG NOT NULL, subject LONG NOT NULL, time BIGINT NOT NULL, stored BIGINT NOT NULL, size BIGINT NOT NULL, metadata BLOB, content_type LONG NOT NULL, data BLOB)" + engine,
	}
	for _, column := range []string{"id", "root"} {
		statements = append(statements, index+d.kind.Quote(bare+"_"+column)+" ON EVENTS ("+d.indexed(column)+")")
	}
	for i := range statements {
		statements[i] = r.Replace(statements[i])
	}
	err := d.make(ctx, "SELECT 1 FROM event_streams, event_groups, event_pending, "+d.table+" WHERE 1 = 0", statements...)
	if err != nil {
		return err
	}
	_, err = d.db.ExecContext(ctx, d.kind.Rebind("INSERT INTO event_streams (stream, last, trimmed, bytes) VALUES (?, 0, 0, 0)"), d.stream)
	if err != nil && !sql.IsDuplicate(err) {
		return sql.WriteError(err)
	}
	if d.kind == sql.SQLite && d.insertOne == nil {
		d.insertOne, err = d.db.PrepareContext(ctx, d.sqliteInsert())
		if err != nil {
			return sql.WriteError(err)
		}
	}
	return d.askLimits(ctx)
}

// planned makes that of what is published later.
func (d *driver) planned(ctx context.Context) error {
	if err := d.tables(ctx); err != nil {
		return err
	}
	return d.plan.once(func() error {
		return d.make(ctx, "SELECT 1 FROM event_scheduled WHERE 1 = 0",
			d.kind.Schema("CREATE TABLE IF NOT EXISTS event_scheduled (stream {text 255} NOT NULL, id {text 255} NOT NULL, due BIGINT NOT NULL, name {bytes} NOT NULL, recurrence {text 255} NOT NULL, record {bytes} NOT NULL, PRIMARY KEY (stream, id))"),
			d.kind.Schema("CREATE INDEX IF NOT EXISTS event_scheduled_due ON event_scheduled (stream, due, id)"))
	})
}

// rostered makes that of the members of divided groups.
func (d *driver) rostered(ctx context.Context) error {
	if err := d.tables(ctx); err != nil {
		return err
	}
	return d.roster.once(func() error {
		return d.make(ctx, "SELECT 1 FROM event_members WHERE 1 = 0",
			d.kind.Schema("CREATE TABLE IF NOT EXISTS event_members (stream {text 255} NOT NULL, name {text 255} NOT NULL, consumer {text 255} NOT NULL, until BIGINT NOT NULL, PRIMARY KEY (stream, name, consumer))"))
	})
}
