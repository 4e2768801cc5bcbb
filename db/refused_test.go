package db_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
)

// without is a driver whose features are fewer, and whose calls fail with err, if
// there is one.
type without struct {
	plain
	err   error
	count int // calls of Count before those that fail
}

func (w *without) Features() db.Features {
	f := w.plain.Features()
	f.Not = false
	return f
}

func (w *without) Count(ctx context.Context, table string, f db.Filter) (int64, error) {
	if w.err != nil && w.count == 0 {
		return 0, w.err
	}
	w.count--
	return w.plain.Count(ctx, table, f)
}

func openMemory(t *testing.T) db.Driver {
	t.Helper()
	mem, err := db.Memory().OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return mem
}

func openOn(t *testing.T, driver db.Driver, opts ...db.Option) db.DB {
	t.Helper()
	d, err := db.New(append(opts, db.WithDriver("double", func(context.Context) (db.Driver, error) { return driver, nil }))...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A backend without Not counts what has expired, and takes it off.
func TestExpiredRecordsAreNotCountedWithoutNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &without{plain: plain{openMemory(t)}}
		d := openOn(t, w)
		defer d.Close()
		tb, err := d.Table(t.Context(), "things", db.TTL(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for id, age := range map[string]time.Duration{"a": time.Second, "b": time.Hour, "c": time.Hour} {
			if err := tb.Create(t.Context(), &db.Record{ID: id, Expires: time.Now().Add(age)}); err != nil {
				t.Fatal(err)
			}
		}
		for after, want := range []int64{3, 2} { // the purge comes later
			if n, err := tb.Count(t.Context()); n != want || err != nil {
				t.Errorf("after %d s: %d, %v, want %d", after, n, err, want)
			}
			time.Sleep(time.Second)
		}
		for before := range 3 {
			w.err, w.count = db.ErrUnavailable, before
			n, err := tb.Count(t.Context())
			if bad := before < 2; errors.Is(err, db.ErrUnavailable) != bad || bad && n != 0 || !bad && n != 2 {
				t.Errorf("after %d calls that answer: %d, %v", before, n, err)
			}
		}
	})
}

func TestWhenARecordMayExpire(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.TTL(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	for at, want := range map[time.Time]error{last: nil, last.Add(time.Second): db.ErrInvalid} {
		err := tb.Create(t.Context(), &db.Record{ID: "a", Expires: at})
		r, e := tb.Read(t.Context(), "a")
		if !errors.Is(err, want) || (e == nil) != (want == nil) || e == nil && !r.Expires.Equal(at) {
			t.Errorf("%v: %v, then %+v, %v", at, err, r, e)
		}
		tb.Delete(t.Context(), "a")
	}
}

func TestOpenDriverTakesGoodOptionsAlone(t *testing.T) {
	for name, c := range map[string]struct {
		opt  db.Option
		want error
	}{"good": {db.Memory(), nil}, "bad": {db.WithTimeout(-1), db.ErrInvalid}} {
		d, err := c.opt.OpenDriver(t.Context())
		if !errors.Is(err, c.want) || (d == nil) != (c.want != nil) {
			t.Errorf("%s: %v, %v", name, d, err)
		}
		if d != nil {
			d.Close()
		}
	}
}

// another hides that a transaction is the memory's.
type another struct{ db.Driver }

func (a another) Begin(ctx context.Context, l db.IsolationLevel) (dbdriver.Transaction, error) {
	tx, err := a.Driver.(dbdriver.Transactor).Begin(ctx, l)
	return struct{ dbdriver.Transaction }{tx}, err
}

// What WithChanges says of a transaction decides whether it is committed: on any
// backend with transactions.
func TestChangesThatAreRefusedUndoTheTransaction(t *testing.T) {
	no := errors.New("no")
	for name, refused := range map[string]error{"taken": nil, "refused": no} {
		for backend, hidden := range map[string]bool{"memory": false, "another": true} {
			mem := openMemory(t)
			driver := mem
			if hidden {
				driver = another{mem}
			}
			told := 0
			d := openOn(t, driver, db.WithChanges(func(_ context.Context, _ db.Execer, all []db.Change) error {
				told += len(all)
				return refused
			}))
			tb, err := d.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
				things, err := tx.Table(ctx, "things")
				if err != nil {
					return err
				}
				return things.Create(ctx, &db.Record{ID: "a"})
			})
			n, e := tb.Count(t.Context())
			if !errors.Is(err, refused) || told != 1 || e != nil || (n == 1) != (refused == nil) {
				t.Errorf("%s, %s: %v, %d told; then %d records, %v", name, backend, err, told, n, e)
			}
			d.Close()
		}
	}
}

