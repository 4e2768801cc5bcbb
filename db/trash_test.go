package db_test

import (
	"context"
	"errors"
	"testing"

	"github.com/micro/go-platform/db"
)

// before is a driver without transactions that does something before it deletes
// a live record: once.
type before struct {
	plain
	do func(d db.Driver)
}

func (b *before) Delete(ctx context.Context, table, id string, version uint64) error {
	if do := b.do; do != nil && table == "things" {
		b.do = nil
		do(b.Driver)
	}
	return b.plain.Delete(ctx, table, id, version)
}

// A Delete that comes too late leaves nothing among the deleted records that it
// did not delete, and takes nothing from there that others did.
func TestLostDeleteLeavesNoCopy(t *testing.T) {
	ctx := context.Background()
	update := func(d db.Driver) {
		d.Put(ctx, "things", &db.Record{ID: "x", Data: []byte("newer")}, db.Condition{Must: db.Exist})
	}
	for _, c := range []struct {
		name    string
		kept    bool // an earlier record of the id is among the deleted
		before  func(d db.Driver)
		opts    func(r *db.Record) []db.WriteOption
		want    error
		live    string
		deleted string
	}{
		{"nobody else", false, nil, ifVersion, nil, "", "second"},
		{"updated by another", false, update, ifVersion, db.ErrConflict, "newer", ""},
		{"updated by another, after an earlier record", true, update, ifVersion, db.ErrConflict, "newer", "first"},
		{"updated by another, whatever the version", false, update, nil, nil, "", "newer"},
		{"purged by another", false, func(d db.Driver) {
			d.Delete(ctx, "things", "x", 0)
		}, nil, db.ErrNotFound, "", ""},
		{"deleted by another, who found the copy", false, func(d db.Driver) {
			if err := deleteToo(plain{d}); err != nil {
				panic(err)
			}
		}, nil, db.ErrNotFound, "", "second"},
		{"deleted by another, who found the copy and came too late as well", false, func(d db.Driver) {
			err := deleteToo(&before{plain: plain{d}, do: update}, db.IfVersion(1))
			if !errors.Is(err, db.ErrConflict) {
				panic(err)
			}
		}, ifVersion, db.ErrConflict, "newer", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := db.Memory().OpenDriver(ctx)
			if err != nil {
				t.Fatal(err)
			}
			driver := &before{plain: plain{m}}
			d, err := db.New(db.WithDriver("spy", func(context.Context) (db.Driver, error) { return driver, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(ctx, "things", db.SoftDelete(0))
			if err != nil {
				t.Fatal(err)
			}
			if c.kept {
				if err := errors.Join(tb.Create(ctx, &db.Record{ID: "x", Data: []byte("first")}), tb.Delete(ctx, "x")); err != nil {
					t.Fatal(err)
				}
			}
			r := &db.Record{ID: "x", Data: []byte("second")}
			if err := tb.Create(ctx, r); err != nil {
				t.Fatal(err)
			}
			driver.do = c.before
			var opts []db.WriteOption
			if c.opts != nil {
				opts = c.opts(r)
			}
			if err := tb.Delete(ctx, "x", opts...); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			for what, look := range map[string]struct {
				want string
				opts []db.SearchOption
			}{"live": {c.live, nil}, "deleted": {c.deleted, []db.SearchOption{db.OnlyDeleted()}}} {
				page, err := tb.Search(ctx, look.opts...)
				got := ""
				if len(page.Records) > 0 {
					got = string(page.Records[0].Data)
				}
				if err != nil || len(page.Records) > 1 || got != look.want {
					t.Errorf("%s is %q, %v, want %q", what, got, err, look.want)
				}
			}
		})
	}
}

// deleteToo is another process that deletes x.
func deleteToo(d db.Driver, opts ...db.WriteOption) error {
	ctx := context.Background()
	other, err := db.New(db.WithDriver("other", func(context.Context) (db.Driver, error) { return unclosed{d}, nil }))
	if err != nil {
		return err
	}
	defer other.Close()
	tb, err := other.Table(ctx, "things", db.SoftDelete(0))
	if err != nil {
		return err
	}
	return tb.Delete(ctx, "x", opts...)
}

func ifVersion(r *db.Record) []db.WriteOption { return []db.WriteOption{db.IfVersion(r.Version)} }

// unclosed is a driver that stays open.
type unclosed struct{ db.Driver }

func (unclosed) Close() error { return nil }

// stuck is a driver without transactions whose Delete in one table fails.
type stuck struct {
	plain
	in string
}

func (s *stuck) Delete(ctx context.Context, table, id string, version uint64) error {
	if table == s.in {
		return errors.New("failed")
	}
	return s.plain.Delete(ctx, table, id, version)
}

// A Restore that got no further than its first write is done with the next one.
// What is in the record's place for another reason is left, and so is the copy.
func TestRestoreGoesOnWhereItStopped(t *testing.T) {
	ctx := t.Context()
	deleted := func(_ *stuck, tb db.Table) error { return tb.Delete(ctx, "x") }
	halfRestored := func(s *stuck, tb db.Table) error {
		if err := tb.Delete(ctx, "x"); err != nil {
			return err
		}
		s.in = "things_deleted_"
		if _, err := tb.Restore(ctx, "x"); err == nil {
			return errors.New("Restore succeeds")
		}
		return nil
	}
	for name, c := range map[string]struct {
		before func(s *stuck, tb db.Table) error
		want   error
		live   string
		kept   int64
	}{
		"deleted":                    {deleted, nil, "first", 0},
		"restored, but for the copy": {halfRestored, nil, "first", 0},
		"restored, but for the copy, and updated": {func(s *stuck, tb db.Table) error {
			if err := halfRestored(s, tb); err != nil {
				return err
			}
			return tb.Update(ctx, &db.Record{ID: "x", Data: []byte("second")}, db.Force())
		}, nil, "second", 0},
		"a Delete that got no further": {func(s *stuck, tb db.Table) error {
			s.in = "things"
			if err := tb.Delete(ctx, "x"); err == nil {
				return errors.New("Delete succeeds")
			}
			return nil
		}, db.ErrExists, "first", 1},
		"another record under its id": {func(s *stuck, tb db.Table) error {
			if err := deleted(s, tb); err != nil {
				return err
			}
			return tb.Create(ctx, &db.Record{ID: "x", Data: []byte("another")})
		}, db.ErrExists, "another", 1},
	} {
		t.Run(name, func(t *testing.T) {
			mem, err := db.Memory().OpenDriver(ctx)
			if err != nil {
				t.Fatal(err)
			}
			s := &stuck{plain: plain{mem}}
			d, err := db.New(db.WithDriver("stuck", func(context.Context) (db.Driver, error) { return s, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(ctx, "things", db.SoftDelete(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := tb.Create(ctx, &db.Record{ID: "x", Data: []byte("first")}); err != nil {
				t.Fatal(err)
			}
			if err := c.before(s, tb); err != nil {
				t.Fatal(err)
			}
			s.in = ""
			r, err := tb.Restore(ctx, "x")
			if !errors.Is(err, c.want) || err == nil && string(r.Data) != c.live {
				t.Errorf("Restore: %v, %v, want %q, %v", r, err, c.live, c.want)
			}
			if r, err := tb.Read(ctx, "x"); err != nil || string(r.Data) != c.live {
				t.Errorf("there is %v, %v, want %q", r, err, c.live)
			}
			if n, err := tb.Count(ctx, db.OnlyDeleted()); err != nil || n != c.kept {
				t.Errorf("%d are kept, %v, want %d", n, err, c.kept)
			}
		})
	}
}

// refusing is a driver whose Delete in one table has an error.
type refusing struct {
	db.Driver
	in  string
	err error
}

func (r *refusing) Delete(ctx context.Context, table, id string, version uint64) error {
	if table == r.in {
		return r.err
	}
	return r.Driver.Delete(ctx, table, id, version)
}

// A Restore or a Purge whose second write was refused says that something may be
// done; one whose first write was refused, that nothing is.
func TestHalfOfItIsNotNothing(t *testing.T) {
	ctx := t.Context()
	restore := func(tb db.Table) error { _, err := tb.Restore(ctx, "deleted"); return err }
	purge := func(id string) func(tb db.Table) error {
		return func(tb db.Table) error { return tb.Delete(ctx, id, db.Purge()) }
	}
	const live, kept = "things", "things_deleted_"
	for name, c := range map[string]struct {
		do             func(tb db.Table) error
		in             string // the table whose Delete has the error
		err            error
		half           bool
		live, restored bool  // which records can be read
		kept           int64 // how many are kept once it was done again
	}{
		"restore, unavailable":    {restore, kept, db.ErrUnavailable, true, true, true, 0},
		"restore, denied":         {restore, kept, db.ErrDenied, true, true, true, 0},
		"restore, given up":       {restore, kept, context.Canceled, true, true, true, 0},
		"restore, without a kind": {restore, kept, errors.New("failed"), true, true, true, 0},
		"purge, the second write": {purge("live"), kept, db.ErrUnavailable, true, false, false, 1},
		"purge, the first write":  {purge("live"), live, db.ErrUnavailable, false, true, false, 1},
		"purge of a deleted one":  {purge("deleted"), kept, db.ErrUnavailable, false, true, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			mem, err := db.Memory().OpenDriver(ctx)
			if err != nil {
				t.Fatal(err)
			}
			r := &refusing{Driver: plain{mem}, err: c.err}
			d, err := db.New(db.WithDriver("refusing", func(context.Context) (db.Driver, error) { return r, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(ctx, "things", db.SoftDelete(0))
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(tb.Create(ctx, &db.Record{ID: "live"}), tb.Create(ctx, &db.Record{ID: "deleted"}), tb.Delete(ctx, "deleted")); err != nil {
				t.Fatal(err)
			}
			r.in = c.in
			err = c.do(tb)
			r.in = ""
			switch {
			case c.half && (!errors.Is(err, db.ErrUnknownOutcome) || errors.Is(err, db.ErrUnavailable) || errors.Is(err, db.ErrDenied)):
				t.Errorf("got %v, want ErrUnknownOutcome alone", err)
			case !c.half && (!errors.Is(err, db.ErrUnavailable) || errors.Is(err, db.ErrUnknownOutcome)):
				t.Errorf("got %v, want ErrUnavailable alone", err)
			}
			if errors.Is(c.err, context.Canceled) != errors.Is(err, context.Canceled) {
				t.Errorf("got %v: the caller gave up: %v", err, c.err)
			}
			for id, want := range map[string]bool{"live": c.live, "deleted": c.restored} {
				if _, err := tb.Read(ctx, id); (err == nil) != want {
					t.Errorf("%s: %v, want it there: %v", id, err, want)
				}
			}
			if err := c.do(tb); err != nil && !errors.Is(err, db.ErrNotFound) { // once more
				t.Errorf("once more: %v", err)
			}
			if n, err := tb.Count(ctx, db.OnlyDeleted()); err != nil || n != c.kept {
				t.Errorf("%d are kept, %v, want %d", n, err, c.kept)
			}
		})
	}
}
