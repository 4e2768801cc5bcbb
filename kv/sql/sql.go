package sql

import (
	"context"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/kv"
)

// SQLite keeps the items in a file, or in ":memory:".
func SQLite(file string) kv.Option {
	return open(sql.SQLite, sql.At(sql.SQLite, file, 0))
}

// MySQL keeps the items in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string) kv.Option {
	return open(sql.MySQL, sql.At(sql.MySQL, addr, abandoned))
}

// Postgres keeps the items in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string) kv.Option {
	return open(sql.Postgres, sql.At(sql.Postgres, addr, abandoned))
}

// On keeps the items in the database that the engine is connected to, and leaves
// it open. Package engine/sql has TLS, the limits of the pool, and engines of a
// *sql.DB of your own.
func On(e *engine.Engine) kv.Option { return open(e.Kind(), e.Conn) }

// abandoned bounds how long a process that was stopped within a transaction
// holds up the others.
const abandoned = 10 * time.Second

func open(kind sql.Kind, connect func() (*sql.DB, error)) kv.Option {
	return kv.WithDriver(kind.String(), func(context.Context) (kv.Driver, error) {
		db, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(db), nil
	})
}
