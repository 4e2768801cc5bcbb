package sql_test

import (
	"context"
	"errors"
	"fmt"
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
