package sql_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/nth"
)

// Whatever call of the database fails, and however: the table says so, what is stored
// is as before or as after, and the same again succeeds.
func TestEveryCallOfTheDatabaseMayFail(t *testing.T) {
	nth.Run(t, nth.Promises{Unavailable: db.ErrUnavailable, Unknown: db.ErrUnknownOutcome}, func(t *testing.T, p nth.Plan) nth.World {
		plain, pool := nth.SQLite(t, p)
		pool.SetMaxOpenConns(1)
		var d db.DB
		var tb db.Table
		record := func(id string, total int, tags ...string) *db.Record {
			r := &db.Record{ID: id, Metadata: map[string]any{"customer": "ann", "total": total}, Data: []byte(id)}
			if len(tags) > 0 {
				r.Metadata["tags"] = tags
			}
			return r
		}
		matching := db.Where(db.Equal("customer", "ann"), db.GreaterOrEqual("total", 0))
		counted := func(n int64, err error) error {
			if err == nil && n != 2 {
				err = fmt.Errorf("%d records", n)
			}
			return err
		}
		return nth.World{
			Slow: true,
			Steps: []nth.Step{
				{Name: "new", Partly: true, Do: func(ctx context.Context) (err error) {
					d, err = db.New(sql.On(enginesql.FromDB(enginesql.SQLite, pool)))
					return err
				}},
				{Name: "table", Partly: true, Unbounded: true, Quiet: true, Do: func(ctx context.Context) (err error) {
					tb, err = d.Table(ctx, "orders", db.Index("customer"), db.Index("total"))
					return err
				}},
				{Name: "create", Again: []error{db.ErrExists}, Do: func(ctx context.Context) error { return tb.Create(ctx, record("a", 1)) }},
				{Name: "create with a list", Again: []error{db.ErrExists}, Do: func(ctx context.Context) error { return tb.Create(ctx, record("b", 2, "x", "y")) }},
				{Name: "update", Do: func(ctx context.Context) error { return tb.Update(ctx, record("a", 3), db.Force()) }},
				{Name: "update with a list", Do: func(ctx context.Context) error { return tb.Update(ctx, record("b", 4, "z"), db.Force()) }},
				{Name: "upsert", Do: func(ctx context.Context) error { return tb.Update(ctx, record("c", 5, "x"), db.Upsert()) }},
				{Name: "transaction", Do: func(ctx context.Context) error {
					return d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
						tb, err := tx.Table(ctx, "orders")
						if err != nil {
							return err
						}
						if _, err := tb.Read(ctx, "a"); err != nil {
							return err
						}
						if n, err := tb.Count(ctx, matching); err != nil || n != 3 {
							return errors.Join(err, fmt.Errorf("%d records", n))
						}
						return tb.Update(ctx, record("a", 6, "w"), db.Force())
					})
				}},
				{Name: "delete", Again: []error{db.ErrNotFound}, Do: func(ctx context.Context) error { return tb.Delete(ctx, "c") }},
				{Name: "read", Do: func(ctx context.Context) error {
					r, err := tb.Read(ctx, "a")
					if err == nil && string(r.Data) != "a" {
						err = fmt.Errorf("read %+v", r)
					}
					return err
				}},
				{Name: "read what is not there", Do: func(ctx context.Context) error {
					if _, err := tb.Read(ctx, "none"); !errors.Is(err, db.ErrNotFound) {
						return err
					}
					return nil
				}},
				{Name: "search", Do: func(ctx context.Context) error {
					page, err := tb.Search(ctx, matching)
					return counted(int64(len(page.Records)), err)
				}},
				{Name: "count", Do: func(ctx context.Context) error { return counted(tb.Count(ctx, matching)) }},
				{Name: "close", Once: true, Do: func(context.Context) error { return errors.Join(d.Close(), pool.Close()) }},
			},
			State: func() string { return nth.Rows(t, plain, "SELECT id || metadata FROM orders ORDER BY id") },
			End:   func() { plain.Close() },
		}
	})
}
