// Package sql keeps the documents of config/store in a SQL database, through
// database/sql and the program's own driver and pool.
//
//	db, err := sql.Open("pgx", dsn)
//	st, err := store.New(storesql.Backend(db, storesql.PostgreSQL))
//
// One table holds all versions; its primary key (namespace, number) is what
// makes one of two concurrent writes win. The table is created if it is
// missing. Watching is a query by primary key every 300 ms.
package sql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"time"

	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// Dialect is what differs between databases.
type Dialect uint8

// The dialects.
const (
	SQLite Dialect = iota + 1
	MySQL          // and MariaDB
	PostgreSQL
)

// Option is an option of Backend.
type Option func(*driver) error

// WithTable names the table; the default is config_versions.
func WithTable(name string) Option {
	return func(d *driver) error {
		if !tableName.MatchString(name) {
			return fmt.Errorf("WithTable: %q, want letters, digits and underscores, at most 60", name)
		}
		d.table = name
		return nil
	}
}

// WithInterval is how often Watch looks; the default is 300 ms.
func WithInterval(every time.Duration) Option {
	return func(d *driver) error {
		if every <= 0 {
			return fmt.Errorf("WithInterval: %v is not positive", every)
		}
		d.every = every
		return nil
	}
}

var tableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,59}$`)

// Backend keeps documents in db, which Close leaves open.
func Backend(db *sql.DB, dialect Dialect, opts ...Option) store.Option {
	return store.WithDriver("config/store/sql", func(context.Context) (store.Driver, error) {
		if db == nil || dialect < SQLite || dialect > PostgreSQL {
			return nil, fault.Markf(store.ErrInvalid, "want a database and a dialect")
		}
		d := &driver{db: db, dialect: dialect, table: "config_versions", every: 300 * time.Millisecond}
		for _, opt := range opts {
			err := errors.New("nil option")
			if opt != nil {
				err = opt(d)
			}
			if err != nil {
				return nil, fault.Mark(store.ErrInvalid, err)
			}
		}
		return d, nil
	})
}

type driver struct {
	db      *sql.DB
	dialect Dialect
	table   string
	every   time.Duration
}

const columns = "namespace, number, id, time, author, comment, action, path, of, checksum, deleted, data"

// query puts the table's name and the dialect's placeholders into a statement.
func (d *driver) query(s string) string {
	s = strings.ReplaceAll(s, "TABLE_", d.table)
	if d.dialect != PostgreSQL {
		return s
	}
	var b strings.Builder
	for n, part := range strings.Split(s, "?") {
		if n > 0 {
			fmt.Fprintf(&b, "$%d", n)
		}
		b.WriteString(part)
	}
	return b.String()
}

// Ping creates the table.
func (d *driver) Ping(ctx context.Context) error {
	text, key, data, tail := "TEXT", "TEXT", "BLOB", ""
	switch d.dialect {
	case MySQL: // keys of bytes: case matters, and so do trailing spaces
		key, data, tail = "VARBINARY(200)", "LONGBLOB", " CHARACTER SET utf8mb4"
	case PostgreSQL:
		data = "BYTEA"
	}
	create := fmt.Sprintf(`CREATE TABLE IF NOT EXISTS TABLE_ (
		namespace %s NOT NULL, number BIGINT NOT NULL, id %s NOT NULL, time BIGINT NOT NULL, author %s NOT NULL, comment %s NOT NULL,
		action %s NOT NULL, path %s NOT NULL, of BIGINT NOT NULL, checksum %s NOT NULL, deleted INT NOT NULL, data %s,
		PRIMARY KEY (namespace, number))%s`, key, text, text, text, text, text, text, data, tail)
	if d.dialect == MySQL {
		create = strings.ReplaceAll(create, " of BIGINT", " `of` BIGINT")
	}
	_, err := d.db.ExecContext(ctx, d.query(create))
	if err != nil && d.dialect == PostgreSQL { // two at once can collide in its catalogue
		_, err = d.db.ExecContext(ctx, d.query(create))
	}
	return unavailable(err)
}

// cols are the columns, quoted where a word is reserved.
func (d *driver) cols() string {
	if d.dialect == MySQL {
		return strings.Replace(columns, " of,", " `of`,", 1)
	}
	return columns
}

func (d *driver) Close() error { return nil }

// unavailable marks what a database answers to a statement that changes nothing.
func unavailable(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, store.ErrInvalid) {
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
		return fault.Mark(store.ErrUnavailable, err)
	}
	if have := newest[r.Namespace]; int64(r.Number) != have+1 {
		return fmt.Errorf("version %d on top of %d: %w", r.Number, have, store.ErrConflict)
	}
	deleted := 0
	if r.Deleted {
		deleted = 1
	}
	values := strings.TrimSuffix(strings.Repeat("?, ", 12), ", ")
	_, err = d.db.ExecContext(ctx, d.query("INSERT INTO TABLE_ ("+d.cols()+") VALUES ("+values+")"),
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
	return refused(err)
}

// refused gives the error of an insert its kind. What the server itself
// answered was not applied; of it, what passes by itself is tried again as a
// conflict.
func refused(err error) error {
	var state interface{ SQLState() string } // PostgreSQL
	var code interface{ Code() int }         // SQLite
	text := err.Error()
	switch {
	case errors.As(err, &state):
		if c := state.SQLState(); c == "40001" || c == "40P01" { // serialization failure, deadlock
			return fault.Mark(store.ErrConflict, err)
		}
		return fault.Mark(store.ErrUnavailable, err)
	case errors.As(err, &code):
		if c := code.Code() & 0xff; c == 5 || c == 6 { // busy, locked
			return fault.Mark(store.ErrConflict, err)
		}
		return fault.Mark(store.ErrUnavailable, err)
	case strings.HasPrefix(text, "Error 1213") || strings.HasPrefix(text, "Error 1205"): // MySQL: deadlock, lock wait
		return fault.Mark(store.ErrConflict, err)
	case strings.HasPrefix(text, "Error "):
		return fault.Mark(store.ErrUnavailable, err)
	}
	return fault.Mark(store.ErrUnknownOutcome, err)
}

func (d *driver) Watch(ctx context.Context, namespaces []string, changed func(error)) error {
	where := "WHERE namespace IN (" + strings.TrimSuffix(strings.Repeat("?, ", len(namespaces)), ", ") + ")"
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
