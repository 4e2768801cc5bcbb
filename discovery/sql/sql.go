package sql

import (
	"context"
	"time"

	"github.com/micro/go-platform/discovery"
	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn/sql"
)

// SQLite keeps the registry in a file, or in ":memory:".
func SQLite(file string) discovery.Option {
	return open(sql.SQLite, sql.At(sql.SQLite, file, 0))
}

// MySQL keeps the registry in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string) discovery.Option {
	return open(sql.MySQL, sql.At(sql.MySQL, addr, abandoned))
}

// Postgres keeps the registry in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string) discovery.Option {
	return open(sql.Postgres, sql.At(sql.Postgres, addr, abandoned))
}

// On keeps the registry in the database that the engine is connected to, and leaves
// it open. Package engine/sql has TLS, the limits of the pool, and engines of a
// *sql.DB of your own.
func On(e *engine.Engine) discovery.Option { return open(e.Kind(), e.Conn) }

// abandoned bounds how long a process that was stopped within a transaction
// holds up the others.
const abandoned = 10 * time.Second

func open(kind sql.Kind, connect func() (*sql.DB, error)) discovery.Option {
	return discovery.WithDriver(kind.String(), func(context.Context) (discovery.Driver, error) {
		db, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(db), nil
	})
}
