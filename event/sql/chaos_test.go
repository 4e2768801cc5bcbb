package sql_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/event/internal/chaos"
	"github.com/micro/go-platform/event/sql"
	conn "github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"consumer": chaos.Consumer(openChild), "worker": chaos.Worker(openChild)})
	leak.Main(m)
}

func openChild(args []string) (event.Stream, error) {
	switch args[0] {
	case "postgres":
		return event.New(sql.Postgres(args[1]))
	case "mysql":
		return event.New(sql.MySQL(args[1]))
	}
	return event.New(sql.SQLite(args[1]))
}

func runChaos(t *testing.T, restart func(), args ...string) {
	s, err := openChild(args)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(t.Context()) })
	chaos.Run(t, s, "consumer", args, servertest.Chaos(t), chaos.Records(), restart)
}

// longOnly skips what PostgreSQL's run stands for, unless chaos is asked for.
func longOnly(t *testing.T) {
	if os.Getenv("CHAOS") == "" {
		t.Skip("runs with CHAOS set, as make chaos does")
	}
}

func TestChaosOnPostgresLosesNothingAndKeepsOrder(t *testing.T) {
	server := servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on"))
	runChaos(t, func() { server.Stop(); server.Restart() }, "postgres", server.DSN())
}

func TestChaosOnMySQLLosesNothingAndKeepsOrder(t *testing.T) {
	longOnly(t)
	server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"))
	runChaos(t, func() { server.Kill(); server.Restart() }, "mysql", server.DSN()+"mysql")
}

func TestChaosOnSQLiteLosesNothingAndKeepsOrder(t *testing.T) {
	longOnly(t)
	runChaos(t, nil, "sqlite", filepath.Join(t.TempDir(), "events.db"))
}

// The inbox is in the database of the stream.
func TestChaosOnPostgresHandlesAllOnceAndInTime(t *testing.T) {
	server := servertest.Postgres(t, servertest.WithArgs("-c", "synchronous_commit=on"))
	chaos.RunLater(t, chaos.Later{
		Role: "worker", Args: []string{"postgres", server.DSN()}, Kind: conn.Postgres, Address: server.DSN(), Workers: 3, For: servertest.Chaos(t),
		Restart: func() { server.Stop(); server.Restart() },
	})
}

func TestChaosOnMySQLHandlesAllOnceAndInTime(t *testing.T) {
	longOnly(t)
	server := servertest.MariaDB(t, servertest.WithArgs("--innodb-flush-log-at-trx-commit=2"))
	addr := server.DSN() + "mysql"
	chaos.RunLater(t, chaos.Later{
		Role: "worker", Args: []string{"mysql", addr}, Kind: conn.MySQL, Address: addr, Workers: 3, For: servertest.Chaos(t),
		Restart: func() { server.Kill(); server.Restart() },
	})
}

func TestChaosOnSQLiteHandlesAllOnceAndInTime(t *testing.T) {
	longOnly(t)
	chaos.RunLater(t, chaos.Later{
		Role: "worker", Args: []string{"sqlite", filepath.Join(t.TempDir(), "events.db")}, Kind: conn.SQLite, Workers: 3, For: servertest.Chaos(t),
	})
}
