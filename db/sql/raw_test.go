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
		h, err = dbsql.Open("mysql", records(t, servertest.SharedMariaDB(t)))
	default:
		t.Fatalf("no raw handle of %q", name)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// records makes a database for records, beside the system's, where no trigger can
// be made, and returns its address.
func records(t testing.TB, server *servertest.Server) string {
	t.Helper()
	h, err := dbsql.Open("mysql", server.DSN()+"mysql")
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := h.Exec("CREATE DATABASE IF NOT EXISTS records"); err != nil {
		t.Fatal(err)
	}
	return server.DSN() + "records"
}
