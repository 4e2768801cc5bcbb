package zipkin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/trace"
	"github.com/openzipkin/zipkin-go/model"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	client *http.Client
	tls    *tls.Config
	header http.Header
}

// WithClient uses c, which Close leaves as it is. It has TLS of its own: WithTLS
// beside it is an error.
func WithClient(c *http.Client) Option {
	return func(o *options) error {
		if c == nil {
			return fault.Markf(fault.Invalid, "nil client")
		}
		o.client = c
		return nil
	}
}

// WithTLS connects with TLS, also to an address without a scheme. With an
// address that says http it is an error.
func WithTLS(c *tls.Config) Option {
	return func(o *options) error { return conn.SetTLS(&o.tls, c) }
}

// WithHeader adds a header to every request, such as a token.
func WithHeader(key, value string) Option {
	return func(o *options) error { return conn.AddHeader(&o.header, key, value) }
}

// Backend reports to the server at addr: "host:port" or a URL.
func Backend(addr string, opts ...Option) trace.Option {
	return trace.WithDriver("zipkin", func(context.Context) (trace.Driver, error) {
		o := options{header: http.Header{}}
		if err := fronts.Apply(&o, opts); err != nil {
			return nil, err
		}
		c, err := newClient(addr, o)
		if err != nil {
			return nil, err
		}
		return &driver{c}, nil
	})
}

type driver struct{ client *client }

func (d *driver) Report(ctx context.Context, spans []trace.SpanData) (int, error) {
	models := make([]model.SpanModel, len(spans))
	for i := range spans {
		models[i] = toModel(&spans[i])
	}
	body, err := json.Marshal(models)
	if err != nil {
		return 0, fault.Mark(fault.Invalid, err)
	}
	if err := d.client.post(ctx, body); err != nil {
		return 0, err
	}
	return len(spans), nil
}

// Ping posts no spans, which every receiver takes.
func (d *driver) Ping(ctx context.Context) error {
	return d.client.post(ctx, []byte("[]"))
}

func (d *driver) Close() error { return d.client.server.Close() }
