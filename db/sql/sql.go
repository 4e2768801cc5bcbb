package sql

import (
	"context"
	"crypto/tls"
	dbsql "database/sql"

	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/internal/conn/sql"
)

// Option configures the backend.
type Option func(*sql.Config) error

// SQLite keeps the tables in a file, or in ":memory:".
func SQLite(file string, opts ...Option) db.Option {
	return open(sql.Config{Kind: sql.SQLite, Address: file}, opts)
}

// MySQL keeps the tables in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string, opts ...Option) db.Option {
	return open(sql.Config{Kind: sql.MySQL, Address: addr}, opts)
}

// Postgres keeps the tables in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string, opts ...Option) db.Option {
	return open(sql.Config{Kind: sql.Postgres, Address: addr}, opts)
}

// Dialect is the kind of a database that the caller opened.
type Dialect int

// The dialects. DialectMySQL stands for MariaDB too.
const (
	DialectSQLite   = Dialect(sql.SQLite)
	DialectMySQL    = Dialect(sql.MySQL)
	DialectPostgres = Dialect(sql.Postgres)
)

// WithDatabase keeps the tables in a database that the caller opened, and closes
// itself.
func WithDatabase(d Dialect, handle *dbsql.DB, opts ...Option) db.Option {
	return open(sql.Config{Kind: sql.Kind(d), DB: handle}, opts)
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return sql.TLS(t)
}

// WithMaxConns limits how many connections are open. The default is 10; for
// SQLite it is how many read, beside the one that writes, and the default is
// the number of processors, at least 4.
func WithMaxConns(n int) Option {
	return sql.MaxConns(n)
}

// WithSync makes SQLite write through to the disk with every commit, so that
// nothing is lost when the machine fails, and not only when the process does.
func WithSync() Option {
	return sql.Sync()
}

func open(c sql.Config, opts []Option) db.Option {
	return db.WithDriver(c.Kind.String(), func(context.Context) (db.Driver, error) {
		pool, err := sql.Connect(c, opts)
		if err != nil {
			return nil, err
		}
		return newDriver(pool, pool.Durable()), nil
	})
}
