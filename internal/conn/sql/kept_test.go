package sql

import (
	"database/sql"
	"fmt"
	"testing"
)

// Statements are kept for whoever needs them next, and not without a bound.
func TestKeptStatementsAreBounded(t *testing.T) {
	c, err := patiently("file::memory:")
	if err != nil {
		t.Fatal(err)
	}
	q := &queue{Connector: c}
	db := sql.OpenDB(q)
	db.SetMaxIdleConns(-1)
	defer db.Close()
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	prepare := func(n int) {
		t.Helper()
		s, err := tx.PrepareContext(t.Context(), fmt.Sprint("SELECT ", n))
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if err := s.QueryRowContext(t.Context()).Scan(&got); err != nil || got != n {
			t.Fatalf("%d, %v, want %d", got, err, n)
		}
		s.Close()
	}
	for n := range maxKept + 10 {
		prepare(n)
		prepare(n) // once more by the same one
		if want := min(n+1, maxKept); len(q.kept) != want {
			t.Fatalf("%d statements are kept of %d, want %d", len(q.kept), n+1, want)
		}
	}
}
