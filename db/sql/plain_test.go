package sql_test

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
	"github.com/micro/go-platform/db/sql"
	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/outbox"
	"github.com/micro/go-platform/internal/leak"
)

// plain runs a test with a database and a handle of somebody who knows nothing
// of package db.
func plain(t *testing.T, run func(t *testing.T, d db.DB, ns string, raw *dbsql.DB, quote string)) {
	for _, name := range []string{"sqlite", "mysql", "postgres"} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			var option db.Option
			var raw *dbsql.DB
			quote := `"`
			if name == "sqlite" {
				file := filepath.Join(t.TempDir(), "x.db")
				option = sql.SQLite(file)
				h, err := dbsql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { h.Close() })
				raw = h
			} else {
				option, raw = backends(t)[name](t), openRaw(t, name)
				if name == "mysql" {
					quote = "`"
				}
			}
			ns := "p" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
			d, err := db.New(patient(option, db.WithNamespace(ns))...)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			run(t, d, ns, raw, quote)
		})
	}
}

func TestRecordsAreReadableByPlainSQL(t *testing.T) {
	plain(t, func(t *testing.T, d db.DB, ns string, raw *dbsql.DB, quote string) {
		if _, err := d.Table(t.Context(), "orders", db.Index("customer")); err != nil {
			t.Fatal(err)
		}
		orders, err := d.Table(t.Context(), "orders", db.Index("customer", "total"), db.Index("due"), db.Index("odd key"), db.Index("data"))
		if err != nil {
			t.Fatal(err)
		}
		due := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
		for _, r := range []*db.Record{
			{ID: "1", Metadata: map[string]any{"customer": "ann", "total": 42, "due": due, "data": "x"}, Data: []byte("d")},
			{ID: "2", Metadata: map[string]any{"customer": "nul \x00 '\"", "total": 1.5}},
			{ID: "3"},
		} {
			if err := orders.Create(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		view := quote + ns + "__orders$view" + quote
		rows, err := raw.Query("SELECT id, version, customer, total, due, created FROM " + view + " ORDER BY id")
		if err != nil {
			t.Fatal(err)
		}
		defer rows.Close()
		var got []string
		for rows.Next() {
			var id, version string
			var customer, total, at dbsql.NullString
			var created any
			if err := rows.Scan(&id, &version, &customer, &total, &at, &created); err != nil {
				t.Fatal(err)
			}
			if fmt.Sprint(created) < "2" || created == nil {
				t.Errorf("%s was created at %v, want a time", id, created)
			}
			got = append(got, fmt.Sprint(id, " ", version, " ", customer.Valid, " ", total.String, " ", at.String))
			if id == "1" && customer.String != "ann" || id == "2" && !strings.HasPrefix(customer.String, "nul ") {
				t.Errorf("%s is of %q", id, customer.String)
			}
		}
		if err := rows.Err(); err != nil {
			t.Fatal(err)
		}
		want := "1 1 true 42 2030-01-02T03:04:05Z, 2 1 true 1.5 , 3 1 false  "
		if s := strings.Join(got, ", "); s != want {
			t.Errorf("the view has %q, want %q", s, want)
		}
	})
}

// TestATransactionSpansTheUsersSQL has one transaction write a record, an event in
// an outbox and a row of the user's own.
func TestATransactionSpansTheUsersSQL(t *testing.T) {
	plain(t, func(t *testing.T, d db.DB, ns string, raw *dbsql.DB, quote string) {
		audit := quote + ns + "_audit" + quote
		if _, err := raw.Exec("CREATE TABLE " + audit + " (note VARCHAR(20))"); err != nil {
			t.Fatal(err)
		}
		dialect := map[string]enginesql.Dialect{"sqlite": enginesql.SQLite, "mysql": enginesql.MySQL, "postgres": enginesql.Postgres}[d.Features().Backend]
		box, err := outbox.New(t.Context(), enginesql.FromDB(dialect, raw))
		if err != nil {
			t.Fatal(err)
		}
		before, _, err := box.Pending(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		orders, err := d.Table(t.Context(), "orders")
		if err != nil {
			t.Fatal(err)
		}
		var kept db.DB
		boom := errors.New("boom")
		for _, give := range []error{boom, nil} {
			err := d.Tx(t.Context(), func(ctx context.Context, tx db.DB) error {
				kept = tx
				x, err := tx.Table(ctx, "orders")
				if err != nil {
					return err
				}
				if err := x.Create(ctx, &db.Record{ID: "1"}); err != nil {
					return err
				}
				handle, ok := db.SQL(tx)
				if !ok {
					return errors.New("no SQL transaction")
				}
				if err := box.Publish(ctx, handle, &event.Record{Type: "order.made", Subject: "1"}); err != nil {
					return err
				}
				if _, err := handle.ExecContext(ctx, "INSERT INTO "+audit+" (note) VALUES ('made')"); err != nil {
					return err
				}
				return give
			})
			if !errors.Is(err, give) {
				t.Fatalf("Tx: %v, want %v", err, give)
			}
			var n int
			if err := raw.QueryRow("SELECT COUNT(*) FROM " + audit).Scan(&n); err != nil {
				t.Fatal(err)
			}
			events, _, err := box.Pending(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			_, err = orders.Read(t.Context(), "1")
			if want := map[bool]int{true: 1, false: 0}[give == nil]; n != want || events-before != int64(want) || (err == nil) != (give == nil) {
				t.Errorf("after %v there are %d notes, %d events, and the record: %v", give, n, events-before, err)
			}
		}
		if _, ok := db.SQL(kept); ok {
			t.Error("a transaction that has ended has an SQL transaction")
		}
		if _, ok := db.SQL(d); ok {
			t.Error("a database has an SQL transaction")
		}
	})
	m, err := db.New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	err = m.Tx(t.Context(), func(_ context.Context, tx db.DB) error {
		if _, ok := db.SQL(tx); ok {
			t.Error("memory has an SQL transaction")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
