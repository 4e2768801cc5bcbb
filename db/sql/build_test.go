package sql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// TestPostgresBuildsAgainWhatWasGivenUp has the building of an index wait for a
// transaction, as long as which others write; then it is ended from outside, as
// by a crash, which leaves an index that PostgreSQL keeps up and never reads.
func TestPostgresBuildsAgainWhatWasGivenUp(t *testing.T) {
	leak.Check(t)
	ns := "b" + strings.ReplaceAll(db.NewID(), "-", "")[22:]
	d, err := db.New(patient(sql.Postgres(servertest.SharedPostgres(t).DSN()), db.WithNamespace(ns))...)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	tb, err := d.Table(t.Context(), "things")
	if err != nil {
		t.Fatal(err)
	}
	fill(t, tb, 1000)
	raw := openRaw(t, "postgres")
	count := func(text string, args ...any) (n int) {
		t.Helper()
		if err := raw.QueryRow(text, args...).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	const indexes = "SELECT COUNT(*) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relname LIKE $1 AND i.indisvalid = $2"
	name := ns + "\\_\\_things$k\\_total"

	tx, err := raw.Begin()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(`UPDATE "` + ns + `__things" SET data = NULL WHERE id = 'id000001'`); err != nil {
		t.Fatal(err)
	}
	built := make(chan error, 1)
	go func() {
		_, err := d.Table(context.WithoutCancel(t.Context()), "things", db.Index("total"))
		built <- err
	}()
	// Once it waits for the transaction, the index is known to the others.
	const waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' || $1 || '%' AND wait_event = 'virtualxid'"
	for end := time.Now().Add(60 * time.Second); count(waiting, ns) == 0; <-time.After(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the index is not being built")
		}
	}
	for i := range 20 {
		if err := tb.Create(t.Context(), &db.Record{ID: fmt.Sprint("while", i), Metadata: map[string]any{"total": -1}}); err != nil {
			t.Fatalf("a write while the index is built: %v", err)
		}
	}
	select {
	case err := <-built:
		t.Fatalf("the index was built beside a transaction that may not know of it: %v", err)
	default:
	}
	if _, err := raw.Exec("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX CONCURRENTLY%' || $1 || '%' AND pid <> pg_backend_pid()", ns); err != nil {
		t.Fatal(err)
	}
	if err := <-built; err == nil {
		t.Fatal("Table has an index whose building was ended")
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	if n := count(indexes, name, false); n != 1 {
		t.Fatalf("%d indexes are left of what was given up, want 1: the test shows nothing", n)
	}
	if tb, err = d.Table(t.Context(), "things", db.Index("total")); err != nil {
		t.Fatal(err)
	}
	if n := count(indexes, name, true); n != 1 || count(indexes, name, false) != 0 {
		t.Errorf("%d valid indexes after it was built again", n)
	}
	analyze(t, "postgres", ns+"__things")
	if p, err := tb.Explain(t.Context(), db.Where(db.Equal("total", -1))); err != nil || !slices.Equal(p.Indexes, []string{"total"}) {
		t.Errorf("a search reads %q, %v:\n%s", p.Indexes, err, p.Engine)
	}
	if n, err := tb.Count(t.Context(), db.Where(db.Equal("total", -1))); err != nil || n != 20 {
		t.Errorf("found %d, %v, want the 20 that were written meanwhile", n, err)
	}
}

// TestAnIndexOfManyRecordsChaos is TestAnIndexIsAddedWhileOthersWrite with
// 100 000 records in "make chaos".
func TestAnIndexOfManyRecordsChaos(t *testing.T) {
	n := 1000
	if servertest.Chaos(t) > 3*time.Second {
		n = 100_000
	}
	addWhileOthersWrite(t, n)
}
