package dbtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// neverAgain checks that a version that was read before a delete fits nothing
// that is created under the id afterwards.
func neverAgain(t *testing.T, b *bench) {
	d, tb := b.table(t)
	seen := map[uint64]bool{}
	check := func(what string, r *db.Record) {
		t.Helper()
		if seen[r.Version] {
			t.Errorf("%s has version %d, which a record of the id had before", what, r.Version)
		}
		seen[r.Version] = true
		if got := mustRead(t, tb, r.ID); got.Version != r.Version {
			t.Errorf("%s: version %d is stored, and %d was told", what, got.Version, r.Version)
		}
	}
	first := &db.Record{ID: "x", Data: []byte("first")}
	mustCreate(t, tb, first)
	check("the first record", first)
	stale := first.Clone()
	for range 3 {
		if err := tb.Update(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		check("an update", first)
	}
	remove := func() {
		t.Helper()
		if err := tb.Delete(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	remove()
	second := &db.Record{ID: "x", Data: []byte("second")}
	mustCreate(t, tb, second)
	check("a new record", second)
	for _, old := range []*db.Record{stale, first} {
		wantErr(t, "Update with a version of the record before", tb.Update(t.Context(), old.Clone()), db.ErrConflict)
		wantErr(t, "Delete with a version of the record before", tb.Delete(t.Context(), "x", db.IfVersion(old.Version)), db.ErrConflict)
	}
	for range 3 {
		if err := tb.Update(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		check("an update of the new record", second)
	}
	if got := mustRead(t, tb, "x"); string(got.Data) != "second" {
		t.Errorf("the new record was overwritten with %q", got.Data)
	}
	remove()
	up := &db.Record{ID: "x"}
	if err := tb.Update(t.Context(), up, db.Upsert()); err != nil {
		t.Fatal(err)
	}
	check("an upsert", up)
	batched := &db.Record{ID: "x"}
	if err := tb.Batch(t.Context(), db.DeleteOp("x"), db.CreateOp(batched)); err != nil {
		t.Fatal(err)
	}
	check("a batch", batched)
	if !d.Features().Transactions {
		return
	}
	var inside *db.Record
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		x := openTable(t, tx, "things")
		inside = &db.Record{ID: "x"}
		return errors.Join(x.Delete(ctx, "x"), x.Create(ctx, inside))
	})
	if err != nil {
		t.Fatal(err)
	}
	check("a transaction", inside)
	err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error { return openTable(t, tx, "things").Delete(ctx, "x") })
	if err != nil {
		t.Fatal(err)
	}
	last := &db.Record{ID: "x"}
	mustCreate(t, tb, last)
	check("a record after a transaction's delete", last)
}

// neverAgainUnderWriters has writers delete and create one id, and others update
// it with what they read: no update may hit a record that its writer did not read.
func neverAgainUnderWriters(t *testing.T, b *bench) {
	_, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "x", Data: []byte("0")})
	var mu sync.Mutex
	owner := map[uint64]string{} // by version
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 15 {
				data := fmt.Sprint(w, "-", i)
				if err := tb.Delete(context.Background(), "x"); err != nil && !errors.Is(err, db.ErrNotFound) {
					t.Error(err)
				}
				r := &db.Record{ID: "x", Data: []byte(data)}
				switch err := tb.Create(context.Background(), r); {
				case err == nil:
					mu.Lock()
					if other, ok := owner[r.Version]; ok {
						t.Errorf("version %d was given to %s and to %s", r.Version, other, data)
					}
					owner[r.Version] = data
					mu.Unlock()
				case !errors.Is(err, db.ErrExists):
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// outside checks that the database, used inside its own transaction, says so
// at once.
func outside(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	mustCreate(t, tb, &db.Record{ID: "x"})
	var kept context.Context
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		kept = ctx
		x := openTable(t, tx, "things")
		if err := x.Update(ctx, &db.Record{ID: "x", Data: []byte("inside")}, db.Force()); err != nil {
			return err
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(ctx, time.Minute) // a context made of it is still inside
		defer cancel()
		_, readErr := tb.Read(ctx, "x")
		_, searchErr := tb.Search(ctx)
		_, countErr := tb.Count(ctx)
		_, tableErr := d.Table(ctx, "things")
		for what, err := range map[string]error{
			"Read": readErr, "Search": searchErr, "Count": countErr, "Table": tableErr,
			"Create": tb.Create(ctx, &db.Record{ID: "y"}), "Update": tb.Update(ctx, &db.Record{ID: "x"}, db.Force()),
			"Delete": tb.Delete(ctx, "x"), "Batch": tb.Batch(ctx, db.CreateOp(&db.Record{ID: "y"})),
			"Tx": d.Tx(ctx, func(context.Context, db.DB) error { t.Error("a transaction in a transaction"); return nil }),
		} {
			wantErr(t, what+" of the outer database", err, db.ErrInvalid)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("the errors took %v, want them at once", took)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(t, tb); len(got) != 1 || string(mustRead(t, tb, "x").Data) != "inside" {
		t.Errorf("there is %v, with %q", got, mustRead(t, tb, "x").Data)
	}
	if _, err := tb.Read(context.WithoutCancel(kept), "x"); err != nil {
		t.Errorf("the context of a transaction that has ended: %v", err)
	}
	// Another database is no part of it.
	err = d.Tx(t.Context(), func(ctx context.Context, _ db.DB) error {
		m, err := db.New()
		if err != nil {
			return err
		}
		defer m.Close()
		return openTable(t, m, "things").Create(ctx, &db.Record{ID: "x"})
	})
	if err != nil {
		t.Errorf("another database inside a transaction: %v", err)
	}
}

// skew has pairs of transactions that each read two records and take from one
// if the sum allows it: serializable, at most one of them may.
func skew(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	const rounds = 100
	skewed, failed := 0, 0
	for i := range rounds {
		first, second := fmt.Sprint("a", i), fmt.Sprint("b", i)
		mustCreate(t, tb, &db.Record{ID: first, Metadata: map[string]any{"n": 1}}, &db.Record{ID: second, Metadata: map[string]any{"n": 1}})
		var both, wg sync.WaitGroup
		both.Add(2)
		for _, id := range []string{first, second} {
			wg.Go(func() {
				ran := false
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				err := d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
					if !ran {
						ran = true
						both.Done() // start together, as far as the backend lets them
					}
					x, err := tx.Table(ctx, "things")
					if err != nil {
						return err
					}
					sum := int64(0)
					for _, id := range []string{first, second} {
						r, err := x.Read(ctx, id)
						if err != nil {
							return err
						}
						sum += r.Metadata["n"].(int64)
					}
					if sum < 2 {
						return nil
					}
					return x.Update(ctx, &db.Record{ID: id, Metadata: map[string]any{"n": 0}}, db.Force())
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		left := mustRead(t, tb, first).Metadata["n"].(int64) + mustRead(t, tb, second).Metadata["n"].(int64)
		switch left {
		case 0:
			skewed++
		case 2:
			failed++
		}
	}
	if skewed > 0 || failed > 0 {
		t.Errorf("of %d pairs both took in %d, and none in %d; want exactly one each time", rounds, skewed, failed)
	}
}

// phantoms is skew by searches: each transaction creates a record if a count
// finds none.
func phantoms(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	for i := range 25 {
		owner := fmt.Sprint("owner", i)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				err := d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
					x, err := tx.Table(ctx, "things")
					if err != nil {
						return err
					}
					p, err := x.Search(ctx, db.Where(db.Equal("owner", owner)))
					if err != nil || len(p.Records) > 0 {
						return err
					}
					return x.Create(ctx, &db.Record{Metadata: map[string]any{"owner": owner}})
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n := len(ids(t, tb, db.Where(db.Equal("owner", owner)))); n != 1 {
			t.Errorf("%d records of %s, want the one whose search found none", n, owner)
		}
	}
}

// weaker checks that a transaction that asks for less still sees one state and
// loses no update.
func weaker(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	mustCreate(t, tb, &db.Record{ID: "n", Metadata: map[string]any{"n": 0}})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			for range 5 {
				err := d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
					x, err := tx.Table(ctx, "things")
					if err != nil {
						return err
					}
					r, err := x.Read(ctx, "n")
					if err != nil {
						return err
					}
					r.Metadata["n"] = r.Metadata["n"].(int64) + 1
					return x.Update(ctx, r, db.Force())
				}, db.Isolation(db.LevelSnapshot))
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := mustRead(t, tb, "n").Metadata["n"]; n != int64(20) {
		t.Errorf("counted %v, want 20", n)
	}
	never := func(context.Context, db.DB) error { t.Error("ran"); return nil }
	wantErr(t, "an unknown level", d.Tx(t.Context(), never, db.Isolation(7)), db.ErrInvalid)
	wantErr(t, "a nil option", d.Tx(t.Context(), never, nil), db.ErrInvalid)
}
