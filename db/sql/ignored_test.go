package sql_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
)

// ignoring makes a table of the user's own, with the rows 1 and 2, and one of notes.
func ignoring(t *testing.T, run func(t *testing.T, d db.DB, things db.Table, raw *dbsql.DB, rows, notes string)) {
	plain(t, func(t *testing.T, d db.DB, ns string, raw *dbsql.DB, quote string) {
		rows, notes := quote+ns+"_rows"+quote, quote+ns+"_notes"+quote
		for _, text := range []string{
			"CREATE TABLE " + rows + " (id INTEGER PRIMARY KEY, n INTEGER)",
			"CREATE TABLE " + notes + " (note VARCHAR(20))",
			"INSERT INTO " + rows + " VALUES (1, 0), (2, 0)",
		} {
			if _, err := raw.ExecContext(t.Context(), text); err != nil {
				t.Fatal(err)
			}
		}
		things, err := d.Table(t.Context(), "things")
		if err != nil {
			t.Fatal(err)
		}
		run(t, d, things, raw, rows, notes)
	})
}

// note writes a note and a record, as a function does that goes on after an error.
func note(ctx context.Context, tx db.DB, notes, text string) {
	if own, ok := db.SQL(tx); ok {
		own.ExecContext(ctx, "INSERT INTO "+notes+" (note) VALUES ('"+text+"')")
	}
	if x, err := tx.Table(ctx, "things"); err == nil {
		x.Create(ctx, &db.Record{ID: text})
	}
}

// noted reports whether both are there, or neither.
func noted(t *testing.T, things db.Table, raw *dbsql.DB, notes, text string) bool {
	t.Helper()
	var n int
	if err := raw.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+notes+" WHERE note = '"+text+"'").Scan(&n); err != nil {
		t.Fatal(err)
	}
	_, err := things.Read(t.Context(), text)
	if n > 1 || (n == 1) != (err == nil) || err != nil && !errors.Is(err, db.ErrNotFound) {
		t.Errorf("%d notes of %s, and of the record: %v", n, text, err)
	}
	return n > 0
}

// A function that ignores a deadlock of its own statement writes nothing outside of its
// transaction. MySQL's runs again; PostgreSQL's is said to be rolled back.
func TestAnIgnoredDeadlockEndsTheTransaction(t *testing.T) {
	for form, second := range map[string]string{
		"written":  "UPDATE %s SET n = n + 1 WHERE id = %d",
		"read":     "SELECT n FROM %s WHERE id = %d FOR UPDATE",
		"prepared": "UPDATE %s SET n = n + 1 WHERE id = %d",
	} {
		t.Run(form, func(t *testing.T) {
			ignoring(t, func(t *testing.T, d db.DB, things db.Table, raw *dbsql.DB, rows, notes string) {
				if d.Features().Backend == "sqlite" {
					t.Skip("has one writer at a time")
				}
				long, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var met, wg sync.WaitGroup
				met.Add(2)
				all, errs := make([]int, 2), make([]error, 2)
				for i, ids := range [][2]int{{1, 2}, {2, 1}} {
					wg.Go(func() {
						errs[i] = d.Tx(long, func(ctx context.Context, tx db.DB) error {
							all[i]++
							run := fmt.Sprintf("%d-%d", i, all[i])
							own, _ := db.SQL(tx)
							_, err := own.ExecContext(ctx, fmt.Sprintf("UPDATE %s SET n = n + 1 WHERE id = %d", rows, ids[0]))
							if all[i] == 1 {
								met.Done()
								met.Wait()
							}
							if err != nil {
								return err
							}
							text := fmt.Sprintf(second, rows, ids[1])
							switch form {
							case "written":
								own.ExecContext(ctx, text)
							case "read":
								var n int
								own.QueryRowContext(ctx, text).Scan(&n)
							case "prepared":
								s, err := own.PrepareContext(ctx, text)
								if err != nil {
									return err
								}
								s.ExecContext(ctx)
							}
							note(ctx, tx, notes, run)
							return nil
						})
						if all[i] == 0 { // it failed, and the other one waits
							met.Done()
						}
					})
				}
				wg.Wait()
				if d.Features().Backend == "mysql" && (errors.Join(errs...) != nil || all[0]+all[1] < 3) {
					t.Errorf("ran %v times with %v, want one of them twice", all, errs)
				}
				for i := range errs {
					if errs[i] != nil && !errors.Is(errs[i], db.ErrUnavailable) {
						t.Errorf("%v, want ErrUnavailable of what was rolled back", errs[i])
					}
					for run := range all[i] {
						want := errs[i] == nil && run+1 == all[i]
						if got := noted(t, things, raw, notes, fmt.Sprintf("%d-%d", i, run+1)); got != want {
							t.Errorf("run %d of %d, which ended with %v: noted %v, want %v", run+1, all[i], errs[i], got, want)
						}
					}
				}
			})
		})
	}
}

// What the database rolls back is over, and what failed alone is not: but for
// PostgreSQL, which ends a transaction at each error.
func TestAnIgnoredErrorEndsTheTransactionIfTheDatabaseDoes(t *testing.T) {
	for name, c := range map[string]struct {
		insert string
		ends   map[string]bool
	}{
		"duplicate":                 {"INSERT INTO %s VALUES (1, 0)", map[string]bool{"postgres": true}},
		"duplicate that rolls back": {"INSERT OR ROLLBACK INTO %s VALUES (1, 0)", map[string]bool{"sqlite": true}},
	} {
		t.Run(name, func(t *testing.T) {
			ignoring(t, func(t *testing.T, d db.DB, things db.Table, raw *dbsql.DB, rows, notes string) {
				if len(c.ends) == 1 && c.ends["sqlite"] && d.Features().Backend != "sqlite" {
					t.Skip("knows no such statement")
				}
				err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
					note(ctx, tx, notes, "before")
					own, _ := db.SQL(tx)
					if _, err := own.ExecContext(ctx, fmt.Sprintf(c.insert, rows)); err == nil {
						t.Error("inserted a row twice")
					}
					note(ctx, tx, notes, "after")
					return nil
				})
				if ends := c.ends[d.Features().Backend]; ends != errors.Is(err, db.ErrUnavailable) || ends == (err == nil) {
					t.Errorf("%v, want ErrUnavailable: %v", err, ends)
				}
				for _, text := range []string{"before", "after"} {
					if got := noted(t, things, raw, notes, text); got != (err == nil) {
						t.Errorf("%v, and what was noted %s is there: %v", err, text, got)
					}
				}
				// The connection is as good as before.
				err = d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error { note(ctx, tx, notes, "again"); return nil })
				if err != nil || !noted(t, things, raw, notes, "again") {
					t.Errorf("the next transaction: %v", err)
				}
			})
		})
	}
}
