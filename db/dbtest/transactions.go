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

func batch(t *testing.T, b *bench) {
	d, tb := b.table(t)
	mustCreate(t, tb, &db.Record{ID: "old", Data: []byte("1")}, &db.Record{ID: "gone"})
	fresh := &db.Record{Metadata: map[string]any{"a": "x"}}
	old := mustRead(t, tb, "old")
	before := old.Version
	old.Data = []byte("2")
	if err := tb.Batch(t.Context(), db.CreateOp(fresh), db.UpdateOp(old), db.DeleteOp("gone"), db.UpdateOp(&db.Record{ID: "up"}, db.Upsert())); err != nil {
		t.Fatal(err)
	}
	if fresh.ID == "" || fresh.Version == 0 || old.Version == before {
		t.Errorf("Batch filled in %+v and %+v", fresh, old)
	}
	if r := mustRead(t, tb, "old"); string(r.Data) != "2" {
		t.Errorf("old has %q", r.Data)
	}
	mustRead(t, tb, fresh.ID)
	mustRead(t, tb, "up")
	_, err := tb.Read(t.Context(), "gone")
	wantErr(t, "deleted", err, db.ErrNotFound)

	one := &db.Record{ID: "one"}
	err = tb.Batch(t.Context(), db.CreateOp(one), db.CreateOp(&db.Record{ID: "old"}), db.CreateOp(&db.Record{ID: "three"}))
	wantErr(t, "a write that fails", err, db.ErrExists)
	var be *db.BatchError
	if !errors.As(err, &be) || be.Index != 1 {
		t.Errorf("error %v, want one that names write 1", err)
	}
	for i, id := range []string{"one", "old", "three"} {
		_, err := tb.Read(t.Context(), id)
		switch {
		case be == nil || i == 1:
		case d.Features().Transactions:
			wantErr(t, "write "+id+" of a batch that failed", err, db.ErrNotFound)
			if be.Errs != nil {
				t.Errorf("a transaction that failed tells %v", be.Errs)
			}
		case len(be.Errs) != 3:
			t.Fatalf("a batch that failed tells of %d writes, want 3", len(be.Errs))
		case (be.Errs[i] == nil) != (err == nil):
			t.Errorf("write %s: told %v, and reading it %v", id, be.Errs[i], err)
		}
	}
	if d.Features().Transactions == (one.Version != 0) {
		t.Errorf("the first write of a batch that failed has version %d", one.Version)
	}
	wantErr(t, "empty Op", tb.Batch(t.Context(), db.Op{}), db.ErrInvalid)
	if err := tb.Batch(t.Context()); err != nil {
		t.Errorf("empty batch: %v", err)
	}
	want := 500
	for _, id := range []string{"old", fresh.ID, "up", "one", "three"} {
		if _, err := tb.Read(t.Context(), id); err == nil {
			want++
		}
	}
	var many []db.Op
	for i := range 500 {
		many = append(many, db.CreateOp(&db.Record{ID: id(i)}))
	}
	if err := tb.Batch(t.Context(), many...); err != nil {
		t.Fatal(err)
	}
	b.settle(t)
	if n := len(ids(t, tb)); n != want {
		t.Errorf("%d records, want %d", n, want)
	}
	// Writes of the same id follow each other.
	r := &db.Record{ID: "turns"}
	if err := tb.Batch(t.Context(), db.CreateOp(r), db.UpdateOp(&db.Record{ID: "turns", Data: []byte("2")}, db.Force()), db.DeleteOp("turns"), db.CreateOp(&db.Record{ID: "turns", Data: []byte("3")})); err != nil {
		t.Fatal(err)
	}
	if got := mustRead(t, tb, "turns"); string(got.Data) != "3" {
		t.Errorf("the last of four writes left %q", got.Data)
	}
}

// txBench opens a database with transactions, or skips.
func txBench(t *testing.T, b *bench) (db.DB, db.Table) {
	d := b.open(t)
	if !d.Features().Transactions {
		t.Skip("the backend has no transactions")
	}
	return d, openTable(t, d, "things")
}

