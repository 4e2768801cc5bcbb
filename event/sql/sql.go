package sql

import (
	"context"

	engine "github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
)

// SQLite keeps the stream in a file, or in ":memory:".
func SQLite(file string) event.Option {
	return open(sql.SQLite, sql.At(sql.SQLite, file, 0))
}

// MySQL keeps the stream in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string) event.Option {
	return open(sql.MySQL, sql.At(sql.MySQL, addr, 0))
}

// Postgres keeps the stream in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string) event.Option {
	return open(sql.Postgres, sql.At(sql.Postgres, addr, 0))
}

// On keeps the stream in the database that the engine is connected to, and leaves
// it open. Package engine/sql has TLS, the limits of the pool, and engines of a
// *sql.DB of your own.
func On(e *engine.Engine) event.Option { return open(e.Kind(), e.Conn) }

func open(kind sql.Kind, connect func() (*sql.DB, error)) event.Option {
	return event.WithDriver(kind.String(), func(_ context.Context, s event.Settings) (event.Driver, error) {
		db, err := connect()
		if err != nil {
			return nil, err
		}
		d := &driver{db: db, kind: db.Kind, stream: s.Namespace, durable: db.Durable(), writer: make(chan struct{}, 1)}
		d.table = d.kind.Quote(tableName(s.Namespace))
		d.tail.d = d
		return d, nil
	})
}
