package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/discovery"
	shared "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	conn.Config
	poll time.Duration
}

// WithAuth sets the user and the password.
func WithAuth(user, password string) Option {
	return func(o *options) error { return shared.SetAuth(&o.User, &o.Password, user, password) }
}

// WithTLS connects with TLS, also to an address without a scheme.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return shared.SetTLS(&o.TLS, c) }
}

// WithDialTimeout bounds one attempt to connect to one member. The default is
// 2 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error {
		if d <= 0 {
			return fmt.Errorf("dial timeout %v is not positive", d)
		}
		o.DialTimeout = d
		return nil
	}
}

// WithPoll sets how often an idle watch asks for a sign of life, at least 1 s.
// The default is 15 s.
func WithPoll(d time.Duration) Option {
	return func(o *options) error {
		if d < time.Second {
			return fmt.Errorf("poll period %v, want at least 1s", d)
		}
		o.poll = d
		return nil
	}
}

// Backend makes discovery.New use the etcd at addr: "host", "host:port",
// several with commas between, or a URL with the scheme etcd, http, etcds or
// https. The default port is 2379.
func Backend(addr string, opts ...Option) discovery.Option {
	return discovery.WithDriver("etcd", func(context.Context) (discovery.Driver, error) {
		return open(conn.Config{Address: addr}, opts)
	})
}

// WithClient makes discovery.New use the caller's client, which stays open.
func WithClient(c *clientv3.Client, opts ...Option) discovery.Option {
	return discovery.WithDriver("etcd", func(context.Context) (discovery.Driver, error) {
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
	return &driver{Conn: opened, poll: o.poll, leases: newLeases(opened)}, nil
}
