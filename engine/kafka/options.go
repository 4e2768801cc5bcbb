package kafka

import (
	"crypto/tls"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/kafka"
	"github.com/micro/go-platform/internal/fault"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Option configures Open.
type Option func(*kafka.Config) error

// WithAuth gives name and password by SASL PLAIN, over those in the address. PLAIN
// sends them as they are: use TLS.
func WithAuth(username, password string) Option { return auth(kafka.Plain, username, password) }

// WithSCRAM256 gives name and password by SASL SCRAM-SHA-256, over those in the
// address.
func WithSCRAM256(username, password string) Option { return auth(kafka.Scram256, username, password) }

// WithSCRAM512 gives name and password by SASL SCRAM-SHA-512, over those in the
// address.
func WithSCRAM512(username, password string) Option { return auth(kafka.Scram512, username, password) }

func auth(mechanism, username, password string) Option {
	return func(c *kafka.Config) error {
		c.Mechanism = mechanism
		return conn.SetAuth(&c.Username, &c.Password, username, password)
	}
}

// WithTLS encrypts, whatever the address says.
func WithTLS(t *tls.Config) Option {
	return func(c *kafka.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithTimeout bounds the wait for one answer, beyond what the broker was asked to
// wait itself. The default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(c *kafka.Config) error {
		if d < 100*time.Millisecond {
			return fault.Markf(fault.Invalid, "timeout %v, want 100 ms or more", d)
		}
		c.Timeout = d
		return nil
	}
}

// WithClientOptions adds options of franz-go to all clients of the engine: the
// client's id, a rack, compression, hooks, other mechanisms of SASL. What a
// backend's guarantees stand on stays as it is.
func WithClientOptions(opts ...kgo.Opt) Option {
	return func(c *kafka.Config) error { return conn.Add(&c.Options, "client option", opts...) }
}
