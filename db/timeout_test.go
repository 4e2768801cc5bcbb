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

// mute is a database that does not answer for the record "silent".
type mute struct{ db.Driver }

func (d mute) Get(ctx context.Context, table, id string) (*db.Record, error) {
	return muteOps{d.Driver}.Get(ctx, table, id)
}

func (d mute) Begin(ctx context.Context, level db.IsolationLevel) (dbdriver.Transaction, error) {
	tx, err := d.Driver.(dbdriver.Transactor).Begin(ctx, level)
	return muteTx{tx}, err
}

type muteOps struct{ dbdriver.Operations }

func (o muteOps) Get(ctx context.Context, table, id string) (*db.Record, error) {
	if id == "silent" {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return o.Operations.Get(ctx, table, id)
}

type muteTx struct{ dbdriver.Transaction }

func (x muteTx) Get(ctx context.Context, table, id string) (*db.Record, error) {
	return muteOps{x.Transaction}.Get(ctx, table, id)
}

// The database's own time-out is its ErrUnavailable, in a transaction too; a deadline
// that the program sets is the program's, wherever it sets it.
func TestTimeoutIsUnavailableAndADeadlineIsTheCallers(t *testing.T) {
	inTx := func(fn func(ctx context.Context, tb db.Table) error) func(context.Context, db.DB, db.Table) error {
		return func(ctx context.Context, d db.DB, _ db.Table) error {
			return d.Tx(ctx, func(ctx context.Context, tx db.DB) error {
				tb, err := tx.Table(ctx, "things")
				if err != nil {
					return err
				}
				return fn(ctx, tb)
			})
		}
	}
	read := func(ctx context.Context, tb db.Table) error { _, err := tb.Read(ctx, "silent"); return err }
	soon := func(fn func(ctx context.Context, tb db.Table) error) func(context.Context, db.Table) error {
		return func(ctx context.Context, tb db.Table) error {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			return fn(ctx, tb)
		}
	}
	for name, c := range map[string]struct {
		do   func(ctx context.Context, d db.DB, tb db.Table) error
		ours bool // it is our time-out's end if the program sets no deadline
	}{
		"read":                                     {func(ctx context.Context, _ db.DB, tb db.Table) error { return read(ctx, tb) }, true},
		"patch":                                    {func(ctx context.Context, _ db.DB, tb db.Table) error { _, err := tb.Patch(ctx, "silent"); return err }, true},
		"a read in a transaction":                  {inTx(read), true},
		"a patch in a transaction":                 {inTx(func(ctx context.Context, tb db.Table) error { _, err := tb.Patch(ctx, "silent"); return err }), true},
		"a function that waits":                    {inTx(func(ctx context.Context, _ db.Table) error { <-ctx.Done(); return ctx.Err() }), true},
		"a function that forgets the error":        {inTx(func(ctx context.Context, tb db.Table) error { _ = read(ctx, tb); return nil }), true},
		"a read with a deadline in a transaction":  {inTx(soon(read)), false},
		"a patch with a deadline in a transaction": {inTx(soon(func(ctx context.Context, tb db.Table) error { _, err := tb.Patch(ctx, "silent"); return err })), false},
		"a function's own deadline":                {inTx(soon(func(ctx context.Context, _ db.Table) error { <-ctx.Done(); return ctx.Err() })), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem, err := db.Memory().OpenDriver(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				d, err := db.New(db.WithTimeout(time.Minute), db.WithDriver("silent", func(context.Context) (db.Driver, error) { return mute{mem}, nil }))
				if err != nil {
					t.Fatal(err)
				}
				defer d.Close()
				tb, err := d.Table(t.Context(), "things")
				if err != nil {
					t.Fatal(err)
				}
				check := func(deadline string, ctx context.Context, unavailable bool, after time.Duration) {
					start := time.Now()
					err := c.do(ctx, d, tb)
					if errors.Is(err, db.ErrUnavailable) != unavailable || !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, db.ErrUnknownOutcome) {
						t.Errorf("%s, %s: %v; is ErrUnavailable: %v, want %v", name, deadline, err, !unavailable, unavailable)
					}
					if took := time.Since(start); took != after {
						t.Errorf("%s, %s: took %v, want %v", name, deadline, took, after)
					}
				}
				after := time.Second
				if c.ours {
					after = time.Minute
				}
				check("no deadline", t.Context(), c.ours, after)
				if c.ours {
					ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
					defer cancel()
					check("a deadline", ctx, false, time.Hour)
				}
				if err := tb.Create(t.Context(), &db.Record{ID: "a"}); err != nil {
					t.Errorf("%s: afterwards: %v", name, err)
				}
			})
		})
	}
}

// tardy is a database that answers a Get when its time is over.
type tardy struct{ plain }

func (d tardy) Get(ctx context.Context, table, id string) (*db.Record, error) {
	<-ctx.Done()
	return d.plain.Get(context.WithoutCancel(ctx), table, id)
}

// The time-out that ends a Patch between its steps is the database's own as well.
func TestTimeoutBetweenTheStepsOfAPatchIsUnavailable(t *testing.T) {
	for _, own := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			mem, err := db.Memory().OpenDriver(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			d, err := db.New(db.WithTimeout(time.Minute), db.WithDriver("tardy", func(context.Context) (db.Driver, error) { return tardy{plain{mem}}, nil }))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			tb, err := d.Table(t.Context(), "things")
			if err != nil {
				t.Fatal(err)
			}
			if err := tb.Create(t.Context(), &db.Record{ID: "a"}); err != nil {
				t.Fatal(err)
			}
			ctx := t.Context()
			if !own {
				limited, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				ctx = limited
			}
			_, err = tb.Patch(ctx, "a", db.Set("n", 1))
			if errors.Is(err, db.ErrUnavailable) != own || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("our own time-out %t: %v", own, err)
			}
		})
	}
}

// unanswered is a database whose first commit collides, and whose second one gets no
// answer.
type unanswered struct {
	db.Driver
	commits *int
}

func (d unanswered) Begin(ctx context.Context, level db.IsolationLevel) (dbdriver.Transaction, error) {
	tx, err := d.Driver.(dbdriver.Transactor).Begin(ctx, level)
	return unansweredTx{tx, d.commits}, err
}

type unansweredTx struct {
	dbdriver.Transaction
	commits *int
}

func (x unansweredTx) Commit(ctx context.Context) error {
	if err := x.Rollback(ctx); err != nil {
		return err
	}
	*x.commits++
	if *x.commits == 1 {
		return dbdriver.ErrSerialization
	}
	<-ctx.Done()
	return db.ErrUnknownOutcome
}

// A commit that may have been applied is no ErrConflict, which says that it was not,
// also if the run before it has collided.
func TestUnknownOutcomeAfterACollisionIsNoConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem, err := db.Memory().OpenDriver(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		commits := 0
		d, err := db.New(db.WithTimeout(time.Minute), db.WithDriver("unanswered", func(context.Context) (db.Driver, error) { return unanswered{mem, &commits}, nil }))
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		err = d.Tx(t.Context(), func(context.Context, db.DB) error { return nil })
		if !errors.Is(err, db.ErrUnknownOutcome) || errors.Is(err, db.ErrConflict) || commits != 2 {
			t.Errorf("%v after %d commits, want ErrUnknownOutcome after 2", err, commits)
		}
	})
}
