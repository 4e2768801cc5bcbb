package sql_test

import (
	dbsql "database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	enginesql "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/sql"
)

func open(t *testing.T, backend dsync.Option) dsync.Sync {
	t.Helper()
	s, err := dsync.New(backend, dsync.WithNamespace(servertest.Namespace(t)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// Who lost the tables, and has new ones, does not hand out tokens again that
// fences have seen.
func TestTokensRiseOverALossOfTheTables(t *testing.T) {
	file := filepath.Join(t.TempDir(), "locks.db")
	s := open(t, sql.SQLite(file))
	db, err := dbsql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var last uint64
	for range 3 {
		lock, err := s.Lock(t.Context(), "x", dsync.Wait(30*time.Second))
		for errors.Is(err, dsync.ErrUnavailable) { // until it has noticed that they are gone
			lock, err = s.Lock(t.Context(), "x", dsync.Wait(30*time.Second))
		}
		if err != nil {
			t.Fatal(err)
		}
		if lock.Token() <= last {
			t.Fatalf("token %d behind %d", lock.Token(), last)
		}
		last = lock.Token()
		if err := lock.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Exec("DROP TABLE sync_claims; DROP TABLE sync_stripes"); err != nil {
			t.Fatal(err)
		}
	}
}

// Claims of processes that died, and refusals of late requests, do not pile up:
// who comes next removes those of its key.
func TestTheTableStaysSmall(t *testing.T) {
	file := filepath.Join(t.TempDir(), "locks.db")
	s := open(t, sql.SQLite(file))
	db, err := dbsql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	count := func() (n int) {
		t.Helper()
		if err := db.QueryRow("SELECT COUNT(*) FROM sync_claims").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for range 20 {
		lock, err := s.Lock(t.Context(), "x")
		if err != nil {
			t.Fatal(err)
		}
		if n := count(); n != 1 {
			t.Fatalf("%d rows while one lock is held", n)
		}
		if err := lock.Unlock(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(); n != 0 {
		t.Errorf("%d rows while none is held", n)
	}
	var key string
	lock, err := s.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow("SELECT k FROM sync_claims").Scan(&key); err != nil {
		t.Fatal(err)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO sync_claims (nonce, k, seq, token, until, places, owner) VALUES ('dead', ?, 1, 1, 1, 1, 'o')", key); err != nil {
		t.Fatal(err)
	}
	if lock, err = s.Lock(t.Context(), "x", dsync.Wait(30*time.Second)); err != nil {
		t.Fatalf("a dead claim is in the way: %v", err)
	}
	if n := count(); n != 1 {
		t.Errorf("%d rows, want that of the holder alone", n)
	}
	if err := lock.Unlock(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestBadInput(t *testing.T) {
	for what, o := range map[string]dsync.Option{
		"no file":        sql.SQLite(""),
		"no address":     sql.Postgres(""),
		"no database":    sql.MySQL("mysql://h/"),
		"an odd address": sql.MySQL("h:1:2"),
		"no engine":      sql.On(nil),
		"no dialect":     sql.On(enginesql.FromDB(0, &dbsql.DB{})),
		"no handle":      sql.On(enginesql.FromDB(enginesql.SQLite, nil)),
	} {
		if _, err := dsync.New(o, dsync.WithLazy()); !errors.Is(err, dsync.ErrInvalid) || !strings.Contains(err.Error(), "sync/") {
			t.Errorf("%s: %v", what, err)
		}
	}
}
