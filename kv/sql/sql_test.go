package sql_test

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/netfault"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/kvtest"
	"github.com/micro/go-platform/kv/sql"
)

func TestMain(m *testing.M) { leak.Main(m) }

func opener(backend kv.Option) func(testing.TB, ...kv.Option) kv.KV {
	return func(t testing.TB, opts ...kv.Option) kv.KV {
		t.Helper()
		store, err := kv.New(append(opts, backend)...)
		if err != nil {
			t.Fatal(err)
		}
		return store
	}
}

func TestSQLite(t *testing.T) {
	kvtest.Run(t, kvtest.Harness{Open: opener(sql.SQLite(filepath.Join(t.TempDir(), "kv.db")))})
}

func TestMySQL(t *testing.T) {
	server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"))
	kvtest.Run(t, kvtest.Harness{
		Open: opener(sql.MySQL(server.DSN() + "mysql")),
		Down: func(testing.TB) func() { server.Kill(); return server.Restart },
	})
}

func TestPostgres(t *testing.T) {
	server := servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on"))
	kvtest.Run(t, kvtest.Harness{
		Open: opener(sql.Postgres(server.DSN())),
		Down: func(testing.TB) func() { server.Kill(); return server.Restart },
	})
}

// Histories of concurrent calls through restarts and lost answers have an order
// that one store could have made.
func TestLinearizable(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "kv.db")
		kvtest.Linearizable(t, func() kv.KV { return opener(sql.SQLite(file))(t) }, time.Second, func(context.Context) {})
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"))
		p := netfault.New(t, server.Addr())
		addr := "mysql://root@" + p.Addr() + "/mysql"
		kvtest.Linearizable(t, func() kv.KV { return opener(sql.MySQL(addr))(t) },
			kvtest.Chaos(2*time.Second), kvtest.Trouble(p.CutReplies, p.Reset, func() { server.Kill(); server.Restart() }))
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		server := servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on"))
		p := netfault.New(t, server.Addr())
		addr := "postgres://postgres@" + p.Addr() + "/postgres?sslmode=disable"
		kvtest.Linearizable(t, func() kv.KV { return opener(sql.Postgres(addr))(t) },
			kvtest.Chaos(2*time.Second), kvtest.Trouble(p.CutReplies, p.Reset, func() { server.Kill(); server.Restart() }))
	})
}
