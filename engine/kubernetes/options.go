package kubernetes

import (
	"crypto/tls"
	"time"

	"github.com/micro/go-platform/internal/conn"
	inner "github.com/micro/go-platform/internal/conn/kubernetes"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures Open and FromClient.
type Option func(*inner.Config) error

// WithNamespace sets the namespace that is meant where none is named.
func WithNamespace(name string) Option {
	return func(c *inner.Config) error { c.Namespace = name; return inner.ValidNamespace(name) }
}

// WithToken sends a bearer token, in place of other credentials.
func WithToken(token string) Option {
	return func(c *inner.Config) error { return conn.SetSecret(&c.Token, token) }
}

// WithTokenFile sends the bearer token in a file, which is read again every
// minute, and when it is refused.
func WithTokenFile(path string) Option {
	return func(c *inner.Config) error {
		if path == "" {
			return fault.Markf(fault.Invalid, "empty path of a token")
		}
		c.TokenFile = path
		return nil
	}
}

// WithTLS sets whom to trust and the client's certificate, in place of what the
// address says.
func WithTLS(t *tls.Config) Option {
	return func(c *inner.Config) error { return conn.SetTLS(&c.TLS, t) }
}

// WithTimeout bounds a request whose context has no deadline. Watches have none.
// The default is 30 s.
func WithTimeout(d time.Duration) Option {
	return func(c *inner.Config) error { return fronts.Positive("timeout", d, &c.Timeout) }
}

// WithRateLimit bounds the requests of this engine, so that a mistake in the
// program does not become an attack on the cluster: rate a second, and burst
// above it after a pause. A request beyond waits; one whose context ends before
// its turn is not sent and fails as unavailable. The default is 50 and 100. A
// watch is one request.
func WithRateLimit(rate float64, burst int) Option {
	return func(c *inner.Config) error {
		if !(rate > 0 && rate <= 1e6) || burst < 1 {
			return fault.Markf(fault.Invalid, "rate limit of %v a second and a burst of %d: want at least one", rate, burst)
		}
		c.Rate, c.Burst = rate, burst
		return nil
	}
}
