package redis

import (
	"crypto/tls"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fronts"
	goredis "github.com/redis/go-redis/v9"
)

// Option configures Open.
type Option func(*redis.Config) error

// WithAuth gives name and password, over those in the address. The name is
// empty for a server that only has a password.
func WithAuth(username, password string) Option {
	return func(c *redis.Config) error {
		c.Username = username
		return conn.SetSecret(&c.Password, password)
	}
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *redis.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithDatabase selects a database by number, over that of the address. The default
// is 0, which is the only one of a cluster.
func WithDatabase(n int) Option {
	return func(c *redis.Config) error { return fronts.AtLeast("database", n, 0, &c.DB) }
}

// WithTimeout bounds the wait for one answer. The default is 3 s.
func WithTimeout(d time.Duration) Option {
	return func(c *redis.Config) error { return fronts.Positive("timeout", d, &c.Timeout) }
}

// WithMaxConns bounds the connections to one server. The default is 10 for each
// processor.
func WithMaxConns(n int) Option {
	return func(c *redis.Config) error { return fronts.AtLeast("connections", n, 1, &c.PoolSize) }
}

// WithClientOptions has adjust change what the client is made of: credentials
// providers, the connections' name (by default "go-platform"), buffers, limits
// of the pool. What keeps writes from being sent twice stays as it is.
func WithClientOptions(adjust func(*goredis.UniversalOptions)) Option {
	return func(c *redis.Config) error { return conn.Add(&c.Adjust, "function", adjust) }
}

// WithHook adds a hook to the client, for tracing, metrics or limits.
func WithHook(hook goredis.Hook) Option {
	return func(c *redis.Config) error { return conn.Add(&c.Hooks, "hook", hook) }
}
