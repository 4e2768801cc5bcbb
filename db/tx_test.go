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
