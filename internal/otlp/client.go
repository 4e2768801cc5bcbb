package otlp

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/post"
)

// Conn is a connection to one server, for all signals. It is safe for concurrent
// use.
type Conn struct {
	Options
	transport Transport
	shared    bool
}

// Transport brings requests to one server. It is safe for concurrent use.
type Transport interface {
	// Send sends an export request in protobuf. An error that is ErrUnavailable
	// says that it may be sent again, and outlet.RetryAfter when; others are final.
	Send(ctx context.Context, s Signal, request []byte) (Refused, error)
	// Close closes the connections that are the transport's own.
	Close() error
}

// Opener opens the transport to addr. It connects to nothing.
type Opener func(addr string, o *Options) (Transport, error)

// NewConn returns the connection to addr, over HTTP unless an option says otherwise.
func NewConn(addr string, opts []Option) (*Conn, error) {
	o, err := Apply(opts)
	if err != nil {
		return nil, err
	}
	open := overHTTP
	if o.Opener != nil {
		open = o.Opener
	}
	t, err := open(addr, &o)
	if err != nil {
		return nil, err
	}
	return &Conn{Options: o, transport: t}, nil
}

// Shared returns the connection for a backend that does not close it.
func (c *Conn) Shared() *Conn { return &Conn{c.Options, c.transport, true} }

// Close closes the connection unless it is shared.
func (c *Conn) Close() error {
	if c.shared {
		return nil
	}
	return c.transport.Close()
}

// Client sends the requests of one signal. It is safe for concurrent use.
type Client struct {
	*Conn
	signal Signal
}

// Client returns the client of a signal.
func (c *Conn) Client(s Signal) *Client { return &Client{c, s} }

// Refused is what a server took a request without.
type Refused struct {
	Items  int
	Reason string
}

// New opens a connection for one signal alone.
func New(addr string, s Signal, opts []Option) (*Client, error) {
	c, err := NewConn(addr, opts)
	if err != nil {
		return nil, err
	}
	return c.Client(s), nil
}

// Send is Transport.Send.
func (c *Client) Send(ctx context.Context, request []byte) (Refused, error) {
	return c.transport.Send(ctx, c.signal, request)
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
