package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/discovery"
	shared "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	conn.Config
	poll time.Duration
}

// WithAuth sets the user and the password; the user may be empty.
func WithAuth(user, password string) Option {
	return func(o *options) error {
		o.Username = user
		return shared.SetSecret(&o.Password, password)
	}
}

// WithTLS connects with TLS, also to an address without a scheme.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return shared.SetTLS(&o.TLS, c) }
}

// WithDatabase selects a database by number. The default is 0.
func WithDatabase(n int) Option {
	return func(o *options) error {
		if n < 0 {
			return fmt.Errorf("database %d is negative", n)
		}
		o.DB = n
		return nil
	}
}

// WithPoll sets how often a service is read while nothing happens, at least
// 1 s. The default is 15 s.
func WithPoll(d time.Duration) Option {
	return func(o *options) error {
		if d < time.Second {
			return fmt.Errorf("poll period %v, want at least 1s", d)
		}
		o.poll = d
		return nil
	}
}

// WithTimeouts bounds one attempt to connect and one answer. The defaults are
// 2 s and 3 s.
func WithTimeouts(dial, answer time.Duration) Option {
	return func(o *options) error {
		if dial <= 0 || answer <= 0 {
			return fmt.Errorf("timeouts %v and %v, want positive ones", dial, answer)
		}
		o.DialTimeout, o.Timeout = dial, answer
		return nil
	}
}

// Backend makes discovery.New use the Redis at addr: "host", "host:port",
// several of a cluster with commas between, or a URL with the scheme redis,
// rediss, redis+sentinel or redis+cluster. The default port is 6379.
func Backend(addr string, opts ...Option) discovery.Option {
	return discovery.WithDriver("redis", func(context.Context) (discovery.Driver, error) {
		return open(conn.Config{Address: addr}, opts)
	})
}

// WithClient makes discovery.New use the caller's client, which stays open.
func WithClient(c goredis.UniversalClient, opts ...Option) discovery.Option {
	return discovery.WithDriver("redis", func(context.Context) (discovery.Driver, error) {
		if c == nil {
			return nil, errors.New("nil client")
		}
		return open(conn.Config{Client: c}, opts)
	})
}

func open(c conn.Config, opts []Option) (discovery.Driver, error) {
	o := options{Config: c, poll: 15 * time.Second}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil", i)
		}
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	opened, err := conn.Open(o.Config)
	if err != nil {
		return nil, err
	}
	return &driver{Client: opened, poll: o.poll}, nil
}
