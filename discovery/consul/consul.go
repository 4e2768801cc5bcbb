package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	shared "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
)

// ErrTooLarge: an instance with more labels and endpoints than Consul takes.
var ErrTooLarge = fault.TooLarge

// Option configures Backend.
type Option func(*options) error

type options struct {
	conn.Config
	wait time.Duration
}

// WithToken sets the ACL token.
func WithToken(token string) Option {
	return func(o *options) error { o.Token = token; return nil }
}

// WithTLS connects with TLS, also to an address without a scheme.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return shared.SetTLS(&o.TLS, c) }
}

// WithDatacenter reads from another datacenter than the agent's own.
// Instances are always registered in the agent's own.
func WithDatacenter(name string) Option {
	return func(o *options) error { o.Datacenter = name; return nil }
}

// WithDialTimeout bounds one attempt to connect to one agent. The default is
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

// WithWait sets how long one blocking query lasts when nothing changes, 1 s to
// 10 min. A longer one costs fewer requests; a dead connection is noticed
// after it. The default is 30 s.
func WithWait(d time.Duration) Option {
	return func(o *options) error {
		if d < time.Second || d > 10*time.Minute {
			return fmt.Errorf("wait %v, want 1s to 10m", d)
		}
		o.wait = d
		return nil
	}
}

// Backend makes discovery.New use the Consul agent at addr: "host",
// "host:port", several with commas between, or a URL with the scheme consul,
// http, consuls or https. The default port is 8500, with TLS 8501.
func Backend(addr string, opts ...Option) discovery.Option {
	return discovery.WithDriver("consul", func(context.Context) (discovery.Driver, error) {
		return open(conn.Config{Address: addr}, opts)
	})
}

// WithClient makes discovery.New use the caller's client, which stays open.
// Its HTTP client must not have a timeout shorter than WithWait's.
func WithClient(c *api.Client, opts ...Option) discovery.Option {
	return discovery.WithDriver("consul", func(context.Context) (discovery.Driver, error) {
		if c == nil {
			return nil, errors.New("nil client")
		}
		return open(conn.Config{Client: c}, opts)
	})
}

func open(c conn.Config, opts []Option) (discovery.Driver, error) {
	o := options{Config: c, wait: 30 * time.Second}
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
	return &driver{Conn: opened, wait: o.wait, past: map[string]past{}}, nil
}
