package rabbitmq

import (
	"crypto/tls"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/rabbitmq"
	"github.com/micro/go-platform/internal/fault"
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

// WithVirtualHost selects a virtual host, over that of the address.
func WithVirtualHost(name string) Option {
	return func(c *rabbitmq.Config) error {
		if name == "" {
			return fault.Markf(fault.Invalid, "empty virtual host")
		}
		c.VHost = name
		return nil
	}
}

// WithDialTimeout bounds one attempt to connect to one host, with the handshakes of
// TLS and AMQP. The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(c *rabbitmq.Config) error { return fronts.Positive("dial timeout", d, &c.DialTimeout) }
}

// WithTimeout bounds the wait for one answer; a connection on which none comes is
// closed and made again. It does not bound the wait for the confirm of a message,
// which the caller's context does. The default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(c *rabbitmq.Config) error { return fronts.AtLeast("timeout", d, 100*time.Millisecond, &c.Timeout) }
}

// WithHeartbeat is the interval of heartbeats on shared connections: one on which
// nothing came for three of them is closed and made again. The default is 10 s.
func WithHeartbeat(d time.Duration) Option {
	return func(c *rabbitmq.Config) error { return fronts.AtLeast("heartbeat", d, time.Second, &c.Heartbeat) }
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
