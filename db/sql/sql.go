package sql

import (
	"context"

	"github.com/micro/go-platform/db"
	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/internal/conn/sql"
)

// SQLite keeps the tables in a file, or in ":memory:".
func SQLite(file string) db.Option {
	return open(sql.SQLite, sql.At(sql.SQLite, file, 0))
}

// MySQL keeps the tables in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string) db.Option {
	return open(sql.MySQL, sql.At(sql.MySQL, addr, 0))
}

// Postgres keeps the tables in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string) db.Option {
	return open(sql.Postgres, sql.At(sql.Postgres, addr, 0))
}

// On keeps the tables in the database that the engine is connected to, and leaves
// it open. Package engine/sql has TLS, the limits of the pool, and engines of a
// *sql.DB of your own.
func On(e *engine.Engine) db.Option { return open(e.Kind(), e.Conn) }

func open(kind sql.Kind, connect func() (*sql.DB, error)) db.Option {
	return db.WithDriver(kind.String(), func(context.Context) (db.Driver, error) {
		pool, err := connect()
		if err != nil {
			return nil, err
		}
		return newDriver(pool, pool.Durable()), nil
	})
}
