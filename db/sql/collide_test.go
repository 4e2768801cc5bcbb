package sql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/micro/go-platform/db"
)

// coupon is an error of a program that numbers its own.
type coupon int

func (c coupon) Error() string { return "no such coupon" }
func (c coupon) Code() int     { return int(c) }

// Tx runs its function again when a statement of the user's own collides, and for
// no error that only has the number of a collision.
func TestTxRunsAgainForCollisionsAlone(t *testing.T) {
	each(t, func(t *testing.T, d db.DB, _ db.Table) {
		runs := 0
		err := d.Tx(t.Context(), func(context.Context, db.DB) error {
			runs++
			if runs < 3 {
				return fmt.Errorf("a statement: %w", &pgconn.PgError{Code: "40001"})
			}
			return nil
		})
		if err != nil || runs != 3 {
			t.Errorf("two collisions: ran %d times, %v", runs, err)
		}
		for _, own := range []coupon{5, 6, 17} {
			runs = 0
			err := d.Tx(t.Context(), func(context.Context, db.DB) error {
				runs++
				return own
			})
			if !errors.Is(err, own) || errors.Is(err, db.ErrConflict) || runs != 1 {
				t.Errorf("code %d: ran %d times, %v", int(own), runs, err)
			}
		}
	})
}

// Two transactions that each want what the other has written: the one that the
// database ends goes on regardless, and nothing of that stays.
func TestNothingStaysOfATransactionThatCollided(t *testing.T) {
	for _, name := range []string{"mysql", "postgres"} {
		t.Run(name, func(t *testing.T) {
			d, err := db.New(patient(backends(t)[name](t), db.WithNamespace("c"+strings.ReplaceAll(db.NewID(), "-", "")[22:]))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			tb, err := d.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			if err := tb.Batch(t.Context(), db.CreateOp(&db.Record{ID: "1"}), db.CreateOp(&db.Record{ID: "2"})); err != nil {
				t.Fatal(err)
			}
			var met, wg sync.WaitGroup
			met.Add(2)
			both := func(first, second string) (runs int, err error) {
				joined := false
				err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
					runs++
					x, err := tx.Table(ctx, "things")
					if err == nil {
						err = x.Update(ctx, &db.Record{ID: first}, db.Force())
					}
					if err != nil {
						return err
					}
					if !joined {
						joined = true
						met.Done()
						met.Wait()
					}
					err = x.Update(ctx, &db.Record{ID: second}, db.Force())
					if err != nil {
						x.Create(ctx, &db.Record{ID: "left"})
						x.Update(ctx, &db.Record{ID: first, Data: []byte("left")}, db.Force())
					}
					return err
				})
				if !joined { // it failed, and the other one waits
					met.Done()
				}
				return runs, err
			}
			all := make([]int, 2)
			for i, ids := range [][2]string{{"1", "2"}, {"2", "1"}} {
				wg.Go(func() {
					runs, err := both(ids[0], ids[1])
					if err != nil {
						t.Error(err)
					}
					all[i] = runs
				})
			}
			wg.Wait()
			if all[0]+all[1] < 3 {
				t.Errorf("ran %d times, want one of them twice", all)
			}
			if _, err := tb.Read(t.Context(), "left"); !errors.Is(err, db.ErrNotFound) {
				t.Errorf("what was created after the collision: %v, want ErrNotFound", err)
			}
			for _, id := range []string{"1", "2"} {
				if r, err := tb.Read(t.Context(), id); err != nil || r.Version != 3 || r.Data != nil {
					t.Errorf("%+v, %v, want two updates of %s without data", r, err, id)
				}
			}
		})
	}
}
