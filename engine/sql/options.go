package sql

import (
	"crypto/tls"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/sql"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures Open.
type Option func(*sql.Config) error

// WithDialect says that the address is in the database's own form: a file's name,
// what go-sql-driver/mysql takes, or libpq's URL or "key=value" pairs. By default
// the scheme of the address decides.
func WithDialect(d Dialect) Option {
	return func(c *sql.Config) error {
		if d < SQLite || d > Postgres {
			return fault.Markf(fault.Invalid, "unknown dialect %d", int(d))
		}
		c.Kind = sql.Kind(d)
		return nil
	}
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *sql.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithMaxConns limits how many connections are open. The default is 10; for SQLite
// it is how many read, beside the one that writes, and the default is the number
// of processors, at least 4.
func WithMaxConns(n int) Option {
	return func(c *sql.Config) error { return fronts.AtLeast("connections", n, 1, &c.MaxOpen) }
}

// WithSync makes SQLite write through to the disk with every commit, so that
// nothing is lost when the machine fails, and not only when the process does.
func WithSync() Option {
	return func(c *sql.Config) error { c.Durable = true; return nil }
}

// abandoned is the default of WithAbandoned.
const abandoned = time.Minute

// WithAbandoned sets for how long a transaction may say nothing, as that of a
// process that was stopped, before PostgreSQL or MySQL ends its connection, and
// with it its locks. The default is a minute; 0 is indefinitely. SQLite has no such
// thing. Backends of kv, sync and discovery that are given an address set 10 s.
func WithAbandoned(d time.Duration) Option {
	return func(c *sql.Config) error {
		if d < 0 || d > 0 && d < time.Second {
			return fault.Markf(fault.Invalid, "an abandoned transaction after %v, want 0 or at least 1 s", d)
		}
		c.AbandonedTx = d
		return nil
	}
}