// A Delete of a kept record heeds its version, and a Restore its id.
func TestKeptRecordsAreFoundByIDAndVersion(t *testing.T) {
	for name, driver := range map[string]db.Driver{"transactions": openMemory(t), "none": plain{openMemory(t)}} {
		d := openOn(t, driver)
		tb, err := d.Table(t.Context(), "things", db.SoftDelete(0))
		if err != nil {
			t.Fatal(err)
		}
		r := &db.Record{ID: "a"}
		if err := errors.Join(tb.Create(t.Context(), r), tb.Delete(t.Context(), "a")); err != nil {
			t.Fatal(err)
		}
		restore := func(id string) error { _, err := tb.Restore(t.Context(), id); return err }
		purge := func(id string, version uint64) error {
			return tb.Delete(t.Context(), id, db.Purge(), db.IfVersion(version))
		}
		for _, c := range []struct {
			what string
			err  error
			want error
			kept int64
		}{
			{"restore of no id", restore(""), db.ErrInvalid, 1},
			{"purge of another version", purge("a", r.Version+1), db.ErrConflict, 1},
			{"purge of another id", purge("b", r.Version), db.ErrNotFound, 1},
		} {
			if n, err := tb.Count(t.Context(), db.OnlyDeleted()); !errors.Is(c.err, c.want) || n != c.kept || err != nil {
				t.Errorf("%s: %s: %v, want %v; %d are kept, %v", name, c.what, c.err, c.want, n, err)
			}
		}
		if err := purge("a", r.Version); err != nil {
			t.Errorf("%s: purge of the version: %v", name, err)
		}
		if n, err := tb.Count(t.Context(), db.OnlyDeleted()); n != 0 || err != nil {
			t.Errorf("%s: %d are kept after it, %v", name, n, err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		if err := restore("a"); !errors.Is(err, db.ErrClosed) {
			t.Errorf("%s: restore after Close: %v", name, err)
		}
	}
}

func TestWordsAreMatchedWhereTheyAreDeclared(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things", db.FullText("text"))
	if err != nil {
		t.Fatal(err)
	}
	if err := tb.Create(t.Context(), &db.Record{ID: "a", Metadata: map[string]any{"text": "a word", "other": "a word"}}); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]error{"text": nil, "other": db.ErrUnsupported} {
		match := db.Match(key, "word")
		for how, f := range map[string]db.Filter{"alone": match, "within": db.Or(db.Equal(db.FieldID, "b"), match)} {
			page, err := tb.Search(t.Context(), db.Where(f))
			if !errors.Is(err, want) || want == nil && len(page.Records) != 1 {
				t.Errorf("%s, %s: %+v, %v, want %v", key, how, page, err, want)
			}
		}
	}
}

// contested is a driver whose updates lose to others: the first left ones.
type contested struct {
	plain
	left, tries int
	lost        func()
}

func (c *contested) Put(ctx context.Context, table string, r *db.Record, cond db.Condition) error {
	if cond.Must == db.Exist {
		c.tries++
		if c.tries <= c.left {
			c.lost()
			return db.ErrConflict
		}
	}
	return c.plain.Put(ctx, table, r, cond)
}

func TestPatchTriesAgainAfterConflicts(t *testing.T) {
	for name, c := range map[string]struct {
		left, tries int
		gone        bool // the caller, at the first conflict
		want        []error
	}{
		"none":                {0, 1, false, nil},
		"three":               {3, 4, false, nil},
		"1000":                {1000, 1001, false, nil},
		"1001":                {1001, 1001, false, []error{db.ErrConflict}},
		"the caller has gone": {1, 1, true, []error{db.ErrConflict, context.Canceled}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				driver := &contested{plain: plain{openMemory(t)}, left: c.left, lost: func() {
					if c.gone {
						cancel()
					}
				}}
				d := openOn(t, driver, db.WithTimeout(time.Hour))
				defer d.Close()
				tb, err := d.Table(ctx, "things")
				if err != nil {
					t.Fatal(err)
				}
				if err := tb.Create(ctx, &db.Record{ID: "a"}); err != nil {
					t.Fatal(err)
				}
				_, err = tb.Patch(ctx, "a", db.Increment("n", 1))
				for _, want := range c.want {
					if !errors.Is(err, want) {
						t.Errorf("%v, want %v", err, want)
					}
				}
				if (err == nil) != (c.want == nil) || driver.tries != c.tries {
					t.Errorf("%v after %d tries, want %d", err, driver.tries, c.tries)
				}
				r, err := tb.Read(t.Context(), "a")
				if err != nil || (r.Metadata["n"] == int64(1)) != (c.want == nil) {
					t.Errorf("then %+v, %v", r, err)
				}
			})
		})
	}
}
