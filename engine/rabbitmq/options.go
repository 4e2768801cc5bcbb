package rabbitmq

import (
	"crypto/tls"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fronts"
	amqp "github.com/rabbitmq/amqp091-go"
)

// Option configures Open.
type Option func(*rabbitmq.Config) error

// WithAuth gives name and password by SASL PLAIN, over those in the address.
func WithAuth(username, password string) Option {
	return func(c *rabbitmq.Config) error {
		return conn.SetAuth(&c.Username, &c.Password, username, password)
	}
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *rabbitmq.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithTimeout bounds the wait for one answer; a connection on which none comes is
// closed and made again. It does not bound the wait for the confirm of a message,
// which the caller's context does. The default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(c *rabbitmq.Config) error { return fronts.AtLeast("timeout", d, 100*time.Millisecond, &c.Timeout) }
}

// WithMaxMessageSize is how many bytes the body of a message may have, above which it
// is refused and not sent. It should be max_message_size of the server, which closes
// the channel otherwise. The default is 16 MiB, as in RabbitMQ 4.
func WithMaxMessageSize(n int) Option {
	return func(c *rabbitmq.Config) error { return fronts.AtLeast("bytes of a message", n, 1, &c.MaxMessage) }
}

// WithClientOptions has adjust change what each connection is made of: other SASL
// mechanisms, the connection's name and properties, its dialer. It is called for
// every connection.
func WithClientOptions(adjust func(*amqp.Config)) Option {
	return func(c *rabbitmq.Config) error { return conn.Add(&c.Adjust, "function", adjust) }
}
