package sql_test

import (
	dbsql "database/sql"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/servertest"
)

// A client that says nothing more within a transaction keeps its locks for as
// long as it was said, and no longer.
func TestAbandonedTransactionsEnd(t *testing.T) {
	for name, c := range map[string]sql.Config{
		"mysql":    {Kind: sql.MySQL, Address: servertest.SharedMariaDB(t).DSN() + "mysql"},
		"postgres": {Kind: sql.Postgres, Address: servertest.SharedPostgres(t).DSN()},
	} {
		t.Run(name, func(t *testing.T) {
			other, err := sql.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			for _, s := range []string{"DROP TABLE IF EXISTS abandoned", "CREATE TABLE abandoned (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO abandoned VALUES (1, 0)"} {
				if _, err := other.ExecContext(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
			c.AbandonedTx = time.Second
			mute, err := sql.Open(c)
			if err != nil {
				t.Fatal(err)
			}
			defer mute.Close()
			var tx *dbsql.Tx
			var start time.Time
			for range 5 { // on a machine that stands still it may be abandoned before its first statement
				tx, err = mute.BeginTx(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				defer tx.Rollback()
				start = time.Now()
				_, err = tx.ExecContext(t.Context(), "UPDATE abandoned SET n = 1")
				if err == nil {
					break
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := other.ExecContext(t.Context(), "UPDATE abandoned SET n = 2"); err != nil { // waits for the row
				t.Fatal(err)
			}
			if took := time.Since(start); took < 500*time.Millisecond {
				t.Errorf("the row was not locked: %v", took)
			}
			if err := tx.Commit(); err == nil {
				t.Error("the abandoned transaction was committed")
			}
			var n int
			if err := other.QueryRowContext(t.Context(), "SELECT n FROM abandoned").Scan(&n); err != nil || n != 2 {
				t.Errorf("n = %d, %v, want 2", n, err)
			}
		})
	}
}
