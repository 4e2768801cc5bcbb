// Package outbox publishes records in the transaction of the database that a
// service writes to: they are published if the transaction is committed, and
// not if it isn't.
//
//	box, err := outbox.Open(ctx, db, outbox.Postgres)
//	go box.Relay(ctx, stream)
//
//	tx, err := db.BeginTx(ctx, nil)
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
// the database and the stream, and reports them to the logger; a record that the
// stream refuses for what it is would hold up all behind it, so it is set
// aside in the table, with the reason.
//
// # Closing
//
// Relay ends with its context. The database stays open.
package outbox

import (
	"context"
	"crypto/rand"
	dbsql "database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// Dialect is the kind of the database.
type Dialect int

// The dialects. MySQL databases need clientFoundRows=true in their address.
const (
	SQLite   = Dialect(sql.SQLite)
	MySQL    = Dialect(sql.MySQL)
	Postgres = Dialect(sql.Postgres)
)

// Outbox is a table of records that are to be published. Its methods may be
// called concurrently.
type Outbox struct {
	db   *dbsql.DB
	kind sql.Kind
	log  *slog.Logger
	poke chan struct{} // something was committed, perhaps
	o    options
}

type options struct {
	log   *slog.Logger
	every time.Duration
	batch int
	turn  time.Duration
}

// Option configures Open.
type Option func(*options) error

// WithLogger sets where Relay reports what it does on its own. The default is
// silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return fault.Markf(event.ErrInvalid, "nil logger")
		}
		o.log = l
		return nil
	}
}

// WithInterval is how often Relay looks for rows while there are none. The
// default is 100 ms.
func WithInterval(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fault.Markf(event.ErrInvalid, "interval %v", d)
		}
		o.every = d
		return nil
	}
}

// WithTurn is how long a relay that shows no life keeps others from taking
// over. The default is 10 s.
func WithTurn(d time.Duration) Option {
	return func(o *options) error {
		if d < 10*time.Millisecond {
			return fault.Markf(event.ErrInvalid, "turn of %v", d)
		}
		o.turn = d
		return nil
	}
}

const scope = "event/outbox"

// Open makes the tables event_outbox and event_outbox_turn if they aren't
// there.
func Open(ctx context.Context, db *dbsql.DB, d Dialect, opts ...Option) (*Outbox, error) {
	o := options{log: slog.New(slog.DiscardHandler), every: 100 * time.Millisecond, batch: 100, turn: 10 * time.Second}
	if db == nil || d < SQLite || d > Postgres {
		return nil, fault.New(fault.Invalid, scope, "new", "", "no database or unknown dialect")
	}
	for _, opt := range opts {
		if opt == nil {
			return nil, fault.New(fault.Invalid, scope, "new", "", "nil option")
		}
		if err := opt(&o); err != nil {
			return nil, fault.Wrap(scope, "new", "", err)
		}
	}
	b := &Outbox{db: db, kind: sql.Kind(d), log: o.log, poke: make(chan struct{}, 1), o: o}
	serial, blob, text := "seq INTEGER PRIMARY KEY AUTOINCREMENT", "BLOB", "TEXT"
	switch b.kind {
	case sql.MySQL:
		serial, blob, text = "seq BIGINT AUTO_INCREMENT PRIMARY KEY", "LONGBLOB", "VARCHAR(255)"
	case sql.Postgres:
		serial, blob = "seq BIGSERIAL PRIMARY KEY", "BYTEA"
	}
	for _, s := range []string{
		"CREATE TABLE IF NOT EXISTS event_outbox (" + serial + ", record " + blob + " NOT NULL, refused " + text + ")",
		"CREATE TABLE IF NOT EXISTS event_outbox_turn (one INTEGER NOT NULL PRIMARY KEY, holder " + text + " NOT NULL, until BIGINT NOT NULL)",
	} {
		if _, err := db.ExecContext(ctx, s); err != nil && !sql.IsThere(err) {
			return nil, fault.Wrap(scope, "new", "", sql.WriteError(err))
		}
	}
	if _, err := db.ExecContext(ctx, "INSERT INTO event_outbox_turn (one, holder, until) VALUES (1, '', 0)"); err != nil && !sql.IsDuplicate(err) {
		return nil, fault.Wrap(scope, "new", "", sql.WriteError(err))
	}
	return b, nil
}

// Execer is a transaction: *sql.Tx, or anything else that executes in one.
type Execer = interface {
	ExecContext(ctx context.Context, query string, args ...any) (dbsql.Result, error)
}

