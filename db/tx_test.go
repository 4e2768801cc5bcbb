package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/db"
	dbdriver "github.com/micro/go-platform/db/driver"
	"github.com/micro/go-platform/kv"
)

// collides is a driver whose transactions collide n times.
type collides struct {
	db.Driver
	left *int
}

func (c collides) Ping(context.Context) error { return nil }
func (c collides) Close() error               { return nil }
func (c collides) Features() db.Features      { return db.Features{Transactions: true} }
func (c collides) Begin(context.Context, db.IsolationLevel) (dbdriver.Transaction, error) {
	return colliding{left: c.left}, nil
}

type colliding struct {
	dbdriver.Operations
	left *int
}

func (c colliding) Commit(context.Context) error {
	*c.left--
	if *c.left >= 0 {
		return fmt.Errorf("40001: %w", dbdriver.ErrSerialization)
	}
	return nil
}
func (c colliding) Rollback(context.Context) error { return nil }

func TestTxRunsAgainAfterACollision(t *testing.T) {
	synctest.Test(t, collide)
}

func collide(t *testing.T) {
	for left, want := range map[int]error{0: nil, 3: nil, 99: nil, 100: nil, 101: db.ErrConflict, 1000: db.ErrConflict} {
		n := left
		d, err := db.New(db.WithDriver("collides", func(context.Context) (db.Driver, error) { return collides{left: &n}, nil }))
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		err = d.Tx(ctx, func(context.Context, db.DB) error { runs++; return nil })
		cancel()
		if !errors.Is(err, want) {
			t.Errorf("%d collisions: got %v, want %v", left, err, want)
		}
		if want == nil && runs != left+1 {
			t.Errorf("%d collisions: ran %d times", left, runs)
		}
		d.Close()
	}
	n := 1 << 30 // without end: the context ends it
	d, _ := db.New(db.WithDriver("collides", func(context.Context) (db.Driver, error) { return collides{left: &n}, nil }))
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Tx(ctx, func(context.Context, db.DB) error { return nil }); !errors.Is(err, db.ErrConflict) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want both ErrConflict and the context's error", err)
	}
}

// conflicts is a transaction whose reads say that it must run again, n times.
type conflicts struct {
	colliding
	left *int
}

func (c conflicts) Get(context.Context, string, string) (*db.Record, error) {
	*c.left--
	if *c.left >= 0 {
		return nil, fmt.Errorf("40001: %w", dbdriver.ErrSerialization)
	}
	return &db.Record{ID: "x", Version: 1}, nil
}

type conflicting struct {
	db.Driver
	left *int
}

func (c conflicting) Begin(context.Context, db.IsolationLevel) (dbdriver.Transaction, error) {
	never := 0
	return conflicts{colliding{left: &never}, c.left}, nil
}

func TestTxRunsAgainWhateverItsFunctionMakesOfAConflict(t *testing.T) {
	for name, give := range map[string]func(err error) error{
		"dropped":  func(error) error { return nil },
		"replaced": func(err error) error { return errors.Join(errors.New(fmt.Sprint(err))) },
		"returned": func(err error) error { return err },
	} {
		n := 2
		d, err := db.New(db.WithDriver("conflicting", func(ctx context.Context) (db.Driver, error) {
			m, err := db.Memory().OpenDriver(ctx)
			return conflicting{m, &n}, err
		}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Table(t.Context(), "things"); err != nil {
			t.Fatal(err)
		}
		runs := 0
		err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
			runs++
			tb, err := tx.Table(ctx, "things")
			if err != nil {
				return err
			}
			if _, err := tb.Read(ctx, "x"); err != nil {
				return give(err)
			}
			return nil
		})
		if err != nil || runs != 3 {
			t.Errorf("%s: ran %d times, %v, want the third to be committed", name, runs, err)
		}
		d.Close()
	}
}

