package sql

import (
	"context"

	"github.com/micro/go-platform/db"
	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn/sql"
)

// SQLite keeps the tables in a file, or in ":memory:".
func SQLite(file string, opts ...Option) db.Option {
	return open(sql.SQLite, sql.At(sql.SQLite, file, 0), opts)
}

// MySQL keeps the tables in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string, opts ...Option) db.Option {
	return open(sql.MySQL, sql.At(sql.MySQL, addr, 0), opts)
}

// Postgres keeps the tables in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string, opts ...Option) db.Option {
	return open(sql.Postgres, sql.At(sql.Postgres, addr, 0), opts)
}

// On keeps the tables in the database that the engine is connected to, and leaves
// it open. Package engine/sql has TLS, the limits of the pool, and engines of a
// *sql.DB of your own.
func On(e *engine.Engine, opts ...Option) db.Option { return open(e.Kind(), e.Conn, opts) }

func open(kind sql.Kind, connect func() (*sql.DB, error), opts []Option) db.Option {
	return db.WithDriver(kind.String(), func(context.Context) (db.Driver, error) {
		c, err := newConfig(opts)
		if err != nil {
			return nil, err
		}
		pool, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(pool, c), nil
	})
}
