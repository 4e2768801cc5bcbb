package sql

import (
	"context"
	"crypto/tls"
	dbsql "database/sql"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/sql"
)

// Option configures the backend.
type Option func(*sql.Config) error

// SQLite keeps the stream in a file, or in ":memory:".
func SQLite(file string, opts ...Option) event.Option {
	return open(sql.Config{Kind: sql.SQLite, Address: file}, opts)
}

// MySQL keeps the stream in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string, opts ...Option) event.Option {
	return open(sql.Config{Kind: sql.MySQL, Address: addr}, opts)
}

// Postgres keeps the stream in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string, opts ...Option) event.Option {
	return open(sql.Config{Kind: sql.Postgres, Address: addr}, opts)
}

// Dialect is the kind of a database that the caller opened.
type Dialect int

// The dialects. MySQL databases need clientFoundRows=true in their address.
const (
	DialectSQLite   = Dialect(sql.SQLite)
	DialectMySQL    = Dialect(sql.MySQL)
	DialectPostgres = Dialect(sql.Postgres)
)

// WithDatabase keeps the stream in a database that the caller opened, and closes
// itself.
func WithDatabase(d Dialect, db *dbsql.DB, opts ...Option) event.Option {
	return open(sql.Config{Kind: sql.Kind(d), DB: db}, opts)
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return sql.TLS(t)
}

// WithMaxConns limits how many connections are open. The default is 10.
func WithMaxConns(n int) Option {
	return sql.MaxConns(n)
}

// WithSync makes SQLite write through to the disk with every commit, so that
// nothing is lost when the machine fails, and not only when the process does.
func WithSync() Option {
	return sql.Sync()
}

func open(c sql.Config, opts []Option) event.Option {
	return event.WithDriver(c.Kind.String(), func(_ context.Context, s event.Settings) (event.Driver, error) {
		db, err := sql.Connect(c, opts)
		if err != nil {
			return nil, err
		}
		d := &driver{db: db, kind: db.Kind, stream: s.Namespace, durable: db.Durable(), writer: make(chan struct{}, 1)}
		d.table = d.kind.Quote(tableName(s.Namespace))
		d.tail.d = d
		return d, nil
	})
}
