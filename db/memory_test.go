package db_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestMemory(t *testing.T) {
	dbtest.Run(t, dbtest.Harness{Searches: searches, Open: func(t testing.TB, opts ...db.Option) db.DB {
		d, err := db.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}})
}

// plain hides that the memory has transactions.
type plain struct{ db.Driver }

func (p plain) Features() db.Features {
	fs := p.Driver.Features()
	fs.Transactions = false
	return fs
}

// batcher is a plain one that does batches itself, from the last id to the first.
type batcher struct{ plain }

func (b batcher) Write(ctx context.Context, table string, ws []db.Write) []error {
	errs := make([]error, len(ws))
	order := make([]int, len(ws))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int { return strings.Compare(ws[j].ID, ws[i].ID) })
	for _, i := range order {
		if w := ws[i]; w.Record != nil {
			errs[i] = b.Put(ctx, table, w.Record, w.Condition)
		} else if w.Condition.Must != db.Exist {
			errs[i] = fmt.Errorf("a delete of %q with the condition %+v, want Exist", w.ID, w.Condition)
		} else {
			errs[i] = b.Delete(ctx, table, w.ID, w.Condition.Version)
		}
	}
	return errs
}

func TestConformanceWithoutTransactions(t *testing.T) {
	for name, wrap := range map[string]func(d db.Driver) db.Driver{
		"one by one": func(d db.Driver) db.Driver { return plain{d} },
		"batches":    func(d db.Driver) db.Driver { return batcher{plain{d}} },
	} {
		t.Run(name, func(t *testing.T) {
			dbtest.Run(t, dbtest.Harness{Open: func(t testing.TB, opts ...db.Option) db.DB {
				d, err := db.New(append(opts, db.WithDriver("plain", func(ctx context.Context) (db.Driver, error) {
					m, err := db.Memory().OpenDriver(ctx)
					return wrap(m), err
				}))...)
				if err != nil {
					t.Fatal(err)
				}
				return d
			}})
		})
	}
}

func TestBatchIsCheckedBeforeAnyOfItIsWritten(t *testing.T) {
	m, err := db.Memory().OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d, err := db.New(db.WithDriver("batcher", func(context.Context) (db.Driver, error) { return batcher{plain{m}}, nil }))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]db.Op{
		"empty": {}, "nil record": db.CreateOp(nil), "id": db.UpdateOp(&db.Record{ID: "\n"}), "nil option": db.DeleteOp("x", nil), "option": db.DeleteOp("x", db.Force()),
	} {
		err := tb.Batch(t.Context(), db.CreateOp(&db.Record{ID: "good"}), bad)
		var be *db.BatchError
		if !errors.Is(err, db.ErrInvalid) || !errors.As(err, &be) || be.Index != 1 || be.Errs != nil {
			t.Errorf("%s: %v, want ErrInvalid of write 1, and nothing done", name, err)
		}
	}
	if n, err := tb.Count(t.Context()); err != nil || n != 0 {
		t.Errorf("%d records, %v, want none", n, err)
	}
}

// TestSearchesChaos compares searches with a model from a new seed each time.
func TestSearchesChaos(t *testing.T) {
	h := dbtest.Harness{Searches: 500, Open: func(t testing.TB, opts ...db.Option) db.DB {
		d, err := db.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}}
	for end := time.Now().Add(servertest.Chaos(t) / 3); time.Now().Before(end); {
		dbtest.Searches(t, h, uint64(time.Now().UnixNano()))
	}
}
