package sql_test

import (
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// Sessions of MySQL are strict and in UTC, unless the address says otherwise. Each
// statement is committed, whatever the server or the address says: without that a write by
// itself was answered and gone with the connection.
func TestSessionsOfMySQL(t *testing.T) {
	addr := "mysql://root@" + servertest.SharedMariaDB(t).Addr() + "/mysql"
	for query, want := range map[string]string{
		"":                             "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION +00:00 1",
		"?sql_mode=%27ANSI_QUOTES%27":  "ANSI_QUOTES +00:00 1",
		"?time_zone=%27%2B02%3A00%27":  "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION +02:00 1",
		"?autocommit=0":                "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION +00:00 1",
		"?charset=utf8mb4&timeout=10s": "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION +00:00 1",
	} {
		d, err := sql.Open(sql.Config{Kind: sql.MySQL, Address: addr + query})
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = d.QueryRowContext(t.Context(), "SELECT CONCAT(@@session.sql_mode, ' ', @@session.time_zone, ' ', @@session.autocommit + 0)").Scan(&got)
		if err != nil || got != want {
			t.Errorf("with %q: %q, %v, want %q", query, got, err, want)
		}
		d.Close()
	}
}

// A server that ends connections which say nothing finds none of the pool: they are
// closed before.
func TestIdleConnectionsEndBeforeTheServerEndsThem(t *testing.T) {
	d, err := sql.Open(sql.Config{Kind: sql.MySQL, Address: servertest.SharedMariaDB(t).DSN() + "mysql", AbandonedTx: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(60 * time.Second); d.Stats().MaxIdleTimeClosed == 0; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the connection is still open")
		}
	}
}
