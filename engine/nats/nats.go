package nats

import (
	"context"
	"crypto/tls"
	"sync"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/nats"
	"github.com/micro/go-platform/internal/fault"
	gonats "github.com/nats-io/nats.go"
)

// Engine is a connection to NATS that backends share. It is safe for concurrent
// use.
type Engine struct {
	config nats.Config

	mu     sync.Mutex
	conn   *nats.Conn // nil: nobody has used it
	closed bool
}

// Open describes the server or cluster at addr; the package comment has the forms
// of an address. It connects to nothing: Ping and Client do, and New of the
// packages. The error is engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	c, err := conn.Apply(nats.Config{Address: addr}, opts)
	if err == nil {
		err = c.Check()
	}
	if err != nil {
		return nil, fault.Wrap("engine/nats", "open", "", err)
	}
	return &Engine{config: c}, nil
}

// FromClient is the engine of a connection of your own, which Close leaves open. A
// nil connection is an error of what is opened on the engine.
func FromClient(c *gonats.Conn) *Engine { return &Engine{config: nats.Config{Conn: c}} }

// Client returns the connection, for messages of your own, connecting or beginning
// to. It is closed with the engine.
func (e *Engine) Client() (*gonats.Conn, error) {
	c, err := e.Conn()
	if err != nil {
		return nil, fault.Wrap("engine/nats", "connect", "", err)
	}
	return c.Conn, nil
}

// Ping asks the server for a sign of life, waiting until there is one or ctx ends.
// The error is engine.ErrUnavailable, or engine.ErrDenied if the server refuses the
// credentials, and names the address.
func (e *Engine) Ping(ctx context.Context) error {
	c, err := e.Conn()
	if err == nil {
		err = c.Ping(ctx)
	}
	return fault.Wrap("engine/nats", "ping", "", err)
}

// Close closes the connection, unless it was given. It may be called again.
func (e *Engine) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.closed = true
	if e.conn == nil {
		return nil
	}
	return fault.Wrap("engine/nats", "close", "", e.conn.Close())
}

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*nats.Conn, error) {
	if e == nil {
		return nil, fault.Markf(fault.Invalid, "nil engine")
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.config.Conn == nil && e.config.Address == "":
		return nil, fault.Markf(fault.Invalid, "nil connection")
	case e.conn == nil && e.closed && e.config.Conn == nil:
		return nil, fault.Markf(fault.Unavailable, "the connection to NATS was closed")
	case e.conn == nil:
		c, err := nats.Open(e.config)
		if err != nil {
			return nil, err
		}
		e.conn = c
	}
	return e.conn.Shared(), nil
}

// Option configures Open.
type Option func(*nats.Config) error

// WithAuth gives user and password, over those in the address.
func WithAuth(user, password string) Option {
	return func(c *nats.Config) error { return conn.SetAuth(&c.Username, &c.Password, user, password) }
}

// WithToken gives a token, over what is in the address.
func WithToken(token string) Option {
	return func(c *nats.Config) error { return conn.SetSecret(&c.Token, token) }
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *nats.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithClientOptions gives options of NATS's client, over those that are set here:
// files of credentials, keys, names, handlers.
func WithClientOptions(opts ...gonats.Option) Option {
	return func(c *nats.Config) error { return conn.Add(&c.Options, "option of the client", opts...) }
}
