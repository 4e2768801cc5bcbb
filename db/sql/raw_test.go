package sql_test

import (
	dbsql "database/sql"
	"testing"

	_ "github.com/go-sql-driver/mysql"
	"github.com/micro/go-platform/internal/servertest"
)

// openRaw opens the database of a backend, as somebody who does not use package
// db.
func openRaw(t testing.TB, name string) *dbsql.DB {
	t.Helper()
	var h *dbsql.DB
	var err error
	switch name {
	case "postgres":
		h, err = dbsql.Open("pgx", servertest.SharedPostgres(t).DSN())
	case "mysql":
		h, err = dbsql.Open("mysql", servertest.SharedMariaDB(t).DSN()+"mysql")
	default:
		t.Fatalf("no raw handle of %q", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}
