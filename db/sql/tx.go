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
	s    session
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
	return &transaction{s: session{d: d, tx: tx}, seen: map[place]uint64{}}, nil
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
	return r, undone(err)
}

func (x *transaction) see(name string, r *db.Record) {
	p := place{name, r.ID}
	if _, ok := x.seen[p]; !ok {
		x.seen[p] = r.Version
	}
}

// check compares what is stored with what was read.
func (x *transaction) check(name, id string, stored uint64) error {
	if v, ok := x.seen[place{name, id}]; ok && v != stored {
		return fmt.Errorf("%w: %s changed from version %d to %d", dbdriver.ErrSerialization, id, v, stored)
	}
	return nil
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
	switch v, ok := x.seen[place{name, r.ID}]; {
	case errors.Is(err, fault.Exists):
		if ok && v == 0 {
			return fmt.Errorf("%w: %s was made by another", dbdriver.ErrSerialization, r.ID)
		}
		return err
	case err == nil || fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Conflict:
		if e := x.check(name, r.ID, old); e != nil {
			return e
		}
	}
	if err == nil {
		x.seen[place{name, r.ID}] = r.Version
	}
	return undone(err)
}

func (x *transaction) Delete(ctx context.Context, name, id string, version uint64) error {
	t, err := x.s.d.writable(name)
	if err != nil {
		return err
	}
	old, err := x.s.remove(ctx, t, id, version)
	if err == nil || fault.KindOf(err) == fault.NotFound || fault.KindOf(err) == fault.Conflict {
		if e := x.check(name, id, old); e != nil {
			return e
		}
	}
	if err == nil {
		x.seen[place{name, id}] = 0
	}
	return undone(err)
}

func (x *transaction) Query(ctx context.Context, name string, q db.Query) ([]*db.Record, error) {
	rs, err := x.s.search(ctx, x.s.d.table(name), q)
	for _, r := range rs {
		x.see(name, r)
	}
	return rs, undone(err)
}

func (x *transaction) Count(ctx context.Context, name string, f db.Filter) (int64, error) {
	n, err := x.s.count(ctx, x.s.d.table(name), f)
	return n, undone(err)
}

func (x *transaction) Commit(ctx context.Context) error { return commit(ctx, x.s.tx) }

func (x *transaction) Rollback(context.Context) error {
	if err := x.s.tx.Rollback(); err != nil && !errors.Is(err, dbsql.ErrTxDone) {
		return sql.ReadError(err)
	}
	return nil
}
