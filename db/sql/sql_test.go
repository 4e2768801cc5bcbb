package sql_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/dbtest"
	"github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) { leak.Main(m) }

// patient are options for a machine that is busy with other things.
func patient(opts ...db.Option) []db.Option {
	return append([]db.Option{db.WithDialTimeout(time.Minute), db.WithTimeout(time.Minute)}, opts...)
}

func opener(backend func() db.Option) func(testing.TB, ...db.Option) db.DB {
	return func(t testing.TB, opts ...db.Option) db.DB {
		t.Helper()
		d, err := db.New(append(opts, backend())...)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func TestSQLite(t *testing.T) {
	dir := t.TempDir()
	dbtest.Run(t, dbtest.Harness{Searches: searches, Open: func(t testing.TB, opts ...db.Option) db.DB {
		file := filepath.Join(dir, filepath.Base(t.Name())) // one for each case: every connection reads the whole schema
		return opener(func() db.Option { return sql.SQLite(file) })(t, opts...)
	}})
}

func TestSQLiteInMemory(t *testing.T) {
	dbtest.Run(t, dbtest.Harness{Searches: 50, Open: opener(func() db.Option { return sql.SQLite(":memory:") })}) // the same statements, on one connection
}

func TestMySQL(t *testing.T) {
	server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"))
	addr := records(t, server)
	dbtest.Run(t, dbtest.Harness{
		Searches: searches,
		Open:     opener(func() db.Option { return sql.MySQL(addr) }),
		Restart:  func(testing.TB) { server.Kill(); server.Restart() },
	})
}

func TestPostgres(t *testing.T) {
	server := servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on"))
	dbtest.Run(t, dbtest.Harness{
		Searches: searches,
		Open:     opener(func() db.Option { return sql.Postgres(server.DSN()) }),
		Restart:  func(testing.TB) { server.Stop(); server.Restart() },
	})
}

// TestSearchesChaos compares searches with a model from a new seed each time, on
// each database in turn.
func TestSearchesChaos(t *testing.T) {
	for name, backend := range backends(t) {
		t.Run(name, func(t *testing.T) {
			h := dbtest.Harness{Searches: 100, Open: opener(func() db.Option { return backend(t) })}
			for end := time.Now().Add(servertest.Chaos(t) / 3); time.Now().Before(end); {
				dbtest.Searches(t, h, uint64(time.Now().UnixNano()))
			}
		})
	}
}
