package sql

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// driver implements store.Driver.
type driver struct {
	db    *sql.DB
	name  string // of the table
	every time.Duration

	tables sql.Tables
}

const columns = "namespace, number, id, time, author, comment, action, path, OF, checksum, deleted, data"

// query puts the table's name and what depends on the dialect into a statement.
func (d *driver) query(s string) string {
	s = strings.Replace(s, "OF", d.db.Kind.Quote("of"), 1) // a reserved word of MySQL's
	return d.db.Kind.Rebind(strings.Replace(s, "TABLE_", d.name, 1))
}

// schema is how the table is made.
func (d *driver) schema() sql.Tables {
	return sql.Tables{DB: d.db, There: func(ctx context.Context) error {
		var n int
		return sql.ReadError(d.db.Read.QueryRowContext(ctx, d.query("SELECT COUNT(*) FROM TABLE_ WHERE number < 0")).Scan(&n))
	}, Statements: []string{d.query(`CREATE TABLE IF NOT EXISTS TABLE_ (
		namespace {text 200} NOT NULL, number BIGINT NOT NULL, id TEXT NOT NULL, time BIGINT NOT NULL, author TEXT NOT NULL, comment TEXT NOT NULL,
		action TEXT NOT NULL, path TEXT NOT NULL, OF BIGINT NOT NULL, checksum TEXT NOT NULL, deleted INT NOT NULL, data {bytes},
		PRIMARY KEY (namespace, number))`)}}
}

func (d *driver) Ping(ctx context.Context) error {
	err := d.db.Ping(ctx)
	if err != nil {
		return err
	}
	return d.ready(ctx)
}

func (d *driver) Close() error { return d.db.Close() }

// ready makes the table if it is missing: New with WithLazy does not ask, and the
// database may have lost it since.
func (d *driver) ready(ctx context.Context) error { return orUnavailable(d.tables.Make(ctx)) }

// readError gives the error of a statement that changes nothing its kind.
func (d *driver) readError(err error) error {
	d.tables.Lost(err) // the next call makes it again
	return orUnavailable(sql.ReadError(err))
}

// orUnavailable marks what a database answers: it was not done.
func orUnavailable(err error) error {
	if err == nil || fault.KindOf(err) != nil {
		return err
	}
	return fault.Mark(store.ErrUnavailable, err)
}

// Append leaves the decision between two writers to the primary key. Numbers
// only grow, so once the one before was seen to be the newest, the insert is
// either the next or a duplicate.
func (d *driver) Append(ctx context.Context, r store.Record) error {
	newest, err := d.newest(ctx, "WHERE namespace = ?", r.Namespace)
	if err != nil {
		return err
	}
	if have := newest[r.Namespace]; int64(r.Number) != have+1 {
		return fmt.Errorf("version %d on top of %d: %w", r.Number, have, store.ErrConflict)
	}
	deleted := 0
	if r.Deleted {
		deleted = 1
	}
	_, err = d.db.ExecContext(ctx, d.query("INSERT INTO TABLE_ ("+columns+") VALUES ("+sql.Places(12)+")"),
		r.Namespace, int64(r.Number), r.ID, r.Time.UnixMicro(), r.Author, r.Comment, string(r.Action), r.Path, int64(r.Of), r.Checksum, deleted, r.Data)
	if err == nil {
		return nil
	}
	switch there, readErr := d.Read(ctx, r.Namespace, r.Number); {
	case readErr == nil && there.ID == r.ID:
		return nil
	case readErr == nil:
		return fmt.Errorf("version %d is another's: %w", r.Number, store.ErrConflict)
	}
	if sql.IsCollision(err) { // it passes by itself
		return fault.Mark(store.ErrConflict, err)
	}
	return orUnavailable(sql.WriteError(err))
}

func (d *driver) Watch(ctx context.Context, namespaces []string, changed func(error)) error {
	where := "WHERE namespace IN (" + sql.Places(len(namespaces)) + ")"
	args := make([]any, len(namespaces))
	for i, ns := range namespaces {
		args[i] = ns
	}
	var last map[string]int64
	for first := true; ; first = false {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		now, err := d.newest(limited, where, args...)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return err // the caller waits before it tries again
		}
		if first || !maps.Equal(now, last) {
			changed(nil)
		}
		last = now
		if err := backoff.Sleep(ctx, d.every); err != nil {
			return err
		}
	}
}
