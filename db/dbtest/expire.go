package dbtest

import (
	"context"
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
