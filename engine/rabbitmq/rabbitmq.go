package rabbitmq

import (
	"context"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
)

// Engine is a connection to RabbitMQ that backends share. It is safe for concurrent
// use.
type Engine struct{ conn *rabbitmq.Conn }

// Open describes the RabbitMQ at addr; the package comment has the forms of an
// address. It connects to nothing: Ping does, and New of the packages. The error
// is engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	c, err := conn.Open("engine/rabbitmq", rabbitmq.Open, rabbitmq.Config{Address: addr}, opts)
	if err != nil {
		return nil, err
	}
	return &Engine{c}, nil
}

// Ping asks the server for a sign of life. The error is engine.ErrUnavailable, or
// engine.ErrDenied if the server refuses the credentials, and names the address.
func (e *Engine) Ping(ctx context.Context) error {
	c, err := e.Conn()
	if err == nil {
		err = c.Ping(ctx)
	}
	return fault.Wrap("engine/rabbitmq", "ping", "", err)
}

// Close closes the connections. It may be called again.
func (e *Engine) Close() error { return fault.Wrap("engine/rabbitmq", "close", "", e.conn.Close()) }

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*rabbitmq.Conn, error) {
	if e == nil {
		return nil, fault.Markf(fault.Invalid, "nil engine")
	}
	return e.conn.Shared(), nil
}
