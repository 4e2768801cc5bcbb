package sql

import (
	"crypto/tls"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// The options that the SQL backends of all packages have.

// TLS encrypts, whatever the address says.
func TLS(t *tls.Config) func(*Config) error {
	return func(c *Config) error { return conn.SetTLS(&c.TLS, t) }
}

// MaxConns limits how many connections are open.
func MaxConns(n int) func(*Config) error {
	return func(c *Config) error {
		if n < 1 {
			return fault.Markf(fault.Invalid, "%d connections, want 1 or more", n)
		}
		c.MaxOpen = n
		return nil
	}
}

// Sync is Config.Durable.
func Sync() func(*Config) error {
	return func(c *Config) error { c.Durable = true; return nil }
}

// Connect applies a backend's options and opens what they describe.
func Connect[O ~func(*Config) error](c Config, opts []O) (*DB, error) {
	if c.DB == nil && c.Address == "" {
		return nil, fault.Markf(fault.Invalid, "no address and no database")
	}
	c, err := conn.Apply(c, opts)
	if err != nil {
		return nil, err
	}
	return Open(c)
}

// Durable reports whether what is written outlives the process.
func (d *DB) Durable() bool { return d.durable }
