package db_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/internal/nth"
)

// planned is a driver without transactions behind a plan.
type planned struct {
	db.Driver
	p nth.Plan
}

func (d planned) Features() db.Features {
	f := d.Driver.Features()
	f.Transactions = false
	return f
}

func (d planned) Close() error                   { return d.p.Close(d.Driver.Close) }
func (d planned) Ping(ctx context.Context) error { return nth.Check(ctx, d.p, "Ping", d.Driver.Ping) }

func (d planned) Ensure(ctx context.Context, s db.TableSpec) error {
	return nth.Write(ctx, d.p, "Ensure", func() error { return d.Driver.Ensure(ctx, s) })
}

func (d planned) Get(ctx context.Context, table, id string) (*db.Record, error) {
	return plannedOps{d.Driver, d.p}.Get(ctx, table, id)
}

func (d planned) Put(ctx context.Context, table string, r *db.Record, c db.Condition) error {
	return plannedOps{d.Driver, d.p}.Put(ctx, table, r, c)
}

func (d planned) Delete(ctx context.Context, table, id string, version uint64) error {
	return plannedOps{d.Driver, d.p}.Delete(ctx, table, id, version)
}

func (d planned) Query(ctx context.Context, table string, q db.Query) ([]*db.Record, error) {
	return plannedOps{d.Driver, d.p}.Query(ctx, table, q)
}

func (d planned) Count(ctx context.Context, table string, f db.Filter) (int64, error) {
	return plannedOps{d.Driver, d.p}.Count(ctx, table, f)
}

// plannedOps are the operations behind a plan, of a driver or a transaction.
type plannedOps struct {
	dbdriver.Operations
	p nth.Plan
}

func (o plannedOps) Get(ctx context.Context, table, id string) (*db.Record, error) {
	return nth.Read(ctx, o.p, "Get", func() (*db.Record, error) { return o.Operations.Get(ctx, table, id) })
}

func (o plannedOps) Put(ctx context.Context, table string, r *db.Record, c db.Condition) error {
	return nth.Write(ctx, o.p, "Put", func() error { return o.Operations.Put(ctx, table, r, c) })
}

func (o plannedOps) Delete(ctx context.Context, table, id string, version uint64) error {
	return nth.Write(ctx, o.p, "Delete", func() error { return o.Operations.Delete(ctx, table, id, version) })
}

func (o plannedOps) Query(ctx context.Context, table string, q db.Query) ([]*db.Record, error) {
	return nth.Read(ctx, o.p, "Query", func() ([]*db.Record, error) { return o.Operations.Query(ctx, table, q) })
}

func (o plannedOps) Count(ctx context.Context, table string, f db.Filter) (int64, error) {
	return nth.Read(ctx, o.p, "Count", func() (int64, error) { return o.Operations.Count(ctx, table, f) })
}

// plannedBatches writes many at once.
type plannedBatches struct {
	planned
	batcher
}

func (d plannedBatches) Write(ctx context.Context, table string, ws []db.Write) []error {
	var errs []error
	err := nth.Write(ctx, d.p, "Write", func() error { errs = d.batcher.Write(ctx, table, ws); return nil })
	if err != nil {
		errs = make([]error, len(ws))
		for i := range errs {
			errs[i] = err
		}
	}
	return errs
}

// plannedTxs has transactions.
type plannedTxs struct{ planned }

func (d plannedTxs) Features() db.Features { return d.Driver.Features() }

func (d plannedTxs) Begin(ctx context.Context, o db.IsolationLevel) (dbdriver.Transaction, error) {
	return nth.Read(ctx, d.p, "Begin", func() (dbdriver.Transaction, error) {
		tx, err := d.Driver.(dbdriver.Transactor).Begin(ctx, o)
		return plannedTx{plannedOps{tx, d.p}, tx}, err
	})
}

type plannedTx struct {
	plannedOps
	tx dbdriver.Transaction
}

func (x plannedTx) Commit(ctx context.Context) error   { return x.end(ctx, "Commit", x.tx.Commit) }
func (x plannedTx) Rollback(ctx context.Context) error { return x.end(ctx, "Rollback", x.tx.Rollback) }

// end ends the transaction, also when the plan has the call fail.
func (x plannedTx) end(ctx context.Context, call string, do func(context.Context) error) error {
	ended := false
	defer func() {
		if !ended {
			x.tx.Rollback(context.WithoutCancel(ctx))
		}
	}()
	return nth.Write(ctx, x.p, call, func() error { ended = true; return do(ctx) })
}

