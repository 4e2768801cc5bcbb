package dbtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// expire has a record expire at once.
func expire(t testing.TB, tb db.Table, r *db.Record) {
	t.Helper()
	r.Expires = time.Now().Add(-time.Millisecond)
	if err := tb.Update(t.Context(), r); err != nil {
		t.Fatalf("Update %q: %v", r.ID, err)
	}
}

func expired(t *testing.T, b *bench) {
	d := b.open(t)
	tb, err := d.Table(t.Context(), "things", db.Index("a"), db.TTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	here := &db.Record{ID: "here", Metadata: map[string]any{"a": "x"}}
	gone := &db.Record{ID: "gone", Metadata: map[string]any{"a": "x"}, Expires: time.Now().Add(2 * time.Hour)}
	mustCreate(t, tb, here, gone)
	if !here.Expires.Equal(here.Updated.Add(time.Hour)) {
		t.Errorf("a record of the table's default expires at %v, and was written at %v", here.Expires, here.Updated)
	}
	if r := mustRead(t, tb, "gone"); !r.Expires.Equal(gone.Expires.Truncate(time.Microsecond)) || len(r.Metadata) != 1 {
		t.Errorf("read %+v, want the expiry %v, and the one key", r, gone.Expires)
	}
	r := mustRead(t, tb, "here")
	if err := tb.Update(t.Context(), r); err != nil || !r.Expires.Equal(here.Expires) {
		t.Errorf("an update without a change expires at %v, %v, want %v", r.Expires, err, here.Expires)
	}
	stale := mustRead(t, tb, "gone")
	expire(t, tb, stale)
	stale = stale.Clone()
	b.settle(t)
	check := func(what string, want ...string) {
		t.Helper()
		if got := ids(t, tb, db.Where(db.Equal("a", "x"))); !slices.Equal(got, want) {
			t.Errorf("%s: a search finds %q, want %q", what, got, want)
		}
		if got := ids(t, tb); !slices.Equal(got, want) {
			t.Errorf("%s: all are %q, want %q", what, got, want)
		}
		for _, opts := range [][]db.SearchOption{nil, {db.Where(db.Equal("a", "x"))}} {
			if n, err := tb.Count(t.Context(), opts...); err != nil || n != int64(len(want)) {
				t.Errorf("%s: counted %d, %v, want %d", what, n, err, len(want))
			}
		}
	}
	check("one has expired", "here")
	if d.Features().Shared { // of a process that knows nothing of TTL
		other, err := b.open(t).Table(t.Context(), "things")
		if err != nil {
			t.Fatal(err)
		}
		if n, err := other.Count(t.Context()); err != nil || n != 1 {
			t.Errorf("a process without TTL counted %d, %v, want 1", n, err)
		}
	}
	for what, do := range map[string]func() error{
		"Read":           func() error { _, err := tb.Read(t.Context(), "gone"); return err },
		"Update":         func() error { return tb.Update(t.Context(), stale.Clone()) },
		"Update, forced": func() error { return tb.Update(t.Context(), &db.Record{ID: "gone"}, db.Force()) },
		"Patch":          func() error { _, err := tb.Patch(t.Context(), "gone", db.Set("a", "y")); return err },
		"Delete":         func() error { return tb.Delete(t.Context(), "gone") },
	} {
		wantErr(t, what+" of what has expired", do(), db.ErrNotFound)
	}
	wantErr(t, "Delete of another version", tb.Delete(t.Context(), "here", db.IfVersion(99)), db.ErrConflict)

	version := stale.Version
	for what, do := range map[string]func(r *db.Record) error{
		"Create": func(r *db.Record) error { return tb.Create(t.Context(), r) },
		"Upsert": func(r *db.Record) error { return tb.Update(t.Context(), r, db.Upsert()) },
		"Batch":  func(r *db.Record) error { return tb.Batch(t.Context(), db.CreateOp(r)) },
	} {
		before := time.Now().Add(-time.Second)
		again := &db.Record{ID: "gone", Metadata: map[string]any{"a": "x"}}
		if err := do(again); err != nil {
			t.Fatalf("%s over what has expired: %v", what, err)
		}
		if again.Version <= version || again.Created.Before(before) {
			t.Errorf("%s over what has expired: %+v, want a new record, with a version above %d", what, again, version)
		}
		wantErr(t, "Update with what was before", tb.Update(t.Context(), stale.Clone()), db.ErrConflict)
		b.settle(t)
		check(what, "gone", "here")
		stale = again.Clone()
		expire(t, tb, again)
		version = again.Version
	}
	wantErr(t, "Create that has expired", tb.Create(t.Context(), &db.Record{Expires: time.Now().Add(-time.Hour)}), db.ErrInvalid)

	plain := openTable(t, d, "plain")
	wantErr(t, "Expires without TTL", plain.Create(t.Context(), &db.Record{Expires: time.Now().Add(time.Hour)}), db.ErrInvalid)
	_, err = d.Table(t.Context(), "negative", db.TTL(-1))
	wantErr(t, "negative TTL", err, db.ErrInvalid)
	some, err := d.Table(t.Context(), "some", db.TTL(0))
	if err != nil {
		t.Fatal(err)
	}
	never := &db.Record{ID: "never"}
	mustCreate(t, some, never)
	if got := mustRead(t, some, "never"); !never.Expires.IsZero() || !got.Expires.IsZero() {
		t.Errorf("without a default, a record expires at %v and %v", never.Expires, got.Expires)
	}
}

func expiredPages(t *testing.T, b *bench) {
	tb, err := b.open(t).Table(t.Context(), "things", db.Index("a"), db.TTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := range 20 {
		r := &db.Record{ID: id(i), Metadata: map[string]any{"a": "x"}}
		mustCreate(t, tb, r)
		if i%3 == 0 || i > 9 && i < 16 {
			expire(t, tb, r)
		} else {
			want = append(want, r.ID)
		}
	}
	b.settle(t)
	var got []string
	for cursor := ""; ; {
		p, err := tb.Search(t.Context(), db.Where(db.Equal("a", "x")), db.Limit(3), db.After(cursor))
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range p.Records {
			got = append(got, r.ID)
		}
		if len(p.Records) != 3 && p.Next != "" {
			t.Errorf("a page of %d records, with another one after it", len(p.Records))
		}
		cursor = p.Next
		if cursor == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages have %q, want %q", got, want)
	}
}

// expiredRemoved listens to the deletions, where the backend tells them.
func expiredRemoved(t *testing.T, b *bench) {
	if !b.open(t).Features().Transactions {
		t.Skip("the backend does not tell what is deleted")
	}
	var mu sync.Mutex
	removed := map[string]int{}
	d := b.open(t, db.WithPurgeInterval(20*time.Millisecond), db.WithChanges(func(_ context.Context, _ db.Execer, cs []db.Change) error {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range cs {
			if c.Kind == db.Deleted {
				removed[c.ID]++
			}
		}
		return nil
	}))
	tb, err := d.Table(t.Context(), "things", db.TTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	mustCreate(t, tb, &db.Record{ID: "stays"})
	for i := range 5 {
		r := &db.Record{ID: id(i)}
		mustCreate(t, tb, r)
		expire(t, tb, r)
	}
	eventually(t, "five are removed", func() bool { mu.Lock(); defer mu.Unlock(); return len(removed) == 5 })
	mu.Lock()
	defer mu.Unlock()
	for id, n := range removed {
		if n != 1 || id == "stays" {
			t.Errorf("%s was removed %d times", id, n)
		}
	}
	mustRead(t, tb, "stays")
}

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
	for _, data := range []string{"second", "third"} {
		if err := tb.Delete(t.Context(), "x"); err != nil {
			t.Fatal(err)
		}
		mustCreate(t, tb, &db.Record{ID: "x", Data: []byte(data), Metadata: map[string]any{"a": "v"}})
	}
	_, err = tb.Restore(t.Context(), "x")
	wantErr(t, "Restore over another record", err, db.ErrExists)
	if err := tb.Batch(t.Context(), db.DeleteOp("x"), db.DeleteOp("y")); err != nil {
		t.Fatal(err)
	}
	b.settle(t)
	check("all are deleted", []string{}, []string{"x", "y"})
	back, err = tb.Restore(t.Context(), "x")
	if err != nil || string(back.Data) != "third" {
		t.Errorf("restored %q, %v, want the third", back.Data, err)
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
	wantErr(t, "a cursor of the deleted ones, among the others", errOf(tb.Search(t.Context(), db.After(p.Next))), db.ErrInvalid)
	if !d.Features().AnyKey {
		wantErr(t, "a search among the deleted without an index", errOf(tb.Search(t.Context(), db.OnlyDeleted(), db.Where(db.Equal("none", 1)))), db.ErrUnsupported)
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
