package sql

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
)

// transaction is a snapshot that remembers the version of every record that
// was read in it. MySQL writes over what others changed since, without an
// error; so each write compares.
type transaction struct {
	s    *session
	seen map[place]uint64 // 0: not there
}

type place struct{ table, id string }

func (d *driver) Begin(ctx context.Context, isolation db.IsolationLevel) (dbdriver.Transaction, error) {
	level := dbsql.LevelSerializable
	if isolation == db.LevelSnapshot {
		level = dbsql.LevelRepeatableRead
	}
	tx, err := d.begin(ctx, level)
	if err != nil {
		return nil, err
	}
	return &transaction{s: d.within(tx), seen: map[place]uint64{}}, nil
}

// Execer is for what others write in the same transaction.
func (x *transaction) Execer() db.Execer { return x.s.tx }

// Collided reports whether a statement of others failed because transactions conflict.
func (x *transaction) Collided(err error) bool { return sql.IsCollision(err) }

func (x *transaction) Get(ctx context.Context, name, id string) (*db.Record, error) {
	r, err := x.s.get(ctx, x.s.d.table(name), id)
	switch {
	case err == nil:
		x.see(name, r)
	case errors.Is(err, fault.NotFound):
		x.seen[place{name, id}] = 0
	}
	return r, x.failed(err)
}

// failed gives the error of an operation its kind. A transaction that collided is
// over: MySQL has rolled it back, and would commit each later statement by itself.
func (x *transaction) failed(err error) error {
	err = undone(err)
	if errors.Is(err, dbdriver.ErrSerialization) {
		x.s.tx.Rollback()
	}
	return err
}

func (x *transaction) see(name string, r *db.Record) {
	p := place{name, r.ID}
	if _, ok := x.seen[p]; !ok {
		x.seen[p] = r.Version
	}
}

// compared returns the error of a write, or that the record has changed since it was
// read. stored is the version that the write found.
func (x *transaction) compared(name, id string, stored uint64, err error) error {
	v, ok := x.seen[place{name, id}]
	kind := fault.KindOf(err)
	switch {
	case !ok:
	case kind == fault.Exists && v == 0:
		return fmt.Errorf("%w: %s was made by another", dbdriver.ErrSerialization, id)
	case (err == nil || kind == fault.NotFound || kind == fault.Conflict) && v != stored:
		return fmt.Errorf("%w: %s changed from version %d to %d", dbdriver.ErrSerialization, id, v, stored)
	}
	return err
}

func (x *transaction) Put(ctx context.Context, name string, r *db.Record, c db.Condition) error {
	e, err := encode(r)
	if err != nil {
		return err
	}
	t, err := x.s.d.writable(name)
	if err != nil {
		return err
	}
	old, err := x.s.put(ctx, t, r, e, c)
	err = x.compared(name, r.ID, old, err)
	if err == nil {
		x.seen[place{name, r.ID}] = r.Version
	}
	return x.failed(err)
}

func (x *transaction) Delete(ctx context.Context, name, id string, version uint64) error {
	t, err := x.s.d.writable(name)
	if err != nil {
		return err
	}
	old, err := x.s.remove(ctx, t, id, version)
	err = x.compared(name, id, old, err)
	if err == nil {
		x.seen[place{name, id}] = 0
	}
	return x.failed(err)
}

func (x *transaction) Query(ctx context.Context, name string, q db.Query) ([]*db.Record, error) {
	rs, err := x.s.search(ctx, x.s.d.table(name), q)
	for _, r := range rs {
		x.see(name, r)
	}
	return rs, x.failed(err)
}

func (x *transaction) Count(ctx context.Context, name string, f db.Filter) (int64, error) {
	n, err := x.s.count(ctx, x.s.d.table(name), f)
	return n, x.failed(err)
}

func (x *transaction) Commit(ctx context.Context) error { return commit(ctx, x.s.tx) }

func (x *transaction) Rollback(context.Context) error {
	if err := x.s.tx.Rollback(); err != nil && !errors.Is(err, dbsql.ErrTxDone) {
		return sql.ReadError(err)
	}
	return nil
}
