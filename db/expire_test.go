package db_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
)

// TestWhatHasExpiredIsRemoved looks into the driver, with transactions and
// without: expired and long deleted records are gone from it in time, also after a
// failure, and no others.
func TestWhatHasExpiredIsRemoved(t *testing.T) {
	for name, wrap := range map[string]func(d db.Driver) db.Driver{
		"transactions": func(d db.Driver) db.Driver { return d },
		"none":         func(d db.Driver) db.Driver { return plain{d} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m, err := db.Memory().OpenDriver(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				f := &failing{Driver: wrap(m)}
				var driver db.Driver = f
				if x, ok := wrap(m).(dbdriver.Transactor); ok {
					driver = struct {
						*failing
						dbdriver.Transactor
					}{f, x}
				}
				d, err := db.New(db.WithDriver("spy", func(context.Context) (db.Driver, error) { return driver, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				tb, err := d.Table(t.Context(), "things", db.TTL(time.Hour), db.SoftDelete(2*time.Hour))
				if err != nil {
					t.Fatal(err)
				}
				for i := range 1200 { // more than are looked for at once
					r := &db.Record{ID: fmt.Sprint(i)}
					if i%2 == 0 {
						r.Expires = time.Now().Add(24 * time.Hour)
					}
					if err := tb.Create(t.Context(), r); err != nil {
						t.Fatal(err)
					}
				}
				r, err := tb.Read(t.Context(), "0")
				if err == nil { // so that its version is not that of the row which keeps it
					err = tb.Update(t.Context(), r)
				}
				if err != nil {
					t.Fatal(err)
				}
				if err := tb.Delete(t.Context(), "0"); err != nil {
					t.Fatal(err)
				}
				check := func(what string, live, deleted int64) {
					t.Helper()
					for table, want := range map[string]int64{"things": live, "things_deleted_": deleted} {
						if n, err := m.Count(t.Context(), table, db.Filter{}); err != nil || n != want {
							t.Errorf("%s: %d records in %s, %v, want %d", what, n, table, err, want)
						}
					}
				}
				time.Sleep(59 * time.Minute)
				check("before their time", 1199, 1)
				f.fail.Store(true)
				time.Sleep(5 * time.Minute)
				check("while the backend fails", 1199, 1)
				f.panics.Store(true)
				time.Sleep(5 * time.Minute)
				check("while it panics", 1199, 1)
				f.panics.Store(false)
				f.fail.Store(false)
				time.Sleep(3 * time.Minute)
				check("after an hour", 599, 1)
				time.Sleep(time.Hour)
				check("after two", 599, 0)
			})
		})
	}
}

// failing is a driver whose searches fail or panic, if they are to.
type failing struct {
	db.Driver
	fail, panics atomic.Bool
}

func (f *failing) Query(ctx context.Context, table string, q db.Query) ([]*db.Record, error) {
	if f.panics.Load() {
		panic("boom")
	}
	if f.fail.Load() {
		return nil, errors.New("boom")
	}
	return f.Driver.Query(ctx, table, q)
}

// counting counts searches.
type counting struct {
	db.Driver
	n atomic.Int64
}

func (c *counting) Query(ctx context.Context, table string, q db.Query) ([]*db.Record, error) {
	c.n.Add(1)
	return c.Driver.Query(ctx, table, q)
}

// A small page behind many expired records is found with few searches.
func TestManyExpiredRecordsCostFewSearches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := db.Memory().OpenDriver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := &counting{Driver: plain{m}}
		d, err := db.New(db.WithPurgeInterval(24*time.Hour), db.WithDriver("spy", func(context.Context) (db.Driver, error) { return c, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		tb, err := d.Table(t.Context(), "things", db.TTL(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 5000 {
			if err := tb.Create(t.Context(), &db.Record{ID: fmt.Sprintf("%04d", i)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Hour)
		for _, id := range []string{"x", "y", "z"} {
			if err := tb.Create(t.Context(), &db.Record{ID: id}); err != nil {
				t.Fatal(err)
			}
		}
		c.n.Store(0)
		page, err := tb.Search(t.Context(), db.Limit(2))
		if err != nil || len(page.Records) != 2 || page.Records[0].ID != "x" || page.Records[1].ID != "y" || page.Next == "" {
			t.Fatalf("%+v, %v", page, err)
		}
		if n := c.n.Load(); n > 20 {
			t.Errorf("%d searches", n)
		}
		page, err = tb.Search(t.Context(), db.Limit(2), db.After(page.Next))
		if err != nil || len(page.Records) != 1 || page.Records[0].ID != "z" || page.Next != "" {
			t.Errorf("the next page: %+v, %v", page, err)
		}
	})
}
