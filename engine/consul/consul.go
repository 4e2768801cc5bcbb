package consul

import (
	"context"
	"crypto/tls"

	"github.com/hashicorp/consul/api"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/consul"
	"github.com/micro/go-platform/internal/fault"
)

// Engine is a connection to Consul that backends share. It is safe for concurrent
// use.
type Engine struct{ conn *consul.Conn }

// Open describes the agents at addr; the package comment has the forms of an
// address. It connects to nothing: Ping does, and New of the packages. The error is
// engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	c, err := conn.Open("engine/consul", consul.Open, consul.Config{Address: addr}, opts)
	if err != nil {
		return nil, err
	}
	return &Engine{c}, nil
}

// FromClient is the engine of a client of your own, which Close leaves as it is. A
// nil client is an error of what is opened on the engine. Its HTTP client must not
// have a timeout shorter than a blocking query, which lasts 30 s and more.
func FromClient(client *api.Client) *Engine {
	c, _ := consul.Open(consul.Config{Client: client}) // none without a client
	return &Engine{c}
}

// URL returns the engine of a URL that has a scheme of Open, from the set that was
// asked: consul or consuls. The backends' URL functions call it.
func URL(c *engine.Choice) (*Engine, bool) {
	return engine.Take(c, func(addr string) (*Engine, error) { return Open(addr) }, "consul", "consuls")
}

// Client returns Consul's client, for requests of your own. It is nil if FromClient
// got none.
func (e *Engine) Client() *api.Client {
	if e.conn == nil {
		return nil
	}
	return e.conn.Client
}

// Ping asks an agent whether its cluster has a leader. The error is
// engine.ErrUnavailable, or engine.ErrDenied if the agent refuses the token, and
// names the address.
func (e *Engine) Ping(ctx context.Context) error {
	c, err := e.Conn()
	if err == nil {
		err = c.Ping(ctx)
	}
	return fault.Wrap("engine/consul", "ping", "", err)
}

// Close ends idle connections, but not those of a client that was given. It may be
// called again.
func (e *Engine) Close() error {
	if e.conn == nil {
		return nil
	}
	return fault.Wrap("engine/consul", "close", "", e.conn.Close())
}

// Conn is how the backends of this module reach the agents.
func (e *Engine) Conn() (*consul.Conn, error) {
	switch {
	case e == nil:
		return nil, fault.Markf(fault.Invalid, "nil engine")
	case e.conn == nil:
		return nil, fault.Markf(fault.Invalid, "nil client")
	}
	return e.conn.Shared(), nil
}

// Option configures Open.
type Option func(*consul.Config) error

// WithToken gives the ACL token, over that in the address.
func WithToken(token string) Option {
	return func(c *consul.Config) error { return conn.SetSecret(&c.Token, token) }
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *consul.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithDatacenter asks another datacenter than the agent's own. Instances of package
// discovery are registered in the agent's own all the same, and locks exclude each
// other within one datacenter.
func WithDatacenter(name string) Option {
	return func(c *consul.Config) error {
		if name == "" {
			return fault.Markf(fault.Invalid, "empty datacenter")
		}
		c.Datacenter = name
		return nil
	}
}