// Whatever call of the driver fails, and however: the database says so, what is
// stored is as before or as after, and the same again succeeds.
func TestEveryCallOfTheDriverMayFail(t *testing.T) {
	for name, wrap := range map[string]func(d planned) db.Driver{
		"plain":        func(d planned) db.Driver { return d },
		"batches":      func(d planned) db.Driver { return plannedBatches{d, batcher{plain{d.Driver}}} },
		"transactions": func(d planned) db.Driver { return plannedTxs{d} },
		"expiring":     func(d planned) db.Driver { return d },
	} {
		t.Run(name, func(t *testing.T) {
			nth.Run(t, nth.Promises{Unavailable: db.ErrUnavailable, Unknown: db.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
				mem, err := db.Memory().OpenDriver(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				return plannedWorld(t, p, mem, wrap(planned{mem, p}), name)
			})
		})
	}
}

func plannedWorld(t *testing.T, p nth.Plan, mem, d db.Driver, kind string) nth.World {
	txs, opts := kind == "transactions", []db.TableOption{db.SoftDelete(0)}
	if kind == "expiring" {
		opts = append(opts, db.TTL(time.Hour))
	}
	var (
		base    db.DB
		table   db.Table
		errMine = errors.New("mine")
	)
	record := func(id, text string) *db.Record { return &db.Record{ID: id, Data: []byte(text)} }
	remove := func(name string, opts ...db.WriteOption) nth.Step {
		return nth.Step{Name: name, Partly: !txs, Again: []error{db.ErrNotFound}, Do: func(ctx context.Context) error { return table.Delete(ctx, "b", opts...) }}
	}
	restore := func(name, want string) nth.Step {
		return nth.Step{Name: name, Partly: !txs, Again: []error{db.ErrNotFound}, Do: func(ctx context.Context) error {
			r, err := table.Restore(ctx, "b")
			if err == nil && string(r.Data) != want {
				err = fmt.Errorf("restored %q, want %q", r.Data, want)
			}
			return err
		}}
	}
	steps := []nth.Step{
		{Name: "new", Do: func(context.Context) (err error) {
			base, err = db.New(db.WithDriver("planned", func(context.Context) (db.Driver, error) { p.Open(); return d, nil }))
			return err
		}},
		{Name: "table", Partly: true, Do: func(ctx context.Context) (err error) {
			table, err = base.Table(ctx, "things", opts...)
			return err
		}},
		{Name: "create", Again: []error{db.ErrExists}, Do: func(ctx context.Context) error { return table.Create(ctx, record("a", "1")) }},
		{Name: "create another", Again: []error{db.ErrExists}, Do: func(ctx context.Context) error { return table.Create(ctx, record("b", "2")) }},
		{Name: "read", Do: func(ctx context.Context) error {
			r, err := table.Read(ctx, "a")
			if err == nil && string(r.Data) != "1" {
				err = fmt.Errorf("read %q", r.Data)
			}
			return err
		}},
		{Name: "update", Do: func(ctx context.Context) error { return table.Update(ctx, record("a", "3"), db.Force()) }},
		{Name: "patch", Do: func(ctx context.Context) error {
			_, err := table.Patch(ctx, "a", db.Set("n", 1))
			return err
		}},
		{Name: "search", Do: func(ctx context.Context) error {
			page, err := table.Search(ctx)
			if err == nil && len(page.Records) != 2 {
				err = fmt.Errorf("found %d", len(page.Records))
			}
			return err
		}},
		{Name: "count", Do: func(ctx context.Context) error {
			n, err := table.Count(ctx)
			if err == nil && n != 2 {
				err = fmt.Errorf("counted %d", n)
			}
			return err
		}},
		{Name: "all", Do: func(ctx context.Context) error {
			for _, err := range table.All(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
		{Name: "batch", Partly: !txs, Do: func(ctx context.Context) error {
			return table.Batch(ctx, db.UpdateOp(record("c", "4"), db.Upsert()), db.UpdateOp(record("d", "5"), db.Upsert()))
		}},
		remove("delete"),
		restore("restore", "2"),
		{Name: "what is kept", Do: func(ctx context.Context) error {
			n, err := table.Count(ctx, db.OnlyDeleted())
			if err == nil && n != 0 {
				err = fmt.Errorf("%d are kept of what was restored", n)
			}
			return err
		}},
		remove("delete once more"),
		{Name: "create with the id of a deleted one", Again: []error{db.ErrExists}, Do: func(ctx context.Context) error { return table.Create(ctx, record("b", "8")) }},
		remove("delete over another's copy"),
		restore("restore the last", "8"),
		remove("purge", db.Purge()),
		{Name: "ping", Do: func(ctx context.Context) error { return base.Ping(ctx) }},
	}
	if txs {
		tx := func(mine error) func(ctx context.Context) error {
			return func(ctx context.Context) error {
				return base.Tx(ctx, func(ctx context.Context, tx db.DB) error {
					things, err := tx.Table(ctx, "things")
					if err != nil {
						return err
					}
					if _, err := things.Read(ctx, "a"); err != nil {
						return err
					}
					if err := things.Update(ctx, record("e", "6"), db.Upsert()); err != nil {
						return err
					}
					if err := things.Update(ctx, record("f", "7"), db.Upsert()); err != nil {
						return err
					}
					if mine == nil {
						return things.Delete(ctx, "d", db.Purge())
					}
					return mine
				})
			}
		}
		failing := tx(errMine)
		steps = append(steps, nth.Step{Name: "a transaction that is given up", Quiet: true, Do: func(ctx context.Context) error {
			err := failing(ctx)
			if err == nil {
				return errors.New("nil")
			}
			if errors.Is(err, errMine) {
				return nil
			}
			return err
		}}, nth.Step{Name: "a transaction", Again: []error{db.ErrNotFound}, Do: tx(nil)})
	}
	steps = append(steps, nth.Step{Name: "close", Once: true, Do: func(context.Context) error { return base.Close() }})
	return nth.World{Steps: steps, End: func() { mem.Close() }, State: func() string {
		var all []string
		ctx := context.WithoutCancel(t.Context())
		for _, table := range []string{"things", "things_deleted_"} {
			if err := mem.Ensure(ctx, db.TableSpec{Name: table}); err != nil {
				t.Fatal(err)
			}
			rs, err := mem.Query(ctx, table, db.Query{Limit: 100, Order: []db.Order{{Key: db.FieldID}}})
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, table)
			for _, r := range rs {
				all = append(all, fmt.Sprintf("%s=%s%v", r.ID, r.Data, r.Metadata["n"]))
			}
		}
		return strings.Join(all, " ")
	}}
}
