package db_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/db"
)

// losing is a table whose first updates fail with an error.
type losing struct {
	db.Table
	left, tries int
	err         error
}

func (l *losing) Update(ctx context.Context, r *db.Record, opts ...db.WriteOption) error {
	l.tries++
	if l.tries <= l.left {
		return l.err
	}
	return l.Table.Update(ctx, r, opts...)
}

func TestModifyTriesAgainAfterConflictsOnly(t *testing.T) {
	other := errors.New("other")
	for name, c := range map[string]struct {
		left  int
		err   error
		limit time.Duration
		tries int
		want  error
	}{
		"none":                  {0, db.ErrConflict, time.Hour, 1, nil},
		"three conflicts":       {3, db.ErrConflict, time.Hour, 4, nil},
		"1000 conflicts":        {1000, db.ErrConflict, time.Hour, 1001, nil},
		"1001 conflicts":        {1001, db.ErrConflict, time.Hour, 1001, db.ErrConflict},
		"another error":         {1, other, time.Hour, 1, other},
		"conflicts until ended": {1001, db.ErrConflict, 0, 1, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, err := db.New()
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				tb, err := d.Table(t.Context(), "things")
				if err != nil {
					t.Fatal(err)
				}
				l := &losing{Table: tb, left: c.left, err: c.err}
				values, err := db.NewCollection[int](l)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := values.Create(t.Context(), "n", 1); err != nil {
					t.Fatal(err)
				}
				ctx, cancel := context.WithTimeout(t.Context(), c.limit+time.Nanosecond)
				defer cancel()
				_, err = values.Modify(ctx, "n", func(n *int) error { *n++; return nil })
				if !errors.Is(err, c.want) || l.tries != c.tries {
					t.Errorf("%v after %d tries, want %v after %d", err, l.tries, c.want, c.tries)
				}
				want := 1
				if c.want == nil {
					want = 2
				}
				if got, err := values.Get(t.Context(), "n"); err != nil || got.Value != want {
					t.Errorf("then there is %v, %v, want %d", got.Value, err, want)
				}
			})
		})
	}
}
