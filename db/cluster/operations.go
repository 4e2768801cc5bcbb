package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/fault"
)

// Ensure makes the table on a primary now, and on every other node before its
// first use of the table.
func (d *driver) Ensure(ctx context.Context, t db.TableSpec) error {
	d.mu.Lock()
	t = t.With(d.specs[t.Name])
	later := t // on other nodes, when Table has returned
	later.Progress = nil
	d.specs[t.Name] = later
	d.mu.Unlock()
	return d.on(ctx, false, func(ctx context.Context, _ *node, of db.Driver) error { return of.Ensure(ctx, t) })
}

// ensure makes tables on a node if this driver has not seen them there.
func (d *driver) ensure(ctx context.Context, n *node, of db.Driver, tables ...string) error {
	for _, name := range tables {
		d.mu.Lock()
		spec := d.specs[name]
		d.mu.Unlock()
		form := fmt.Sprintf("%v %q", spec.Indexes, spec.FullText)
		n.mu.Lock()
		done := n.made[name] == form
		n.mu.Unlock()
		if done {
			continue
		}
		if err := of.Ensure(ctx, spec); err != nil {
			return err
		}
		n.mu.Lock()
		n.made[name] = form
		n.mu.Unlock()
	}
	return nil
}

// at runs f on a node that has the table.
func (d *driver) at(ctx context.Context, read bool, table string, f func(ctx context.Context, of db.Driver) error) error {
	return d.on(ctx, read, func(ctx context.Context, n *node, of db.Driver) error {
		if err := d.ensure(ctx, n, of, table); err != nil {
			return err
		}
		return f(ctx, of)
	})
}

// HasIndex asks a node whether a table has an index, if it knows.
func (d *driver) HasIndex(ctx context.Context, table string, keys []db.Order) (there bool, err error) {
	err = d.at(ctx, false, table, func(ctx context.Context, of db.Driver) (err error) {
		if x, ok := of.(dbdriver.Indexer); ok {
			there, err = x.HasIndex(ctx, table, keys)
		}
		return err
	})
	return there, err
}

func (d *driver) Get(ctx context.Context, table, id string) (r *db.Record, err error) {
	err = d.at(ctx, d.replicas, table, func(ctx context.Context, of db.Driver) (err error) { r, err = of.Get(ctx, table, id); return err })
	return r, err
}

func (d *driver) Put(ctx context.Context, table string, r *db.Record, c db.Condition) error {
	return d.at(ctx, false, table, func(ctx context.Context, of db.Driver) error { return of.Put(ctx, table, r, c) })
}

func (d *driver) Delete(ctx context.Context, table, id string, version uint64) error {
	return d.at(ctx, false, table, func(ctx context.Context, of db.Driver) error { return of.Delete(ctx, table, id, version) })
}

// Write goes to one primary, and to the next one only if nothing was done.
func (d *driver) Write(ctx context.Context, table string, writes []db.Write) []error {
	errs := make([]error, len(writes))
	err := d.at(ctx, false, table, func(ctx context.Context, of db.Driver) error {
		if b, ok := of.(dbdriver.Batcher); ok {
			copy(errs, b.Write(ctx, table, writes))
		} else {
			for i, w := range writes {
				if w.Record != nil {
					errs[i] = of.Put(ctx, table, w.Record, w.Condition)
				} else {
					errs[i] = of.Delete(ctx, table, w.ID, w.Condition.Version)
				}
			}
		}
		for _, err := range errs {
			if !errors.Is(err, fault.Unavailable) {
				return nil
			}
		}
		return errs[0]
	})
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

func (d *driver) Query(ctx context.Context, table string, q db.Query) (rs []*db.Record, err error) {
	err = d.at(ctx, d.replicas, table, func(ctx context.Context, of db.Driver) (err error) { rs, err = of.Query(ctx, table, q); return err })
	return rs, err
}

func (d *driver) Count(ctx context.Context, table string, f db.Filter) (c int64, err error) {
	err = d.at(ctx, d.replicas, table, func(ctx context.Context, of db.Driver) (err error) { c, err = of.Count(ctx, table, f); return err })
	return c, err
}

// Explain asks the node that would be asked.
func (d *driver) Explain(ctx context.Context, table string, q db.Query) (p db.Plan, err error) {
	err = d.at(ctx, d.replicas, table, func(ctx context.Context, of db.Driver) (err error) {
		p, err = explain(ctx, of, table, q)
		return err
	})
	return p, err
}

func explain(ctx context.Context, of any, table string, q db.Query) (db.Plan, error) {
	e, ok := of.(dbdriver.Explainer)
	if !ok {
		return db.Plan{}, fault.Unsupported
	}
	return e.Explain(ctx, table, q)
}

// Begin begins on a primary, where the transaction stays.
func (d *driver) Begin(ctx context.Context, level db.IsolationLevel) (x dbdriver.Transaction, err error) {
	err = d.on(ctx, false, func(ctx context.Context, n *node, of db.Driver) error {
		d.mu.Lock()
		tables := slices.Collect(maps.Keys(d.specs))
		d.mu.Unlock()
		if err := d.ensure(ctx, n, of, tables...); err != nil {
			return err
		}
		transactor, ok := of.(dbdriver.Transactor)
		if !ok {
			return fault.Unsupported
		}
		t, err := transactor.Begin(ctx, level)
		if err != nil {
			return err
		}
		if !n.enter() {
			return errors.Join(fault.Markf(fault.Unavailable, "has left"), t.Rollback(ctx))
		}
		x = &transaction{Transaction: t, n: n}
		return nil
	})
	return x, err
}

// transaction keeps its node's pool open.
type transaction struct {
	dbdriver.Transaction
	n *node
}

// Execer is the node's, nil if it is no SQL database.
func (x *transaction) Execer() db.Execer {
	if e, ok := x.Transaction.(dbdriver.Executor); ok {
		return e.Execer()
	}
	return nil
}

// Collided is the node's: whether its engine says that transactions conflict.
func (x *transaction) Collided(err error) bool {
	c, ok := x.Transaction.(interface{ Collided(err error) bool })
	return ok && c.Collided(err)
}

func (x *transaction) Explain(ctx context.Context, table string, q db.Query) (db.Plan, error) {
	return explain(ctx, x.Transaction, table, q)
}

func (x *transaction) Commit(ctx context.Context) error {
	defer x.n.leave()
	return x.Transaction.Commit(ctx)
}

func (x *transaction) Rollback(ctx context.Context) error {
	defer x.n.leave()
	return x.Transaction.Rollback(ctx)
}
