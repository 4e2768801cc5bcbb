package inbox_test

import (
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	dbbackend "github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/inbox"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// Members that have the same records at the same time write each once, within
// transactions of package db that conflict with each other.
func TestNoteInATransactionOfDB(t *testing.T) {
	each(t, func(t *testing.T, handle *dbsql.DB, e *enginesql.Engine, kind sql.Kind) {
		records, err := db.New(dbbackend.On(e))
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		name := strings.ReplaceAll(servertest.Namespace(t), "-", "_")
		table, err := records.Table(t.Context(), "t"+name)
		if err != nil {
			t.Fatal(err)
		}
		if err := table.Create(t.Context(), &db.Record{ID: "sum", Metadata: map[string]any{"n": 0}}); err != nil {
			t.Fatal(err)
		}
		box := open(t, e, name)
		fail := errors.New("not yet")
		add := func(ctx context.Context, r *event.Record, result error) (first bool, err error) {
			err = records.Tx(ctx, func(ctx context.Context, tx db.DB) error {
				in, ok := db.SQL(tx)
				if !ok {
					return errors.New("no SQL transaction")
				}
				var err error
				first, err = box.Note(ctx, in, r)
				if err != nil || !first {
					return err
				}
				inside, err := tx.Table(ctx, table.Name())
				if err != nil {
					return err
				}
				if _, err := inside.Patch(ctx, "sum", db.Increment("n", 1)); err != nil {
					return err
				}
				return result
			})
			return first, err
		}
		sum := func() any {
			r, err := table.Read(t.Context(), "sum")
			if err != nil {
				t.Fatal(err)
			}
			return r.Metadata["n"]
		}
		if _, err := add(t.Context(), &event.Record{ID: "0", Type: "t"}, fail); !errors.Is(err, fail) || sum() != int64(0) {
			t.Errorf("a transaction that fails: %v, sum %v; want it rolled back", err, sum())
		}
		const ids, members = 10, 3
		done := make(chan error, members)
		for range members {
			go func() {
				var errs []error
				for i := range ids {
					_, err := add(t.Context(), &event.Record{ID: fmt.Sprint(i), Type: "t"}, nil)
					errs = append(errs, err)
				}
				done <- errors.Join(errs...)
			}()
		}
		for range members {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if n := sum(); n != int64(ids) {
			t.Errorf("%d records of %d members were handled %v times, want once each", ids, members, n)
		}
		if first, err := add(t.Context(), &event.Record{ID: "0", Type: "t"}, nil); first || err != nil {
			t.Errorf("a repetition: first %t, %v", first, err)
		}
		if first, err := add(t.Context(), &event.Record{ID: "0", Type: "t", Source: "other"}, nil); !first || err != nil {
			t.Errorf("another source: first %t, %v", first, err)
		}
	})
}

// Note forgets in the transaction itself: on SQLite there is no second connection
// that could write beside it.
func TestNoteForgetsAfterKeep(t *testing.T) {
	each(t, func(t *testing.T, handle *dbsql.DB, e *enginesql.Engine, kind sql.Kind) {
		name := servertest.Namespace(t)
		box := open(t, e, name, inbox.WithKeep(time.Hour))
		insert := kind.Rebind("INSERT INTO event_inbox (name, record, handled) VALUES (?, ?, ?)")
		for record, age := range map[string]time.Duration{"older": 61 * time.Minute, "newer": 50 * time.Minute} {
			if _, err := handle.ExecContext(t.Context(), insert, name, record, time.Now().Add(-age).UnixMilli()); err != nil {
				t.Fatal(err)
			}
		}
		tx, err := handle.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer tx.Rollback()
		if first, err := box.Note(t.Context(), tx, &event.Record{ID: "1", Type: "t"}); !first || err != nil {
			t.Fatalf("first %t, %v", first, err)
		}
		if err := tx.Commit(); err != nil {
			t.Fatal(err)
		}
		for record, want := range map[string]int{"older": 0, "newer": 1} {
			n := -1
			if err := handle.QueryRow(kind.Rebind("SELECT COUNT(*) FROM event_inbox WHERE name = ? AND record = ?"), name, record).Scan(&n); err != nil || n != want {
				t.Errorf("%d notes of %s, %v, want %d", n, record, err, want)
			}
		}
		for name, none := range map[string]inbox.Execer{"nil": nil, "nil *sql.Tx": (*dbsql.Tx)(nil)} {
			if _, err := box.Note(t.Context(), none, &event.Record{ID: "1"}); !errors.Is(err, event.ErrInvalid) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

// What Note forgets it removes beside the transaction: a row that somebody else has
// locked delays nobody, and locks of a handler are not waited for in a circle.
func TestNoteDoesNotWaitForRowsOfOthers(t *testing.T) {
	each(t, func(t *testing.T, handle *dbsql.DB, e *enginesql.Engine, kind sql.Kind) {
		if kind == sql.SQLite {
			return // it locks no rows: there is one writer
		}
		ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second) // locks are waited for longer
		defer cancel()
		name := servertest.Namespace(t)
		open(t, e, name) // which makes the table
		note := func(id string) {
			t.Helper()
			box := open(t, e, name, inbox.WithKeep(time.Hour)) // a new one looks at once for what is old
			tx, err := handle.BeginTx(ctx, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if first, err := box.Note(ctx, tx, &event.Record{ID: id, Type: "t"}); !first || err != nil {
				t.Fatalf("first %t, %v", first, err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
		}
		insert := kind.Rebind("INSERT INTO event_inbox (name, record, handled) VALUES (?, ?, ?)")
		if _, err := handle.ExecContext(ctx, insert, name, "old", time.Now().Add(-2*time.Hour).UnixMilli()); err != nil {
			t.Fatal(err)
		}
		other, err := handle.BeginTx(ctx, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer other.Rollback()
		if _, err := other.ExecContext(ctx, kind.Rebind("UPDATE event_inbox SET handled = handled + 1 WHERE name = ? AND record = 'old'"), name); err != nil {
			t.Fatal(err)
		}
		old := func() (n int) {
			if err := handle.QueryRow(kind.Rebind("SELECT COUNT(*) FROM event_inbox WHERE name = ? AND record = 'old'"), name).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n
		}
		note("1")
		if n := old(); n != 1 {
			t.Errorf("%d rows that another has locked, want it to stay", n)
		}
		if err := other.Rollback(); err != nil {
			t.Fatal(err)
		}
		note("2")
		if n := old(); n != 0 {
			t.Errorf("%d old rows that nobody has locked, want none", n)
		}
	})
}

// Note waits for no connection of a pool that has none left: its caller's transaction may
// be what holds the last one. It forgets when there is one again.
func TestNoteDoesNotWaitForAConnection(t *testing.T) {
	each(t, func(t *testing.T, handle *dbsql.DB, e *enginesql.Engine, kind sql.Kind) {
		name := servertest.Namespace(t)
		box := open(t, e, name, inbox.WithKeep(time.Hour))
		if _, err := handle.ExecContext(t.Context(), kind.Rebind("INSERT INTO event_inbox (name, record, handled) VALUES (?, 'old', ?)"), name, time.Now().Add(-2*time.Hour).UnixMilli()); err != nil {
			t.Fatal(err)
		}
		for i, c := range []struct{ pool, old int }{{1, 1}, {2, 0}} {
			if kind == sql.SQLite {
				c.pool, c.old = 1, 0 // in the transaction
			}
			handle.SetMaxOpenConns(c.pool)
			waits := handle.Stats().WaitCount
			tx, err := handle.BeginTx(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer tx.Rollback()
			if first, err := box.Note(t.Context(), tx, &event.Record{ID: fmt.Sprint(i), Type: "t"}); !first || err != nil {
				t.Fatalf("first %t, %v", first, err)
			}
			if n := handle.Stats().WaitCount - waits; n != 0 {
				t.Errorf("a pool of %d: Note has waited for %d connections", c.pool, n)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			n := -1
			if err := handle.QueryRow(kind.Rebind("SELECT COUNT(*) FROM event_inbox WHERE name = ? AND record = 'old'"), name).Scan(&n); err != nil || n != c.old {
				t.Errorf("a pool of %d: %d old notes, %v, want %d", c.pool, n, err, c.old)
			}
		}
	})
}

// A process that ended between the table and its index leaves the index to the next.
func TestNewMakesAnIndexThatIsMissing(t *testing.T) {
	db, err := sql.Open(sql.Config{Kind: sql.SQLite, Address: filepath.Join(t.TempDir(), "x.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), sql.SQLite.Schema("CREATE TABLE event_inbox (name {text 255} NOT NULL, record {text 255} NOT NULL, handled BIGINT NOT NULL, PRIMARY KEY (name, record))")); err != nil {
		t.Fatal(err)
	}
	open(t, enginesql.FromDB(enginesql.SQLite, db.DB), "g")
	n := 0
	if err := db.QueryRow("SELECT COUNT(*) FROM sqlite_master WHERE name = 'event_inbox_handled'").Scan(&n); err != nil || n != 1 {
		t.Errorf("%d indexes, %v, want 1", n, err)
	}
}