// Publish writes records into the transaction. ID, Time, RootID and ParentID
// are those that event.Stream.Publish would give them with ctx now.
func (b *Outbox) Publish(ctx context.Context, tx Execer, records ...*event.Record) error {
	for _, r := range records {
		c, err := event.Prepare(ctx, r)
		if err != nil {
			return fault.Wrap(scope, "publish", "", err)
		}
		if _, err := tx.ExecContext(ctx, b.kind.Rebind("INSERT INTO event_outbox (record) VALUES (?)"), event.AppendRecord(nil, c)); err != nil {
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

// Pending counts what is not yet published, and what the stream refused.
func (b *Outbox) Pending(ctx context.Context) (waiting, refused int64, err error) {
	err = b.db.QueryRowContext(ctx, "SELECT COUNT(*), COUNT(refused) FROM event_outbox").Scan(&waiting, &refused)
	return waiting - refused, refused, fault.Wrap(scope, "pending", "", sql.ReadError(err))
}

// Relay publishes what was committed to a stream until ctx ends, whose error it
// returns.
func (b *Outbox) Relay(ctx context.Context, to event.Stream) error {
	var id [8]byte
	rand.Read(id[:])
	holder := hex.EncodeToString(id[:])
	defer b.giveUp(context.WithoutCancel(ctx), holder)
	for failures := 0; ; {
		n, err := b.round(ctx, holder, to)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			b.log.Warn("event: outbox", "error", err)
			if e := backoff.Sleep(ctx, backoff.Policy{}.Wait(failures)); e != nil {
				return e
			}
			failures++
			continue
		case n > 0:
			failures = 0
			continue
		}
		failures = 0
		timer := time.NewTimer(b.o.every)
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-b.poke:
		}
		timer.Stop()
	}
}

// now is the database's clock in milliseconds.
func (b *Outbox) now() string {
	switch b.kind {
	case sql.Postgres:
		return "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)"
	case sql.MySQL:
		return "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"
	}
	return "CAST(unixepoch('subsec') * 1000 AS INTEGER)"
}

// round publishes a batch, if it is this relay's turn.
func (b *Outbox) round(ctx context.Context, holder string, to event.Stream) (int, error) {
	began := time.Now()
	res, err := b.db.ExecContext(ctx, b.kind.Rebind("UPDATE event_outbox_turn SET holder = ?, until = "+b.now()+" + ? WHERE one = 1 AND (holder = ? OR until < "+b.now()+")"),
		holder, b.o.turn.Milliseconds(), holder)
	if err != nil {
		return 0, fmt.Errorf("taking the turn: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return 0, err
	}
	// What takes longer than the turn is done by nobody else meanwhile only if
	// it ends with it.
	ctx, cancel := context.WithDeadline(ctx, began.Add(b.o.turn*9/10))
	defer cancel()
	rows, err := b.db.QueryContext(ctx, b.kind.Rebind("SELECT seq, record FROM event_outbox WHERE refused IS NULL ORDER BY seq LIMIT ?"), b.o.batch)
	if err != nil {
		return 0, err
	}
	var seqs []any
	var records []*event.Record
	var broken error
	for rows.Next() {
		var seq int64
		var blob []byte
		if err := rows.Scan(&seq, &blob); err != nil {
			rows.Close()
			return 0, err
		}
		r, err := event.ParseRecord(string(blob))
		if err != nil {
			if len(seqs) == 0 {
				seqs, broken = []any{seq}, err
			}
			break // after those before it
		}
		seqs, records = append(seqs, seq), append(records, r)
	}
	rows.Close()
	if err := rows.Err(); err != nil || len(seqs) == 0 {
		return 0, err
	}
	if broken != nil {
		return 1, b.refuse(ctx, seqs[0], broken)
	}
	err = to.Publish(ctx, records...)
	if err == nil {
		return len(seqs), b.forget(ctx, seqs)
	}
	if !errors.Is(err, event.ErrInvalid) && !errors.Is(err, event.ErrTooLarge) {
		return 0, err
	}
	for i, r := range records { // one by one, to find the one that is refused
		err := to.Publish(ctx, r)
		if errors.Is(err, event.ErrInvalid) || errors.Is(err, event.ErrTooLarge) {
			err = b.refuse(ctx, seqs[i], err)
		} else if err == nil {
			err = b.forget(ctx, seqs[i:i+1])
		}
		if err != nil {
			return i, err
		}
	}
	return len(seqs), nil
}

func (b *Outbox) forget(ctx context.Context, seqs []any) error {
	_, err := b.db.ExecContext(ctx, b.kind.Rebind("DELETE FROM event_outbox WHERE seq IN (?"+strings.Repeat(", ?", len(seqs)-1)+")"), seqs...)
	return err
}

// refuse sets a row aside.
func (b *Outbox) refuse(ctx context.Context, seq any, why error) error {
	b.log.Error("event: outbox: record refused", "seq", seq, "error", why)
	text := strings.ToValidUTF8(why.Error(), "?")
	if len(text) > 250 {
		text = strings.ToValidUTF8(text[:250], "")
	}
	_, err := b.db.ExecContext(ctx, b.kind.Rebind("UPDATE event_outbox SET refused = ? WHERE seq = ?"), text, seq)
	return err
}

// giveUp lets another relay take over at once.
func (b *Outbox) giveUp(ctx context.Context, holder string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	if _, err := b.db.ExecContext(ctx, b.kind.Rebind("UPDATE event_outbox_turn SET holder = '', until = 0 WHERE holder = ?"), holder); err != nil {
		b.log.Warn("event: outbox: giving up the turn failed", "error", err)
	}
}
