package etcd

import (
	"context"
	"crypto/tls"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/etcd"
	"github.com/micro/go-platform/internal/fault"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// Engine is a connection to etcd that backends share. It is safe for concurrent
// use.
type Engine struct{ conn *etcd.Conn }

// Open describes the cluster at addr; the package comment has the forms of an
// address. It needs no server: connecting begins in the background. The error is
// engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	c, err := conn.Open("engine/etcd", etcd.Open, etcd.Config{Address: addr}, opts)
	if err != nil {
		return nil, err
	}
	return &Engine{c}, nil
}

// FromClient is the engine of a client of your own, which Close leaves open. A nil
// client is an error of what is opened on the engine.
func FromClient(client *clientv3.Client) *Engine {
	c, _ := etcd.Open(etcd.Config{Client: client}) // none without a client
	return &Engine{c}
}

// Client returns etcd's client, for requests of your own. It is closed with the
// engine. It is nil if FromClient got none.
func (e *Engine) Client() *clientv3.Client {
	if e.conn == nil {
		return nil
	}
	return e.conn.Client
}

// Ping asks the cluster for a linearizable read, which a quorum answers. The error
// is engine.ErrUnavailable, or engine.ErrDenied if the cluster refuses the
// credentials, and names the address.
func (e *Engine) Ping(ctx context.Context) error {
	c, err := e.Conn()
	if err == nil {
		err = c.Ping(ctx)
	}
	return fault.Wrap("engine/etcd", "ping", "", err)
}

// Close closes the connection, but not a client that was given. It may be called
// again.
func (e *Engine) Close() error {
	if e.conn == nil {
		return nil
	}
	return fault.Wrap("engine/etcd", "close", "", e.conn.Close())
}

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*etcd.Conn, error) {
	switch {
	case e == nil:
		return nil, fault.Markf(fault.Invalid, "nil engine")
	case e.conn == nil:
		return nil, fault.Markf(fault.Invalid, "nil client")
	}
	return e.conn.Shared(), nil
}

// Option configures Open.
type Option func(*etcd.Config) error

// WithAuth gives user and password, over those in the address.
func WithAuth(user, password string) Option {
	return func(c *etcd.Config) error { return conn.SetAuth(&c.User, &c.Password, user, password) }
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *etcd.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithClientOptions has adjust change what the client is made of: its logger, keep
// alive, limits of messages.
func WithClientOptions(adjust func(*clientv3.Config)) Option {
	return func(c *etcd.Config) error { return conn.Add(&c.Adjust, "function", adjust) }
}
