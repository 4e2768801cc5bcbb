package sql

import (
	"context"
	"crypto/tls"
	dbsql "database/sql"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// Option configures the backend.
type Option func(*sql.Config) error

// SQLite keeps the items in a file, or in ":memory:".
func SQLite(file string, opts ...Option) kv.Option {
	return open(sql.Config{Kind: sql.SQLite, Address: file}, opts)
}

// MySQL keeps the items in a MySQL or MariaDB database:
// "mysql://user:password@host:3306/database", or the form of
// go-sql-driver/mysql.
func MySQL(addr string, opts ...Option) kv.Option {
	return open(sql.Config{Kind: sql.MySQL, Address: addr}, opts)
}

// Postgres keeps the items in a PostgreSQL database:
// "postgres://user:password@host:5432/database", or the key=value form.
func Postgres(addr string, opts ...Option) kv.Option {
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

// WithDB keeps the items in a database that the caller opened, and closes
// itself.
func WithDB(d Dialect, db *dbsql.DB, opts ...Option) kv.Option {
	return open(sql.Config{Kind: sql.Kind(d), DB: db}, opts)
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *sql.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithMaxConns limits how many connections are open. The default is 10.
func WithMaxConns(n int) Option {
	return func(c *sql.Config) error {
		if n < 1 {
			return fault.Markf(kv.ErrInvalid, "%d connections, want 1 or more", n)
		}
		c.MaxOpen = n
		return nil
	}
}

// WithSync makes SQLite write through to the disk with every commit, so that
// nothing is lost when the machine fails, and not only when the process does.
func WithSync() Option {
	return func(c *sql.Config) error { c.Durable = true; return nil }
}

// abandoned bounds how long a process that was stopped within a transaction
// holds up the others.
const abandoned = 10 * time.Second

func open(c sql.Config, opts []Option) kv.Option {
	name := "sql"
	if c.Kind >= sql.SQLite && c.Kind <= sql.Postgres {
		name = c.Kind.String()
	}
	return kv.WithDriver(name, func(context.Context) (kv.Driver, error) {
		c := c // of this opening: the option may be given several times
		c.AbandonedTx = abandoned
		if c.DB == nil && c.Address == "" {
			return nil, fault.Markf(kv.ErrInvalid, "no address and no database")
		}
		c, err := conn.Apply(c, opts)
		if err != nil {
			return nil, err
		}
		db, err := sql.Open(c)
		if err != nil {
			return nil, err
		}
		return newDriver(db, c.Address != ":memory:"), nil
	})
}
