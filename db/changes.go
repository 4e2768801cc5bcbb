package db

import (
	"context"
	"database/sql"
	"errors"

	"github.com/micro/go-platform/internal/fault"
)

// Change is what one write did.
type Change struct {
	Table   string
	ID      string
	Kind    ChangeKind
	Version uint64  // what is stored now; of a deletion, what was there
	Record  *Record // what is stored now; of a deletion, what was there
}

// ChangeKind says what a write was.
type ChangeKind int

// The kinds of change.
const (
	Created ChangeKind = iota + 1
	Updated
	Deleted
)

func (k ChangeKind) String() string {
	return [...]string{"unknown", "created", "updated", "deleted"}[max(0, min(int(k), 3))]
}

// Execer is what executes in an SQL transaction.
type Execer = interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// WithChanges has f told what every write changes, before the write is
// committed: an error of f undoes the write and is the write's own, and a write
// that fails afterwards is as if f had not been called, if f only used tx.
//
// A Batch and a Tx tell their changes together, in their order. On an SQL
// database tx executes in the transaction. In memory tx is nil, and nobody
// reads the database until f has returned, so f must not either; when it
// returns nil the write has happened. f may be called again when the backend
// finds that concurrent transactions don't go together. It must not keep the
// records or change them. A backend without transactions is ErrUnsupported
// from New.
//
// Package db/changes makes events of them.
func WithChanges(f func(ctx context.Context, tx Execer, changes []Change) error) Option {
	return func(o *options) error {
		switch {
		case f == nil:
			return invalidf("nil function for changes")
		case o.changes != nil:
			return invalidf("two functions for changes")
		}
		o.changes = f
		return nil
	}
}

// tell has the changes of a transaction told, before its Commit.
func (x *txDB) tell(ctx context.Context) error {
	f := x.f.o.changes
	if f == nil || len(x.changes) == 0 {
		return nil
	}
	if m, ok := x.t.(*memTx); ok {
		m.before = func() error { return f(ctx, nil, x.changes) }
		return nil
	}
	var tx Execer
	if e, ok := x.t.(executor); ok {
		tx = e.Execer()
	}
	return f(ctx, tx, x.changes)
}

// tells reports whether writes of this table must be in a transaction of their
// own, so that what they change can be told.
func (t *table) tells() bool { return t.f.o.changes != nil && t.tx == nil }

// in returns the table in a transaction.
func (t *table) in(x *txDB) *table {
	return &table{f: t.f, ops: x.t, tx: x, name: t.name, spec: t.spec}
}

// inTx calls fn with this table in a transaction of its own.
func (t *table) inTx(ctx context.Context, op, id string, fn func(ctx context.Context, x *table) error) error {
	err := t.f.Tx(ctx, func(ctx context.Context, tx DB) error {
		return fn(ctx, t.in(tx.(*txDB)))
	}, Isolation(LevelSnapshot))
	if e, ok := err.(*fault.Error); ok && e.Op == "tx" { // it was Tx's own
		c := *e
		c.Op, c.Subject = op, t.subject(id)
		return &c
	}
	return err
}

// notes reports whether what is written has to be noted for WithChanges.
func (t *table) notes() bool { return t.tx != nil && t.f.o.changes != nil }

// kindOf says what a Put with a condition will be.
func (t *table) kindOf(ctx context.Context, id string, c Condition) (ChangeKind, error) {
	switch {
	case c.Must == NotExist:
		return Created, nil
	case c.Must == Exist || !t.notes():
		return Updated, nil
	}
	_, err := t.get(ctx, id)
	if errors.Is(err, fault.NotFound) {
		return Created, nil
	}
	return Updated, err
}

// changed notes a Put in a transaction.
func (t *table) changed(r *Record, kind ChangeKind) {
	if !t.notes() {
		return
	}
	t.tx.changes = append(t.tx.changes, Change{Table: t.name, ID: r.ID, Kind: kind, Version: r.Version, Record: r})
}
