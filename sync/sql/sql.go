package sql

import (
	"context"
	"time"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn/sql"
	dsync "github.com/micro/go-platform/sync"
)

// SQLite keeps the locks in a file, or in ":memory:".
func SQLite(file string) dsync.Option {
	return open(sql.SQLite, sql.At(sql.SQLite, file, 0))
}

// MySQL keeps the locks in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string) dsync.Option {
	return open(sql.MySQL, sql.At(sql.MySQL, addr, abandoned))
}

// Postgres keeps the locks in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string) dsync.Option {
	return open(sql.Postgres, sql.At(sql.Postgres, addr, abandoned))
}

// On keeps the locks in the database that the engine is connected to, and leaves
// it open. Package engine/sql has TLS, the limits of the pool, and engines of a
// *sql.DB of your own.
func On(e *engine.Engine) dsync.Option { return open(e.Kind(), e.Conn) }

// abandoned bounds how long a process that was stopped within a transaction
// holds up the others.
const abandoned = 10 * time.Second

func open(kind sql.Kind, connect func() (*sql.DB, error)) dsync.Option {
	return dsync.WithDriver(kind.String(), func(context.Context) (dsync.Driver, error) {
		db, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(db), nil
	})
}