func txAtomic(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	other := openTable(t, d, "others")
	mustCreate(t, tb, &db.Record{ID: "old", Metadata: map[string]any{"a": "before"}})
	write := func(ctx context.Context, tx db.DB) error {
		x := openTable(t, tx, "things")
		y := openTable(t, tx, "others")
		if err := x.Create(ctx, &db.Record{ID: "new"}); err != nil {
			return err
		}
		if err := x.Update(ctx, &db.Record{ID: "old", Version: 1, Metadata: map[string]any{"a": "after"}}); err != nil {
			return err
		}
		return y.Create(ctx, &db.Record{ID: "other"})
	}
	boom := errors.New("boom")
	check := func(what string, happened bool) {
		t.Helper()
		_, err1 := tb.Read(t.Context(), "new")
		_, err2 := other.Read(t.Context(), "other")
		found := len(ids(t, tb, db.Where(db.Equal("a", "after"))))
		if happened != (err1 == nil) || happened != (err2 == nil) || happened != (found == 1) || happened != (mustRead(t, tb, "old").Version == 2) {
			t.Errorf("%s: created %v, in the other table %v, found %d", what, err1, err2, found)
		}
	}
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		if err := write(ctx, tx); err != nil {
			return err
		}
		return boom
	})
	wantErr(t, "an error of the function", err, boom)
	check("error", false)
	func() {
		defer func() {
			if p := recover(); p != "oh" {
				t.Errorf("recovered %v, want the panic", p)
			}
		}()
		d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			if err := write(ctx, tx); err != nil {
				return err
			}
			panic("oh")
		})
	}()
	check("panic", false)
	ctx, cancel := context.WithCancel(t.Context())
	err = d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
		if err := write(ctx, tx); err != nil {
			return err
		}
		cancel()
		return nil
	})
	wantErr(t, "a cancelled context", err, context.Canceled)
	check("cancelled", false)
	if err := d.Tx(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	check("commit", true)
}

func txSees(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	mustCreate(t, tb, &db.Record{ID: "a", Metadata: map[string]any{"a": "x"}}, &db.Record{ID: "c", Metadata: map[string]any{"a": "x"}}, &db.Record{ID: "d", Metadata: map[string]any{"a": "x"}})
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		x := openTable(t, tx, "things")
		mustCreate(t, x, &db.Record{ID: "b", Metadata: map[string]any{"a": "x"}})
		if err := x.Delete(ctx, "c"); err != nil {
			return err
		}
		if err := x.Update(ctx, &db.Record{ID: "d", Version: 1, Metadata: map[string]any{"a": "y"}}); err != nil {
			return err
		}
		wantErr(t, "created twice", x.Create(ctx, &db.Record{ID: "a2", Metadata: map[string]any{"a": "x"}}), nil)
		if got := fmt.Sprint(ids(t, x, db.Where(db.Equal("a", "x")), db.Limit(2))); got != "[a a2 b]" {
			t.Errorf("inside: %s, want [a a2 b]", got)
		}
		if n, err := x.Count(ctx, db.Where(db.Equal("a", "x"))); err != nil || n != 3 {
			t.Errorf("inside: Count = %d, %v", n, err)
		}
		_, err := x.Read(ctx, "c")
		wantErr(t, "a record deleted inside", err, db.ErrNotFound)
		return tx.Tx(ctx, func(ctx context.Context, tx db.DB) error { // the same one
			_, err := openTable(t, tx, "things").Read(ctx, "b")
			return err
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(ids(t, tb, db.Where(db.Equal("a", "x")))); got != "[a a2 b]" {
		t.Errorf("after: %s", got)
	}
}

func txCounter(t *testing.T, b *bench) {
	d, tb := txBench(t, b)
	mustCreate(t, tb, &db.Record{ID: "n", Metadata: map[string]any{"n": 0}})
	const workers, each = 4, 10
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
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
					return x.Update(ctx, r, db.Force()) // only the transaction guards it
				})
				cancel()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if n := mustRead(t, tb, "n").Metadata["n"]; n != int64(workers*each) {
		t.Errorf("counted %v, want %d", n, workers*each)
	}
}

func txLimits(t *testing.T, b *bench) {
	d, _ := txBench(t, b)
	var kept db.Table
	err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		_, err := tx.Table(ctx, "never_opened")
		wantErr(t, "a table that was not opened before", err, db.ErrInvalid)
		wantErr(t, "Close in a transaction", tx.Close(), db.ErrInvalid)
		if tx.Features() != d.Features() || tx.Ping(ctx) != nil {
			t.Error("tx is no database")
		}
		kept = openTable(t, tx, "things")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	wantErr(t, "a table after its transaction", kept.Create(t.Context(), &db.Record{ID: "x"}), db.ErrClosed)
	wantErr(t, "nil function", d.Tx(t.Context(), nil), db.ErrInvalid)
}
