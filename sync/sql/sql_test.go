package sql_test

import (
	"flag"
	"path/filepath"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/sync/internal/faulttest"
	"github.com/micro/go-platform/sync/locktest"
	"github.com/micro/go-platform/sync/sql"
)

func TestMain(m *testing.M) {
	flag.Set("test.parallel", "8") // the cases wait for TTLs; more of them, and a busy machine misses one
	leak.Main(m)
}

var durable = map[string]servertest.Option{
	"mysql":    servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"),
	"postgres": servertest.WithArgs("-c", "synchronous_commit=on", "-c", "max_connections=300"),
}

func TestSQLiteKeepsTheContract(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()                                                                                // a file for each case: it has one writer at a time
	locktest.Run(t, locktest.Harness{TTL: 5 * time.Second, Backend: func(t testing.TB) dsync.Option { // a disk may stop for a while
		return sql.SQLite(filepath.Join(dir, filepath.Base(t.Name())+".db"))
	}})
}

func TestMySQLKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2", "--max-connections=500"))
	locktest.Run(t, locktest.Harness{Backend: func(testing.TB) dsync.Option { return sql.MySQL(server.DSN() + "mysql") }})
}

func TestPostgresKeepsTheContract(t *testing.T) {
	t.Parallel()
	server := servertest.Postgres(t, durable["postgres"])
	locktest.Run(t, locktest.Harness{Backend: func(testing.TB) dsync.Option { return sql.Postgres(server.DSN()) }})
}

func TestMySQLOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server:  servertest.MariaDB(t, durable["mysql"]),
		Backend: func(addr string) dsync.Option { return sql.MySQL("mysql://root@" + addr + "/mysql") },
		TTL:     2 * time.Second,
		Idle:    30,
	})
}

func TestPostgresOverABadNetwork(t *testing.T) {
	t.Parallel()
	faulttest.Run(t, faulttest.Target{
		Server: servertest.Postgres(t, durable["postgres"]),
		Backend: func(addr string) dsync.Option {
			return sql.Postgres("postgres://postgres@" + addr + "/postgres?sslmode=disable")
		},
		TTL:  2 * time.Second,
		Idle: 20,
	})
}
