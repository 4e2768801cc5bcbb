// Package nats is the one place where a connection to NATS is made: addresses,
// TLS, credentials, reconnecting, and what an error means.
package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says how to reach NATS. Either Address or Conn is set.
type Config struct {
	// Address is "host", "host:port", a URL with the scheme nats or tls, or
	// several of one cluster with commas between.
	Address string

	Username, Password string
	Token              string
	TLS                *tls.Config

	Options []nats.Option // of the client, over those that are set here

	Conn *nats.Conn // the user's own; Close leaves it open
}

// Conn is an engine as one backend has it: its own, or one that it shares.
type Conn struct {
	*nats.Conn
	addr  string
	owned bool
}

// place is where an address says that servers are, and who it says we are.
type place struct {
	urls, shown           []string
	user, password, token string
}

// read reads the address.
func (c Config) read() (p place, err error) {
	for part := range strings.SplitSeq(c.Address, ",") {
		a, err := conn.Parse(strings.TrimSpace(part), conn.Scheme{Name: "nats", Port: 4222}, conn.Scheme{Name: "tls", Port: 4222})
		if err != nil {
			return p, fault.Mark(fault.Invalid, err)
		}
		if a.Path != "" || len(a.Query) > 0 {
			return p, fault.Markf(fault.Invalid, "address %q has a path or parameters, want none", conn.Redact(part))
		}
		if a.HasUser && a.User == "" {
			return p, fault.Markf(fault.Invalid, "address %q: %w", conn.Redact(part), conn.CheckAuth(a.User, a.Password))
		}
		switch {
		case p.user != "" || p.token != "":
		case a.Password != "":
			p.user, p.password = a.User, a.Password
		default: // as NATS' own clients have it
			p.token = a.User
		}
		scheme := "nats://"
		if a.Scheme == "tls" {
			scheme = "tls://"
		}
		p.urls, p.shown = append(p.urls, scheme+a.HostPort()), append(p.shown, a.HostPort())
	}
	return p, nil
}

// Check returns an error if the address is malformed.
func (c Config) Check() error {
	_, err := c.read()
	return err
}

// dialTimeout bounds one attempt to connect to one server, so that another is
// tried while a call has time left.
const dialTimeout = 2 * time.Second

// Open connects, or begins to: a server that isn't there is asked again until
// Close. Only a bad configuration is an error.
func Open(c Config) (*Conn, error) {
	if c.Conn != nil {
		return &Conn{Conn: c.Conn, addr: "the connection given"}, nil
	}
	p, err := c.read()
	if err != nil {
		return nil, err
	}
	if c.Username != "" || c.Token != "" {
		p.user, p.password, p.token = c.Username, c.Password, c.Token
	}
	opts := []nats.Option{
		nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(100 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.Timeout(dialTimeout), nats.PingInterval(5 * time.Second), nats.MaxPingsOutstanding(2), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectBufSize(-1), // a publish while away fails at once, and is not applied later
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
	if p.user != "" {
		opts = append(opts, nats.UserInfo(p.user, p.password))
	}
	if p.token != "" {
		opts = append(opts, nats.Token(p.token))
	}
	if c.TLS != nil {
		opts = append(opts, nats.Secure(c.TLS))
	}
	nc, err := nats.Connect(strings.Join(p.urls, ","), append(opts, c.Options...)...)
	if err != nil {
		return nil, fault.Markf(fault.Unavailable, "connecting to %s: %w", strings.Join(p.shown, ","), err)
	}
	return &Conn{Conn: nc, addr: strings.Join(p.shown, ","), owned: true}, nil
}

// Shared returns the engine for a backend that does not close it.
func (c *Conn) Shared() *Conn { return &Conn{Conn: c.Conn, addr: c.addr} }

// JetStream connects, and returns the connection with its JetStream.
func JetStream(connect func() (*Conn, error)) (*Conn, jetstream.JetStream, error) {
	nc, err := connect()
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc.Conn)
	if err != nil {
		nc.Close()
		return nil, nil, err
	}
	return nc, js, nil
}

// SetReplicas sets how many servers of a cluster keep a stream.
func SetReplicas(to *int, n int) error {
	if n != 1 && n != 3 && n != 5 {
		return fault.Markf(fault.Invalid, "%d replicas, want 1, 3 or 5", n)
	}
	*to = n
	return nil
}

// refusals are what a server says to a user who may not, now or later.
var refusals = []error{nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired}

// refused returns why the server does not let this user in, or nil.
func (c *Conn) refused() error {
	last := c.LastError()
	if slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(last, r) }) {
		return last
	}
	return nil
}

// Ping asks the server for an answer, waiting until there is one or ctx ends. Its
// error names the address, and is Denied if the server refuses the user, else
// Unavailable.
func (c *Conn) Ping(ctx context.Context) error {
	for {
		if c.IsClosed() { // under who still uses it
			return fault.Markf(fault.Unavailable, "the connection to NATS was closed: %w", nats.ErrConnectionClosed)
		}
		if c.IsConnected() {
			if err := c.Sent(ctx); err != nil {
				return fault.Markf(fault.Unavailable, "no answer from %s: %w", c.addr, err)
			}
			return nil
		}
		if err := c.refused(); err != nil {
			return fault.Markf(fault.Denied, "%s refuses: %w", c.addr, err)
		}
		select {
		case <-ctx.Done():
			last := c.LastError()
			if last == nil {
				last = errors.New("not connected")
			}
			return fault.Markf(fault.Unavailable, "no answer from %s: %w: %w", c.addr, last, ctx.Err())
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// Sent waits until the server says that it has seen what was sent: 5 s if ctx has no
// deadline.
func (c *Conn) Sent(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		bounded, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		ctx = bounded
	}
	return c.FlushWithContext(ctx)
}

// Close closes the connection unless the user brought it.
func (c *Conn) Close() error {
	if c.owned {
		c.Conn.Close()
	}
	return nil
}

// ReadError gives the error of a request that changes nothing its kind.
func ReadError(err error) error { return kind(err, false) }

// WriteError gives the error of a request that changes something its kind:
// UnknownOutcome, unless the server answered or was not reached.
func WriteError(err error) error { return kind(err, true) }

// Conflict reports whether the server refused the condition of a write, which certainly
// did nothing then. Of a stream with replicas it says so with one code or the other.
func Conflict(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// messageTooLarge is the server's code for a message above a stream's
// max_msg_size.
const messageTooLarge jetstream.ErrorCode = 10054

func kind(err error, write bool) error {
	if err == nil || fault.KindOf(err) != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	api, ok := errors.AsType[jetstream.JetStreamError](err)
	if ok && api.APIError() != nil {
		switch {
		case api.APIError().ErrorCode == messageTooLarge:
			return fault.Mark(fault.TooLarge, err)
		case api.APIError().Code == 503:
			return fault.Mark(fault.Unavailable, err)
		}
		return err
	}
	switch {
	case errors.Is(err, nats.ErrMaxPayload): // the client refuses it, and sends nothing
		return fault.Mark(fault.TooLarge, err)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse), errors.Is(err, nats.ErrReconnectBufExceeded),
		errors.Is(err, nats.ErrNoServers), errors.Is(err, nats.ErrDisconnected) && !write:
		return fault.Mark(fault.Unavailable, err)
	case write:
		return fault.Mark(fault.UnknownOutcome, err)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return fault.Mark(fault.Unavailable, err)
}
