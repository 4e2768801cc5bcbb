package sql

import (
	"context"
	"crypto/tls"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/conn/sql"
)

// Option configures the backend.
type Option func(*sql.Config) error

// SQLite keeps the registry in a file, or in ":memory:".
func SQLite(file string, opts ...Option) discovery.Option {
	return open(sql.Config{Kind: sql.SQLite, Address: file}, opts)
}

// MySQL keeps the registry in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string, opts ...Option) discovery.Option {
	return open(sql.Config{Kind: sql.MySQL, Address: addr}, opts)
}

// Postgres keeps the registry in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string, opts ...Option) discovery.Option {
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

// WithDatabase keeps the registry in a database that the caller opened, and closes
// itself.
func WithDatabase(d Dialect, db *dbsql.DB, opts ...Option) discovery.Option {
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

// abandoned bounds how long a process that was stopped within a transaction
// holds up the others.
const abandoned = 10 * time.Second

func open(c sql.Config, opts []Option) discovery.Option {
	c.AbandonedTx = abandoned
	return discovery.WithDriver(c.Kind.String(), func(context.Context) (discovery.Driver, error) {
		db, err := sql.Connect(c, opts)
		if err != nil {
			return nil, err
		}
		return newDriver(db), nil
	})
}
