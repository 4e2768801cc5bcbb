package db_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// collides is a driver whose transactions collide n times.
type collides struct {
	db.Driver
	left *int
}

func (c collides) Ping(context.Context) error { return nil }
func (c collides) Close() error               { return nil }
func (c collides) Features() db.Features      { return db.Features{Transactions: true} }
func (c collides) Begin(context.Context) (db.Transaction, error) {
	return colliding{left: c.left}, nil
}

type colliding struct {
	db.Operations
	left *int
}

func (c colliding) Commit(context.Context) error {
	if *c.left--; *c.left >= 0 {
		return fmt.Errorf("40001: %w", db.ErrSerialization)
	}
	return nil
}
func (c colliding) Rollback(context.Context) error { return nil }

func TestTxRunsAgainAfterACollision(t *testing.T) {
	for left, want := range map[int]error{0: nil, 3: nil, 1000: db.ErrConflict} {
		n := left
		d, err := db.New(db.WithDriver("collides", func(context.Context) (db.Driver, error) { return collides{left: &n}, nil }))
		if err != nil {
			t.Fatal(err)
		}
		runs := 0
		err = d.Tx(t.Context(), func(context.Context, db.DB) error { runs++; return nil })
		if !errors.Is(err, want) {
			t.Errorf("%d collisions: got %v, want %v", left, err, want)
		}
		if left < 10 && runs != left+1 {
			t.Errorf("%d collisions: ran %d times", left, runs)
		}
		d.Close()
	}
	n := 1 << 30 // for ever: the context ends it
	d, _ := db.New(db.WithDriver("collides", func(context.Context) (db.Driver, error) { return collides{left: &n}, nil }))
	defer d.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Tx(ctx, func(context.Context, db.DB) error { return nil }); !errors.Is(err, db.ErrConflict) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want both ErrConflict and the context's error", err)
	}
}
