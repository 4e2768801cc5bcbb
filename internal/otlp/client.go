package otlp

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/post"
)

// Client sends the requests of one signal to one server. Send may be called
// concurrently.
type Client struct {
	Options
	Transport
}

// Transport brings requests to one server.
type Transport interface {
	// Send sends an export request in protobuf. An error that is ErrUnavailable
	// says that it may be sent again, and outlet.RetryAfter when; others are final.
	Send(ctx context.Context, request []byte) (Refused, error)
	// Close closes the connections that are the transport's own.
	Close() error
}

// Opener opens the transport to addr. It connects to nothing.
type Opener func(addr string, s Signal, o *Options) (Transport, error)

// Refused is what a server took a request without.
type Refused struct {
	Items  int
	Reason string
}

// New returns a client for addr, over HTTP unless an option says otherwise.
func New(addr string, s Signal, opts []Option) (*Client, error) {
	o, err := Apply(opts)
	if err != nil {
		return nil, err
	}
	open := overHTTP
	if o.Opener != nil {
		open = o.Opener
	}
	t, err := open(addr, s, &o)
	if err != nil {
		return nil, err
	}
	return &Client{o, t}, nil
}

// Ping sends a request of nothing, which every receiver takes.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.Send(ctx, nil)
	return err
}

// Again is an error after which the request may be sent again, after a pause
// of at least After.
type Again struct {
	error
	After time.Duration
}

// Retry returns err, which the server answered, as an Again. The pause is at
// most that which a Retry-After can ask for.
func Retry(err error, after time.Duration) error { return &Again{err, min(after, post.Longest)} }

func (e *Again) Unwrap() error { return e.error }

// RetryAfter is how long the server asked to wait, or 0.
func (e *Again) RetryAfter() time.Duration { return e.After }
