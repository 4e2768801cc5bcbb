package sql_test

import (
	"context"
	dbsql "database/sql"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
)

// writers opens a file with a table, and holds its writer in a transaction.
func writers(t *testing.T) (*sql.DB, *dbsql.Tx) {
	d, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ExecContext(t.Context(), "CREATE TABLE turns (n INTEGER PRIMARY KEY AUTOINCREMENT, who INT)"); err != nil {
		t.Fatal(err)
	}
	tx, err := d.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return d, tx
}

// written are the writers in the order of their turns.
func written(t *testing.T, d *sql.DB) (all []int) {
	rows, err := d.Read.QueryContext(t.Context(), "SELECT who FROM turns ORDER BY n")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var who int
		if err := rows.Scan(&who); err != nil {
			t.Fatal(err)
		}
		all = append(all, who)
	}
	return all
}

// A pool of database/sql gives its connection to any of those who wait. Of fifty
// writers one waited ten times as long as the average now and then.
func TestWritersOfSQLiteTakeTurnsInOrder(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		d, tx := writers(t)
		defer d.Close()
		var want []int
		errs := make(chan error, 30)
		for i := range 30 {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				write := "INSERT INTO turns (who) VALUES (" + strconv.Itoa(i) + ")"
				if i%2 == 0 {
					_, err := d.ExecContext(ctx, write)
					errs <- err
					return
				}
				tx, err := d.BeginTx(ctx, nil)
				if err == nil {
					_, err = tx.ExecContext(ctx, write)
				}
				if err == nil {
					err = tx.Commit()
				}
				errs <- err
			}()
			synctest.Wait() // it is in the queue
			if i%5 == 3 {
				cancel() // and leaves it
				if err := <-errs; err != context.Canceled {
					t.Errorf("who gave up got %v", err)
				}
				continue
			}
			want = append(want, i)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for range want {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		if got := written(t, d); !slices.Equal(got, want) {
			t.Errorf("turns were taken by %v, want %v", got, want)
		}
	})
}

// TestATurnThatComesTooLateIsPassedOn has many writers give up at the moment in which
// the turn comes to the first of them.
func TestATurnThatComesTooLateIsPassedOn(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		d, tx := writers(t)
		defer d.Close()
		for i := range 20 {
			ctx, cancel := context.WithCancel(t.Context())
			errs := make(chan error, 301)
			for range 300 {
				go func() { errs <- d.PingContext(ctx) }()
			}
			synctest.Wait()
			go func() { errs <- d.PingContext(t.Context()) }()
			synctest.Wait()
			cancel()
			if err := tx.Rollback(); err != nil {
				t.Fatal(err)
			}
			for range 301 {
				<-errs // whoever waits indefinitely is a deadlock
			}
			var err error
			tx, err = d.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatalf("round %d: %v", i, err)
			}
		}
		tx.Rollback()
	})
}

// TestClosedWhileWritersWait has those who wait told, and who writes finish.
func TestClosedWhileWritersWait(t *testing.T) {
	leak.Check(t)
	synctest.Test(t, func(t *testing.T) {
		d, tx := writers(t)
		waits := make(chan error, 3)
		for range 3 {
			go func() { waits <- d.PingContext(t.Context()) }()
		}
		synctest.Wait()
		for range 2 {
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		for range 3 {
			if err := <-waits; err == nil || !strings.Contains(err.Error(), "database is closed") {
				t.Errorf("who waited got %v", err)
			}
		}
		if _, err := tx.ExecContext(t.Context(), "INSERT INTO turns (who) VALUES (1)"); err != nil {
			t.Error(err)
		}
		if err := tx.Commit(); err != nil {
			t.Error(err)
		}
		if err := d.DB.PingContext(t.Context()); err == nil {
			t.Error("a closed one answers")
		}
	})
}

// TestWritersThatCannotConnect has each of them refused, and nobody wait indefinitely.
func TestWritersThatCannotConnect(t *testing.T) {
	leak.Check(t)
	d, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: t.TempDir()}) // a folder
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	errs := make(chan error, 5)
	for range 5 {
		go func() { _, err := d.ExecContext(t.Context(), "SELECT 1"); errs <- err }()
	}
	for range 5 {
		if err := <-errs; err == nil || !strings.Contains(err.Error(), "unable to open") {
			t.Errorf("a folder for a file: %v", err)
		}
	}
}

// TestAStatementIsUsedTwiceAtOnce reads rows by a statement while others are open of
// the same text, in one transaction.
func TestAStatementIsUsedTwiceAtOnce(t *testing.T) {
	leak.Check(t)
	d, tx := writers(t)
	defer d.Close()
	defer tx.Rollback()
	if _, err := tx.ExecContext(t.Context(), "INSERT INTO turns (who) VALUES (1), (2), (3)"); err != nil {
		t.Fatal(err)
	}
	var pairs int
	for range 2 { // the second time by the statements of the first
		pairs = 0
		outer, err := tx.PrepareContext(t.Context(), "SELECT who FROM turns WHERE who > ?")
		if err != nil {
			t.Fatal(err)
		}
		inner, err := tx.PrepareContext(t.Context(), "SELECT who FROM turns WHERE who > ?")
		if err != nil {
			t.Fatal(err)
		}
		rows, err := outer.QueryContext(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		for rows.Next() {
			var who int
			if err := rows.Scan(&who); err != nil {
				t.Fatal(err)
			}
			more, err := inner.QueryContext(t.Context(), who)
			if err != nil {
				t.Fatal(err)
			}
			for more.Next() {
				pairs++
			}
			more.Close()
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		outer.Close()
		inner.Close()
	}
	if pairs != 3 {
		t.Errorf("%d pairs, want 3", pairs)
	}
}
