package otlp

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"strconv"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/internal/post"
)

// Option configures Backend.
type Option func(*options) error

type options struct {
	client   *http.Client
	tls      *tls.Config
	header   http.Header
	resource []slog.Attr
}

// WithClient uses c, which Close leaves as it is.
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
	return func(o *options) error { o.header.Add(key, value); return nil }
}

// WithResource adds attributes of the process, such as deployment.environment.
func WithResource(attrs ...slog.Attr) Option {
	return func(o *options) error { o.resource = append(o.resource, attrs...); return nil }
}

// Backend reports to the server at addr: "host:port" or a URL.
func Backend(addr string, opts ...Option) trace.Option {
	return trace.WithDriver("otlp", func(context.Context) (trace.Driver, error) {
		o := options{header: http.Header{}}
		for _, opt := range opts {
			if opt == nil {
				return nil, fault.Markf(fault.Invalid, "nil option")
			}
			if err := opt(&o); err != nil {
				return nil, err
			}
		}
		c, err := post.New(addr, 4318, "/v1/traces", o.client, o.tls)
		if err != nil {
			return nil, err
		}
		c.Header = o.header
		c.Again = func(status int) bool {
			switch status {
			case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
				return true
			}
			return false
		}
		return &driver{server: c, resource: toAttributes(o.resource)}, nil
	})
}

type driver struct {
	server   *post.Client
	resource []attribute
}

func (d *driver) Report(ctx context.Context, spans []trace.SpanData) (int, error) {
	body, err := json.Marshal(d.request(spans))
	if err != nil {
		return 0, fault.Mark(fault.Invalid, err)
	}
	answer, err := d.server.Post(ctx, body)
	if err != nil {
		return 0, err
	}
	var a struct {
		PartialSuccess struct {
			RejectedSpans json.Number `json:"rejectedSpans"` // a number or a string
		} `json:"partialSuccess"`
	}
	_ = json.Unmarshal(answer, &a) // an empty answer is a success
	rejected, _ := strconv.Atoi(a.PartialSuccess.RejectedSpans.String())
	return len(spans) - min(max(rejected, 0), len(spans)), nil
}

// Ping posts no spans, which every receiver takes.
func (d *driver) Ping(ctx context.Context) error {
	_, err := d.server.Post(ctx, []byte(`{"resourceSpans":[]}`))
	return err
}

func (d *driver) Close() error { return d.server.Close() }
