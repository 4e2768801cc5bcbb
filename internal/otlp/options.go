package otlp

import (
	"crypto/tls"
	"log/slog"
	"net/http"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
)

// Options are those of a backend.
type Options struct {
	Opener   Opener // nil for HTTP
	Given    bool   // Opener has a connection of the user's, and wants no address
	Path     string // over HTTP, in the place of the address's own and the signal's
	Base     bool   // over HTTP: the address's path is where those of all signals begin
	Client   *http.Client
	TLS      *tls.Config
	Header   http.Header
	Service  string
	Resource []slog.Attr
	JSON     bool
	Plain    bool // no gzip
	Max      int  // bytes of a request before gzip
	Delta    bool // metrics alone
}

// Option changes Options.
type Option func(*Options) error

// Apply returns the defaults as opts change them.
func Apply(opts []Option) (Options, error) {
	return conn.Apply(Options{Header: http.Header{}, Max: 4 << 20}, opts)
}

// WithClient uses c.
func WithClient(c *http.Client) Option {
	return func(o *Options) error {
		if c == nil {
			return fault.Markf(fault.Invalid, "nil client")
		}
		o.Client = c
		return nil
	}
}

// WithTLS connects with TLS.
func WithTLS(c *tls.Config) Option {
	return func(o *Options) error { return conn.SetTLS(&o.TLS, c) }
}

// WithHeader adds a header.
func WithHeader(key, value string) Option {
	return func(o *Options) error { return conn.AddHeader(&o.Header, key, value) }
}

// WithService names the process.
func WithService(name string) Option {
	return func(o *Options) error {
		if name == "" {
			return fault.Markf(fault.Invalid, "empty name of the service")
		}
		o.Service = name
		return nil
	}
}

// WithResource adds attributes of the process.
func WithResource(attrs ...slog.Attr) Option {
	return func(o *Options) error {
		for _, a := range attrs {
			if a.Key == "" {
				return fault.Markf(fault.Invalid, "a resource attribute without a key")
			}
		}
		o.Resource = append(o.Resource[:len(o.Resource):len(o.Resource)], attrs...)
		return nil
	}
}

// WithJSON writes JSON.
func WithJSON() Option { return func(o *Options) error { o.JSON = true; return nil } }

// WithoutGzip sends requests as they are.
func WithoutGzip() Option { return func(o *Options) error { o.Plain = true; return nil } }

// MinRequest is the least that WithMaxRequest takes.
const MinRequest = 1 << 10

// WithMaxRequest bounds a request.
func WithMaxRequest(bytes int) Option {
	return func(o *Options) error {
		if bytes < MinRequest {
			return fault.Markf(fault.Invalid, "WithMaxRequest(%d), want at least %d", bytes, MinRequest)
		}
		o.Max = bytes
		return nil
	}
}

// WithDelta sends differences.
func WithDelta() Option { return func(o *Options) error { o.Delta = true; return nil } }
