package kafka

import (
	"context"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Engine is a connection to a Kafka cluster that backends share. It is safe for
// concurrent use.
type Engine struct{ conn *kafka.Conn }

// Open describes the cluster that the brokers at addr belong to; the package
// comment has the forms of an address. It connects to nothing: Ping does, and New
// of the packages. The error is engine.ErrInvalid.
func Open(addr string, opts ...Option) (*Engine, error) {
	c, err := conn.Open("engine/kafka", kafka.Open, kafka.Config{Address: addr}, opts)
	if err != nil {
		return nil, err
	}
	return &Engine{c}, nil
}

// FromClient is the engine of a client of your own, which Close leaves open. It is
// used to ask; producers and members of groups are clients beside it with the
// same brokers, dialer, SASL, id, hooks and logger. A nil client is an error of
// what is opened on the engine.
func FromClient(client *kgo.Client) *Engine {
	c, _ := kafka.Open(kafka.Config{Client: client}) // none without a client
	return &Engine{c}
}

// Client returns the franz-go client, for requests of your own. It is closed with
// the engine.
func (e *Engine) Client() *kgo.Client {
	if e.conn == nil {
		return nil
	}
	return e.conn.Client
}

// Ping asks a broker for a sign of life. The error is engine.ErrUnavailable, or
// engine.ErrDenied if the broker refuses the credentials, and names the address.
func (e *Engine) Ping(ctx context.Context) error {
	c, err := e.Conn()
	if err == nil {
		err = c.Ping(ctx)
	}
	return fault.Wrap("engine/kafka", "ping", "", err)
}

// Close closes the connections, but not a client that was given. It may be called
// again.
func (e *Engine) Close() error {
	if e.conn == nil {
		return nil
	}
	return fault.Wrap("engine/kafka", "close", "", e.conn.Close())
}

// Conn is how the backends of this module reach the connection.
func (e *Engine) Conn() (*kafka.Conn, error) {
	switch {
	case e == nil:
		return nil, fault.Markf(fault.Invalid, "nil engine")
	case e.conn == nil:
		return nil, fault.Markf(fault.Invalid, "nil client")
	}
	return e.conn.Shared(), nil
}
