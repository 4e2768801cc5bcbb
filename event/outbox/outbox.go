// Package outbox publishes records in the transaction of the database that a
// service writes to: they are published if the transaction is committed, and
// not if it isn't.
//
//	e, err := sql.Open("postgres://shop:secret@10.0.0.1/shop") // of package engine/sql
//	box, err := outbox.New(ctx, e)
//	go box.Relay(ctx, stream)
//
//	tx, err := e.DB().BeginTx(ctx, nil)
//	_, err = tx.ExecContext(ctx, "UPDATE orders SET paid = true WHERE id = $1", id)
//	err = box.Publish(ctx, tx, &event.Record{Type: "order.paid", Subject: id})
//	err = tx.Commit()
//
// # Semantics
//
// Publish writes a row. Relay reads rows in order, publishes them, and deletes
// them: at least once, and under the same ID if once more. Of several relays,
// in any number of processes, one works at a time. Records of transactions that
// followed one another keep their order; a row that was committed late is never
// skipped, since rows are deleted and not counted past.
//
// # Errors
//
// A bad record is event.ErrInvalid from Publish. Relay goes on over errors of
// the database and the stream, and reports them to the logger. A row that can't be
// published would hold up all behind it, so it is set aside in the table, with
// the reason: at once if the stream refuses it as ErrInvalid or ErrTooLarge, and
// otherwise after WithMaxFailures failures, if the row behind it goes through,
// which shows that the stream works. Pending counts such rows, Retry takes
// them up again.
//
// # Closing
//
// Relay ends with its context. The database stays open.
package outbox

import (
	"context"
	dbsql "database/sql"
	"log/slog"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Outbox is a table of records that are to be published. Its methods may be
// called concurrently.
type Outbox struct {
	db   *sql.DB
	poke chan struct{} // something was committed, perhaps
	o    options
}

type options struct {
	log      *slog.Logger
	every    time.Duration
	batch    int
	turn     time.Duration
	failures int
}

// Option configures New.
type Option func(*options) error

// WithLogger sets where Relay reports what it does on its own. The default is
// silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.log) }
}

// WithInterval is how often Relay looks for rows while there are none. The
// default is 100 ms.
func WithInterval(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("interval", d, &o.every) }
}

// turn is how long a relay that shows no life keeps others from taking over.
const turn = 10 * time.Second

// WithMaxFailures is how often publishing a row may fail before the relay goes on
// without it. That the stream is unavailable is no failure of a row. The
// default is 10.
func WithMaxFailures(n int) Option {
	return func(o *options) error {
		if n < 1 {
			return fault.Markf(event.ErrInvalid, "%d failures, want 1 or more", n)
		}
		o.failures = n
		return nil
	}
}

const scope = "event/outbox"

// New makes the tables event_outbox and event_outbox_turn if they aren't there, in
// the database of the engine, which stays open. Of a *sql.DB of your own
// engine/sql.FromDB makes one.
func New(ctx context.Context, e *engine.Engine, opts ...Option) (*Outbox, error) {
	o := options{log: slog.New(slog.DiscardHandler), every: 100 * time.Millisecond, batch: 100, turn: turn, failures: 10}
	db, err := e.Conn()
	if err != nil {
		return nil, fault.Wrap(scope, "new", "", err)
	}
	if err := fronts.Apply(&o, opts); err != nil {
		return nil, fault.Wrap(scope, "new", "", err)
	}
	tables := sql.Tables{DB: db, There: func(ctx context.Context) error {
		var one int
		return sql.ReadError(db.QueryRowContext(ctx, "SELECT one FROM event_outbox_turn WHERE one = 1").Scan(&one))
	}, Statements: []string{
		"CREATE TABLE IF NOT EXISTS event_outbox (seq {serial}, record {bytes} NOT NULL, refused TEXT)",
		"CREATE TABLE IF NOT EXISTS event_outbox_turn (one INTEGER NOT NULL PRIMARY KEY, holder {text 255} NOT NULL, until BIGINT NOT NULL)",
		"INSERT INTO event_outbox_turn (one, holder, until) VALUES (1, '', 0)",
	}}
	err = tables.Make(ctx)
	if err != nil {
		return nil, fault.Wrap(scope, "new", "", err)
	}
	return &Outbox{db: db, poke: make(chan struct{}, 1), o: o}, nil
}

// Execer is a transaction: *sql.Tx, or anything else that executes in one.
type Execer = interface {
	ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error)
}

// Publish writes records into the transaction. ID, Time, RootID and ParentID
// are those that event.Stream.Publish would give them with ctx now. A record
// without a Source gets that of the stream to which it is relayed: where services
// share a database, each of which may relay it, say the Source here.
func (b *Outbox) Publish(ctx context.Context, tx Execer, records ...*event.Record) error {
	if fronts.Nil(tx) { // what db.SQL gives for another database
		return fault.New(fault.Invalid, scope, "publish", "", "no transaction")
	}
	for _, r := range records {
		c, err := event.Prepare(ctx, r)
		if err != nil {
			return fault.Wrap(scope, "publish", "", err)
		}
		if _, err := tx.ExecContext(ctx, b.db.Kind.Rebind("INSERT INTO event_outbox (record) VALUES (?)"), eventdriver.AppendRecord(nil, c)); err != nil {
			return fault.Wrap(scope, "publish", c.ID, sql.WriteError(err))
		}
	}
	return nil
}

// Poke lets Relay look for rows at once: after a commit in the same process.
func (b *Outbox) Poke() {
	select {
	case b.poke <- struct{}{}:
	default:
	}
}

// Pending counts what is not yet published, and what was set aside.
func (b *Outbox) Pending(ctx context.Context) (waiting, refused int64, err error) {
	err = b.db.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(refused) FROM event_outbox").Scan(&waiting, &refused)
	return waiting - refused, refused, fault.Wrap(scope, "pending", "", sql.ReadError(err))
}

// Retry takes up again the rows that were set aside, as after a limit of the
// stream was raised, and returns how many. They are published under their own
// IDs, in the order of the table.
func (b *Outbox) Retry(ctx context.Context) (int64, error) {
	res, err := b.db.ExecContext(ctx, "UPDATE event_outbox SET refused = NULL WHERE refused IS NOT NULL")
	if err != nil {
		return 0, fault.Wrap(scope, "retry", "", sql.WriteError(err))
	}
	n, err := res.RowsAffected()
	b.Poke()
	return n, fault.Wrap(scope, "retry", "", err)
}
