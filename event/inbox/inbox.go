// Package inbox handles each record once: it notes the record's ID in the database
// transaction in which the handler writes. The group that delivers the record does
// so at least once; what the handler commits happens exactly once.
//
//	e, err := sql.Open("postgres://shop:secret@10.0.0.1/shop") // of package engine/sql
//	box, err := inbox.New(ctx, e, "billing")
//	sub, err := stream.Subscribe(ctx, box.Handler(func(ctx context.Context, tx *sql.Tx, r *event.Record) error {
//		_, err := tx.ExecContext(ctx, "UPDATE accounts SET balance = balance - $1 WHERE id = $2", amount, r.Subject)
//		return err
//	}), event.Group("billing"))
//
// In a transaction that begins elsewhere, such as one of package db, call Note:
//
//	err = records.Tx(ctx, func(ctx context.Context, tx db.DB) error {
//		in, ok := db.SQL(tx)
//		if !ok {
//			return errors.New("the records are in no SQL database")
//		}
//		first, err := box.Note(ctx, in, r)
//		if err != nil || !first {
//			return err
//		}
//		… // write with tx
//	})
//
// # Semantics
//
// Handler begins a transaction, notes the record, calls the function, and commits.
// A record that was noted before is done: the function is not called. An error or
// a panic of the function rolls both back, and the record is handled again. When
// two members have the same record at the same time, the second waits for the
// first's transaction, or fails and tries again.
//
// Records are told apart by Source and ID, as CloudEvents says. Notes are kept
// for WithKeep; a repetition that comes later is handled again.
//
// What the function does outside of the transaction is not undone, and may happen
// more than once. For functions without a transaction there is package kvinbox.
//
// # Errors
//
// Those of the database and the function, for the subscription to retry. A commit
// whose answer was lost is retried too, and finds the note if it was applied.
//
// # Closing
//
// There is nothing to close. The database stays open.
package inbox

import (
	"context"
	"crypto/sha256"
	dbsql "database/sql"
	"encoding/hex"
	"sync/atomic"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Inbox is a table of the records that were handled. Its methods may be called
// concurrently.
type Inbox struct {
	db     *sql.DB
	name   string
	keep   time.Duration
	pruned atomic.Int64 // Unix milliseconds
}

// Option configures New.
type Option func(*Inbox) error

// WithKeep is how long it is remembered that a record was handled, by the clocks of
// the processes that handle. It should be longer than a record can be delivered
// again. The default is seven days; the minimum is one second.
func WithKeep(d time.Duration) Option {
	return func(b *Inbox) error {
		if d < time.Second {
			return fault.Markf(event.ErrInvalid, "keep for %v, want a second or more", d)
		}
		b.keep = d
		return nil
	}
}

const scope = "event/inbox"

// New makes the table event_inbox if it isn't there, in the database of the engine,
// which stays open. Of a *sql.DB of your own engine/sql.FromDB makes one. name keeps
// what handles the same records for another purpose apart, and is usually the
// group's: 1 to 255 bytes.
func New(ctx context.Context, e *engine.Engine, name string, opts ...Option) (*Inbox, error) {
	db, err := e.Conn()
	if err != nil {
		return nil, fault.Wrap(scope, "new", name, err)
	}
	if name == "" || len(name) > 255 {
		return nil, fault.New(fault.Invalid, scope, "new", name, "the name has %d bytes, want 1 to 255", len(name))
	}
	b := &Inbox{db: db, name: name, keep: 7 * 24 * time.Hour}
	if err := fronts.Apply(b, opts); err != nil {
		return nil, fault.Wrap(scope, "new", name, err)
	}
	tables := sql.Tables{DB: db, There: func(ctx context.Context) error {
		var made string // written last: a table alone may lack its index
		return sql.ReadError(db.QueryRowContext(ctx, "SELECT record FROM event_inbox WHERE name = ''").Scan(&made))
	}, Statements: []string{
		"CREATE TABLE IF NOT EXISTS event_inbox (name {text 255} NOT NULL, record {text 255} NOT NULL, handled BIGINT NOT NULL, PRIMARY KEY (name, record))",
		"CREATE INDEX IF NOT EXISTS event_inbox_handled ON event_inbox (name, handled)",
		"INSERT INTO event_inbox (name, record, handled) VALUES ('', 'made', 0)",
	}}
	err = tables.Make(ctx)
	if err != nil {
		return nil, fault.Wrap(scope, "new", name, err)
	}
	return b, nil
}

// Handler returns a handler for Subscribe that calls f once for each record, in
// a transaction that it commits if f returns nil.
func (b *Inbox) Handler(f func(ctx context.Context, tx *dbsql.Tx, r *event.Record) error) event.Handler {
	return func(ctx context.Context, r *event.Record) error {
		b.prune(ctx, nil)
		tx, err := b.db.BeginTx(ctx, nil)
		if err != nil {
			return fault.Wrap(scope, "begin", r.ID, sql.ReadError(err))
		}
		defer tx.Rollback() // after Commit it does nothing; a panic of f passes through
		fresh, err := b.note(ctx, tx, r)
		if err != nil {
			return fault.Wrap(scope, "note", r.ID, sql.ReadError(err))
		}
		if !fresh {
			return nil
		}
		if err := f(ctx, tx, r); err != nil {
			return err
		}
		return fault.Wrap(scope, "commit", r.ID, sql.WriteError(tx.Commit()))
	}
}

// Execer is a transaction: *sql.Tx, or anything else that executes in one.
type Execer = interface {
	ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error)
}

// Note notes r in a transaction of yours, of the database that New was given, and
// reports whether it is the first time. If it is not, what r asks for was
// committed before. After an error the transaction must not be committed.
//
// At times Note also removes what is older than WithKeep: of SQLite in tx, else on
// another connection of the pool. If the pool has none left it does so at a later call.
// With a pool of one connection there never is one: only Handler removes anything then.
func (b *Inbox) Note(ctx context.Context, tx Execer, r *event.Record) (first bool, err error) {
	if fronts.Nil(tx) || r == nil { // what db.SQL gives for another database
		return false, fault.New(fault.Invalid, scope, "note", "", "no transaction or no record")
	}
	first, err = b.note(ctx, tx, r)
	if err == nil && first {
		err = b.prune(ctx, tx)
	}
	return first, fault.Wrap(scope, "note", r.ID, sql.ReadError(err))
}

// note reports whether the record was not noted before.
func (b *Inbox) note(ctx context.Context, tx Execer, r *event.Record) (bool, error) {
	insert := "INSERT INTO event_inbox (name, record, handled) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
	if b.db.Kind == sql.MySQL {
		insert = "INSERT IGNORE INTO event_inbox (name, record, handled) VALUES (?, ?, ?)"
	}
	res, err := tx.ExecContext(ctx, b.db.Kind.Rebind(insert), b.name, key(r), time.Now().UnixMilli())
	if err != nil {
		return false, err
	}
	n, err := res.RowsAffected()
	return n > 0, err
}

// key tells records apart.
func key(r *event.Record) string {
	sum := sha256.Sum256([]byte(r.Source + "\x00" + r.ID))
	return hex.EncodeToString(sum[:])
}
