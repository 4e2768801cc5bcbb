package dbtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

func softDelete(t *testing.T, b *bench) {
	d := b.open(t)
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.SoftDelete(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	first := &db.Record{ID: "x", Metadata: map[string]any{"a": "v", "l": []string{"e"}}, Data: []byte("first"), ContentType: "text/plain"}
	mustCreate(t, tb, first, &db.Record{ID: "y", Metadata: map[string]any{"a": "v"}})
	wantErr(t, "Delete of another version", tb.Delete(t.Context(), "x", db.IfVersion(first.Version+1)), db.ErrConflict)
	mustRead(t, tb, "x")
	if err := tb.Delete(t.Context(), "x", db.IfVersion(first.Version)); err != nil {
		t.Fatal(err)
	}
	b.settle(t)
	check := func(what string, live, deleted []string) {
		t.Helper()
		for _, opts := range [][]db.SearchOption{nil, {db.Where(db.Equal("a", "v"))}} {
			if got := ids(t, tb, opts...); !slices.Equal(got, live) {
				t.Errorf("%s: found %q, want %q", what, got, live)
			}
			if n, err := tb.Count(t.Context(), opts...); err != nil || n != int64(len(live)) {
				t.Errorf("%s: counted %d, %v, want %d", what, n, err, len(live))
			}
			opts = append(opts, db.OnlyDeleted())
			if got := ids(t, tb, opts...); !slices.Equal(got, deleted) {
				t.Errorf("%s: found %q deleted, want %q", what, got, deleted)
			}
			if n, err := tb.Count(t.Context(), opts...); err != nil || n != int64(len(deleted)) {
				t.Errorf("%s: counted %d deleted, %v, want %d", what, n, err, len(deleted))
			}
		}
	}
	check("one is deleted", []string{"y"}, []string{"x"})
	for what, do := range map[string]func() error{
		"Read":             func() error { _, err := tb.Read(t.Context(), "x"); return err },
		"Update":           func() error { return tb.Update(t.Context(), first.Clone()) },
		"Delete":           func() error { return tb.Delete(t.Context(), "x") },
		"Restore of none":  func() error { _, err := tb.Restore(t.Context(), "none"); return err },
		"Restore of y":     func() error { _, err := tb.Restore(t.Context(), "y"); return err },
		"Purge of nothing": func() error { return tb.Delete(t.Context(), "none", db.Purge()) },
	} {
		wantErr(t, what, do(), db.ErrNotFound)
	}
	page, err := tb.Search(t.Context(), db.OnlyDeleted())
	if err != nil || len(page.Records) != 1 {
		t.Fatalf("deleted are %+v, %v", page, err)
	}
	if r := page.Records[0]; r.Version != first.Version || time.Since(r.Deleted).Abs() > time.Minute || !r.Created.Equal(first.Created) || len(r.Metadata) != 2 || string(r.Data) != "first" {
		t.Errorf("the deleted record is %+v, want %+v", r, first)
	}
	back, err := tb.Restore(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	got := mustRead(t, tb, "x")
	if got.Version != back.Version || got.Version <= first.Version || !got.Created.Equal(first.Created) || string(got.Data) != "first" || got.ContentType != "text/plain" ||
		fmt.Sprint(got.Metadata) != fmt.Sprint(first.Metadata) || !got.Deleted.IsZero() || !got.Expires.IsZero() {
		t.Errorf("restored %+v, and read %+v, want %+v with a later version", back, got, first)
	}
	wantErr(t, "Update with what was deleted", tb.Update(t.Context(), first.Clone()), db.ErrConflict)
	b.settle(t)
	check("restored", []string{"x", "y"}, []string{})

	// The last of several with one id is kept, and another one stands in its way.
	var third *db.Record
	for _, data := range []string{"second", "third"} {
		if err := tb.Delete(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		third = &db.Record{ID: "x", Data: []byte(data), Metadata: map[string]any{"a": "v"}}
		mustCreate(t, tb, third)
	}
	_, err = tb.Restore(t.Context(), "x")
	wantErr(t, "Restore over another record", err, db.ErrExists)
	if err := tb.Batch(t.Context(), db.DeleteOp("x"), db.DeleteOp("y")); err != nil {
		t.Fatal(err)
	}
	b.settle(t)
	check("all are deleted", []string{}, []string{"x", "y"})
	back, err = tb.Restore(t.Context(), "x")
	if err != nil || string(back.Data) != "third" || !back.Created.Equal(third.Created) {
		t.Errorf("restored %+v, %v, want the third, %+v", back, err, third)
	}
	for _, id := range []string{"x", "y"} {
		if err := tb.Delete(t.Context(), id, db.Purge()); err != nil {
			t.Errorf("Purge %s: %v", id, err)
		}
	}
	b.settle(t)
	check("purged", []string{}, []string{})
	wantErr(t, "Update with Purge", tb.Update(t.Context(), back, db.Purge()), db.ErrInvalid)

	hard := openTable(t, d, "hard")
	mustCreate(t, hard, &db.Record{ID: "x"})
	if err := hard.Delete(t.Context(), "x", db.Purge()); err != nil {
		t.Errorf("Purge without SoftDelete: %v", err)
	}
	_, err = hard.Restore(t.Context(), "x")
	wantErr(t, "Restore without SoftDelete", err, db.ErrInvalid)
	_, err = hard.Search(t.Context(), db.OnlyDeleted())
	wantErr(t, "Deleted without SoftDelete", err, db.ErrInvalid)
	_, err = d.Table(t.Context(), "negative", db.SoftDelete(-1))
	wantErr(t, "negative time", err, db.ErrInvalid)
	if d.Features().Transactions {
		softTx(t, d, tb)
	}
}

// softTx deletes and restores in transactions, one of which is given up.
func softTx(t *testing.T, d db.DB, tb db.Table) {
	mustCreate(t, tb, &db.Record{ID: "in", Data: []byte("v")})
	boom := errors.New("boom")
	inside := func(give error, do func(ctx context.Context, x db.Table) error) {
		t.Helper()
		err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			x, err := tx.Table(ctx, "things")
			if err == nil {
				err = do(ctx, x)
			}
			return errors.Join(err, give)
		})
		if !errors.Is(err, give) || give == nil && err != nil {
			t.Fatal(err)
		}
	}
	remove := func(ctx context.Context, x db.Table) error { return x.Delete(ctx, "in") }
	restore := func(ctx context.Context, x db.Table) error { _, err := x.Restore(ctx, "in"); return err }
	inside(boom, remove)
	mustRead(t, tb, "in")
	if got := ids(t, tb, db.OnlyDeleted()); len(got) != 0 {
		t.Errorf("a transaction that was given up has deleted %q", got)
	}
	inside(nil, remove)
	inside(boom, restore)
	_, err := tb.Read(t.Context(), "in")
	wantErr(t, "Read after a restoration that was given up", err, db.ErrNotFound)
	inside(nil, restore)
	if r := mustRead(t, tb, "in"); string(r.Data) != "v" {
		t.Errorf("restored %q", r.Data)
	}
	inside(nil, func(ctx context.Context, x db.Table) error { return errors.Join(remove(ctx, x), restore(ctx, x)) })
	mustRead(t, tb, "in")
}

func softSearches(t *testing.T, b *bench) {
	d := b.open(t)
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.SoftDelete(0))
	if err != nil {
		t.Fatal(err)
	}
	var gone []string
	for i := range 12 {
		mustCreate(t, tb, &db.Record{ID: id(i), Metadata: map[string]any{"a": i % 2}})
		if i%3 == 0 {
			if err := tb.Delete(t.Context(), id(i)); err != nil {
				t.Fatal(err)
			}
			gone = append(gone, id(i))
		}
	}
	b.settle(t)
	before := time.Now().Add(-time.Hour)
	slices.Reverse(gone)
	if got := ids(t, tb, db.OnlyDeleted(), db.Where(db.Greater(db.FieldDeleted, before)), db.OrderBy("-"+db.FieldDeleted), db.Limit(3)); !slices.Equal(got, gone) {
		t.Errorf("the last deleted are %q, want %q", got, gone)
	}
	if got := ids(t, tb, db.OnlyDeleted(), db.Where(db.Equal("a", 1)), db.Limit(1)); !slices.Equal(got, []string{id(3), id(9)}) {
		t.Errorf("deleted with a = 1 are %q", got)
	}
	p, err := tb.Search(t.Context(), db.OnlyDeleted(), db.Limit(1))
	if err != nil {
		t.Fatal(err)
	}
	if d.Features().Order {
		versioned(t, b, d)
	}
	wantErr(t, "a cursor of the deleted ones, among the others", errOnly(tb.Search(t.Context(), db.After(p.Next))), db.ErrInvalid)
	if !d.Features().AnyKey {
		wantErr(t, "a search among the deleted without an index", errOnly(tb.Search(t.Context(), db.OnlyDeleted(), db.Where(db.Equal("none", 1)))), db.ErrUnsupported)
	}
}

