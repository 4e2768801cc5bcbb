package sql_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/eventtest"
	"github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/internal/servertest"
)

func opener(backend func() event.Option) func(testing.TB, ...event.Option) event.Stream {
	return func(t testing.TB, opts ...event.Option) event.Stream {
		t.Helper()
		s, err := event.New(append(opts, backend())...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func TestSQLite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "events.db")
	eventtest.Run(t, eventtest.Harness{Open: opener(func() event.Option { return sql.SQLite(file) })})
}

func TestMySQL(t *testing.T) {
	server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"))
	addr := server.DSN() + "mysql"
	eventtest.Run(t, eventtest.Harness{
		Open:    opener(func() event.Option { return sql.MySQL(addr) }),
		Restart: func(testing.TB) { server.Kill(); server.Restart() },
	})
}

func TestPostgres(t *testing.T) {
	server := servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on"))
	eventtest.Run(t, eventtest.Harness{
		Open:    opener(func() event.Option { return sql.Postgres(server.DSN()) }),
		Restart: func(testing.TB) { server.Kill(); server.Restart() },
	})
}

// patient are options for a machine that is busy with other things.
func patient(opts ...event.Option) []event.Option {
	return append([]event.Option{event.WithDialTimeout(time.Minute), event.WithTimeout(time.Minute)}, opts...)
}
