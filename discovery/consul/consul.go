package consul

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/discovery"
	vendors "github.com/micro/go-platform/internal/conn"
	conn "github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
)

// ErrTooLarge: an instance with more labels and endpoints than Consul takes.
var ErrTooLarge = fault.TooLarge

// Option configures Backend.
type Option func(*options) error

type options struct {
	conn.Config
	wait    time.Duration
	queries int
}

// WithToken sets the ACL token.
func WithToken(token string) Option {
	return func(o *options) error { return vendors.SetSecret(&o.Token, token) }
}

// WithTLS connects with TLS, also to an address without a scheme.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return vendors.SetTLS(&o.TLS, c) }
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

// WithQueries sets how many services have a blocking query of their own, each of
// which occupies a connection to the agent. All further services share one
// query, which is answered for every change of a check in the datacenter. The
// default is 16. An agent takes 200 connections from all processes of a host,
// unless its http_max_conns_per_client says otherwise; other calls use at most
// 32.
func WithQueries(n int) Option {
	return func(o *options) error {
		if n < 0 {
			return fmt.Errorf("%d queries is negative", n)
		}
		o.queries = n
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
	o := options{Config: c, wait: 30 * time.Second, queries: 16}
	for i, opt := range opts {
		if opt == nil {
			return nil, fmt.Errorf("option %d is nil", i)
		}
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	o.Config.Queries = max(32, o.queries+1) // all of these, and what they share
	opened, err := conn.Open(o.Config)
	if err != nil {
		return nil, err
	}
	d := &driver{Conn: opened, wait: o.wait, queries: make(chan struct{}, o.queries), past: map[string]past{}, written: map[string]bool{}}
	d.shared = &shared{d: d, members: map[*member]bool{}}
	return d, nil
}
