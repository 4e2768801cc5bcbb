package store

import (
	"context"
	"iter"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/wrapper"
)

// DB returns d with w's observers around the calls to its tables, also within
// transactions. system is the value of db.system.name, such as "postgresql".
func DB(w *wrapper.Wrapper, d db.DB, system string) db.DB {
	return &database{d, observer{w.Adapter(), "db", system, saysDB}}
}

type database struct {
	db.DB
	o observer
}

// Unwrap returns the database that is observed.
func (d *database) Unwrap() db.DB { return d.DB }

func (d *database) Table(ctx context.Context, name string, opts ...db.TableOption) (db.Table, error) {
	ctx, done := d.o.begin(ctx, "open", name, 1)
	t, err := d.DB.Table(ctx, name, opts...)
	done(err)
	if err != nil {
		return nil, err
	}
	return &table{t, d.o}, nil
}

func (d *database) Tx(ctx context.Context, fn func(ctx context.Context, tx db.DB) error, opts ...db.TxOption) error {
	observed := fn
	if fn != nil { // the database says what it thinks of nil
		observed = func(ctx context.Context, tx db.DB) error { return fn(ctx, &database{tx, d.o}) }
	}
	ctx, done := d.o.begin(ctx, "tx", "", 1)
	err := d.DB.Tx(ctx, observed, opts...)
	done(err)
	return err
}

type table struct {
	db.Table
	o observer
}

func (t *table) begin(ctx context.Context, op string, many int) (context.Context, func(error)) {
	return t.o.begin(ctx, op, t.Name(), many)
}

func (t *table) Create(ctx context.Context, r *db.Record) error {
	ctx, done := t.begin(ctx, "create", 1)
	err := t.Table.Create(ctx, r)
	done(err)
	return err
}

func (t *table) Read(ctx context.Context, id string) (*db.Record, error) {
	ctx, done := t.begin(ctx, "read", 1)
	r, err := t.Table.Read(ctx, id)
	done(err)
	return r, err
}

func (t *table) Update(ctx context.Context, r *db.Record, opts ...db.WriteOption) error {
	ctx, done := t.begin(ctx, "update", 1)
	err := t.Table.Update(ctx, r, opts...)
	done(err)
	return err
}

func (t *table) Patch(ctx context.Context, id string, edits ...db.Edit) (*db.Record, error) {
	ctx, done := t.begin(ctx, "patch", 1)
	r, err := t.Table.Patch(ctx, id, edits...)
	done(err)
	return r, err
}

func (t *table) Delete(ctx context.Context, id string, opts ...db.WriteOption) error {
	ctx, done := t.begin(ctx, "delete", 1)
	err := t.Table.Delete(ctx, id, opts...)
	done(err)
	return err
}

func (t *table) Restore(ctx context.Context, id string) (*db.Record, error) {
	ctx, done := t.begin(ctx, "restore", 1)
	r, err := t.Table.Restore(ctx, id)
	done(err)
	return r, err
}

func (t *table) Search(ctx context.Context, opts ...db.SearchOption) (db.Page, error) {
	ctx, done := t.begin(ctx, "search", 1)
	page, err := t.Table.Search(ctx, opts...)
	done(err)
	return page, err
}

func (t *table) All(ctx context.Context, opts ...db.SearchOption) iter.Seq2[*db.Record, error] {
	return observed(ctx, t.o, "search", t.Name(), func(ctx context.Context) iter.Seq2[*db.Record, error] { return t.Table.All(ctx, opts...) })
}

func (t *table) Count(ctx context.Context, opts ...db.SearchOption) (int64, error) {
	ctx, done := t.begin(ctx, "count", 1)
	n, err := t.Table.Count(ctx, opts...)
	done(err)
	return n, err
}

func (t *table) Batch(ctx context.Context, ops ...db.Op) error {
	ctx, done := t.begin(ctx, "batch", len(ops))
	err := t.Table.Batch(ctx, ops...)
	done(err)
	return err
}