// versioned pages through deleted records in the order of their versions: those
// that they had, not those of the rows that keep them.
func versioned(t *testing.T, b *bench, d db.DB) {
	tb, err := d.Table(t.Context(), "versioned", db.Index(db.FieldVersion), db.SoftDelete(0))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 { // the last one has the lowest version
		r := &db.Record{ID: id(i)}
		mustCreate(t, tb, r)
		for range 5 - i {
			if err := tb.Update(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		if err := tb.Delete(t.Context(), r.ID, db.IfVersion(r.Version)); err != nil {
			t.Fatal(err)
		}
	}
	b.settle(t)
	order := []db.SearchOption{db.OnlyDeleted(), db.OrderBy(db.FieldVersion)}
	all, err := tb.Search(t.Context(), order...)
	if err != nil || len(all.Records) != 5 || !slices.IsSortedFunc(all.Records, func(a, b *db.Record) int { return cmp.Compare(a.Version, b.Version) }) {
		t.Fatalf("by version the deleted are %v, %v", all.Records, err)
	}
	var want []string
	for _, r := range all.Records {
		want = append(want, r.ID)
	}
	if got := ids(t, tb, append(order, db.Limit(2))...); !slices.Equal(got, want) {
		t.Errorf("page by page the deleted are %q, want %q", got, want)
	}
	v := all.Records[2].Version
	if got := ids(t, tb, append(order, db.Where(db.Greater(db.FieldVersion, v)))...); !slices.Equal(got, want[3:]) && len(want) == 5 {
		t.Errorf("deleted with a version above %d are %q, want %q", v, got, want[3:])
	}
}

func softKept(t *testing.T, b *bench) {
	tb, err := b.open(t, db.WithPurgeInterval(20*time.Millisecond)).Table(t.Context(), "things", db.SoftDelete(300*time.Millisecond), db.TTL(0))
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, tb, &db.Record{ID: "x"}, &db.Record{ID: "stays"})
	start := time.Now()
	if err := tb.Delete(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if r, err := tb.Restore(t.Context(), "x"); err == nil {
		err = tb.Delete(t.Context(), "x", db.IfVersion(r.Version))
		if err != nil {
			t.Fatal(err)
		}
	} else if time.Since(start) < 250*time.Millisecond {
		t.Errorf("Restore within the time: %v", err)
	}
	eventually(t, "a deleted record is there no more", func() bool {
		b.settle(t)
		return len(ids(t, tb, db.OnlyDeleted())) == 0
	})
	if time.Since(start) < 250*time.Millisecond {
		t.Error("a deleted record was gone before its time")
	}
	_, err = tb.Restore(t.Context(), "x")
	wantErr(t, "Restore after the time", err, db.ErrNotFound)
	// What has expired is not kept.
	r := &db.Record{ID: "expires"}
	mustCreate(t, tb, r)
	expire(t, tb, r)
	_, err = tb.Restore(t.Context(), "expires")
	wantErr(t, "Restore of what has expired", err, db.ErrNotFound)
	mustRead(t, tb, "stays")
}