// What a transaction's function returns of another package says nothing about the
// database.
func TestErrorsOfATransactionsFunctionAreItsOwn(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	other, err := kv.New()
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, missing := other.Get(t.Context(), "none")
	for name, c := range map[string]struct {
		err, is  error
		notFound bool
	}{
		"of package kv":          {missing, kv.ErrNotFound, false},
		"of package kv, wrapped": {fmt.Errorf("looking: %w", missing), kv.ErrNotFound, false},
		"of the database":        {fmt.Errorf("looking: %w", db.ErrNotFound), db.ErrNotFound, true},
	} {
		err := d.Tx(t.Context(), func(context.Context, db.DB) error { return c.err })
		if !errors.Is(err, c.is) || errors.Is(err, db.ErrNotFound) != c.notFound {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A transaction takes bad calls as the database does, and none when it has ended.
func TestCallsOfATransaction(t *testing.T) {
	d, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	table, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	var left db.DB
	var leftTable db.Table
	err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
		left = tx
		if _, err := tx.Table(ctx, "things", nil); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("a table with a nil option: %v", err)
		}
		if err := tx.Tx(ctx, nil); !errors.Is(err, db.ErrInvalid) {
			t.Errorf("no function: %v", err)
		}
		called := false
		if err := tx.Tx(ctx, func(context.Context, db.DB) error { called = true; return nil }, db.Isolation(7)); !errors.Is(err, db.ErrInvalid) || called {
			t.Errorf("a bad option: %v, or it was called", err)
		}
		leftTable, err = tx.Table(ctx, "things")
		if err != nil {
			return err
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := leftTable.Read(ended, "a"); !errors.Is(err, context.Canceled) {
			t.Errorf("a read whose caller has gone: %v", err)
		}
		return leftTable.Create(ctx, &db.Record{ID: "a"})
	})
	if err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Table":  func() error { _, err := left.Table(t.Context(), "things"); return err }(),
		"Tx":     left.Tx(t.Context(), func(context.Context, db.DB) error { t.Error("it was called"); return nil }),
		"Create": leftTable.Create(t.Context(), &db.Record{ID: "b"}),
		"Read":   func() error { _, err := leftTable.Read(t.Context(), "a"); return err }(),
		"Search": func() error { _, err := leftTable.Search(t.Context()); return err }(),
		"Count":  func() error { _, err := leftTable.Count(t.Context()); return err }(),
		"Delete": leftTable.Delete(t.Context(), "a"),
	} {
		if !errors.Is(err, db.ErrClosed) {
			t.Errorf("%s after the end: %v, want ErrClosed", what, err)
		}
	}
	if n, err := table.Count(t.Context()); n != 1 || err != nil {
		t.Errorf("%d records are there, %v, want what the transaction made", n, err)
	}
}

// A caller who has gone is told by the memory too, and changes nothing.
func TestMemoryHeedsItsCaller(t *testing.T) {
	mem, err := db.Memory().OpenDriver(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	spec := db.TableSpec{Name: "things"}
	if err := mem.Ensure(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	spec.Indexes = [][]db.Order{{{Key: "k"}}}
	all := db.Query{Limit: 10, Order: []db.Order{{Key: db.FieldID}}}
	tx, err := mem.(dbdriver.Transactor).Begin(t.Context(), db.LevelSerializable)
	if err != nil {
		t.Fatal(err)
	}
	read := func(what string, do func() error) {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", what, err)
		}
	}
	read("an index", func() error { return mem.Ensure(ended, spec) })
	for what, o := range map[string]dbdriver.Operations{"memory": mem, "a transaction": tx} {
		read(what+": get", func() error { _, err := o.Get(ended, "things", "a"); return err })
		read(what+": query", func() error { _, err := o.Query(ended, "things", all); return err })
		read(what+": count", func() error { _, err := o.Count(ended, "things", db.Filter{}); return err })
		read(what+": put", func() error { return o.Put(ended, "things", &db.Record{ID: "a"}, db.Condition{}) }) // waits for the transaction
	}
	read("delete", func() error { return mem.Delete(ended, "things", "a", 0) })
	read("begin", func() error { _, err := mem.(dbdriver.Transactor).Begin(ended, db.LevelSerializable); return err })
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if rs, err := mem.Query(t.Context(), "things", all); err != nil || len(rs) != 0 {
		t.Errorf("%d records are there, %v", len(rs), err)
	}
}
