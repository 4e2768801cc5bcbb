// Package etcd is the one place where a connection to etcd is made: addresses,
// TLS, credentials, keep-alives, and what an error of the client means. The
// etcd backends of all public packages share it.
package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/fault"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
	grpcbackoff "google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/status"
)

// Config says how to reach a cluster. Either Address or Client is set.
type Config struct {
	// Address is "host", "host:port", "a:2379,b:2379,c:2379", or a URL with
	// the scheme etcd or http (plain), etcds or https (TLS):
	// "etcds://user:password@a:2379,b:2379". The default port is 2379.
	Address string

	User, Password string      // override those of a URL
	TLS            *tls.Config // also with a plain address; nil: the scheme decides

	// Adjust changes what the client is made of.
	Adjust []func(*clientv3.Config)

	// Client is the user's own client. Close leaves it open, and the fields
	// above are not used.
	Client *clientv3.Client
}

// Conn is an engine as one backend has it: its own, or one that it shares. All
// methods of the client are usable.
type Conn struct {
	*clientv3.Client
	own      bool // to be closed
	address  string
	renewals *renewals
}

// schemes of an address; the first one's port is the default.
var schemes = []conn.Scheme{{Name: "etcd", Port: 2379}, {Name: "etcds", Port: 2379}, {Name: "http", Port: 2379}, {Name: "https", Port: 2379}}

// dialTimeout bounds one attempt to connect to one member, so that another is
// tried while a call has time left.
const dialTimeout = 2 * time.Second

// Open checks the configuration and builds a client. It needs no server:
// connecting begins in the background, and Ping tells how it went.
func Open(c Config) (*Conn, error) {
	if c.Client != nil {
		return &Conn{Client: c.Client, address: strings.Join(c.Client.Endpoints(), ","), renewals: newRenewals()}, nil
	}
	t, err := parse(c.Address)
	if err != nil {
		return nil, fault.Mark(fault.Invalid, err)
	}
	if c.User != "" {
		t.user, t.password = c.User, c.Password
	}
	if c.TLS != nil {
		t.tls = true
	}
	cfg := clientv3.Config{
		Endpoints: t.endpoints(),
		TLS:       c.TLS,
		// The default logger writes to the standard error and reads the
		// environment.
		Logger: zap.NewNop(),
		// Reads are tried again, but not for the 5 s that the client's own
		// default of 100 tries takes: a call fails fast while etcd is unavailable. One
		// try is for a refreshed credential.
		MaxUnaryRetries: 3,
		// A cut link is noticed after 13 s at the latest. The server refuses
		// pings more often than every 5 s, and any without a stream.
		DialKeepAliveTime:    10 * time.Second,
		DialKeepAliveTimeout: 3 * time.Second,
		// Only the lease client reads it here: its first keep-alive has
		// DialTimeout + 1 s.
		DialTimeout: dialTimeout,
		DialOptions: []grpc.DialOption{
			grpc.WithChainUnaryInterceptor(failFast),
			grpc.WithConnectParams(grpc.ConnectParams{
				// gRPC's default grows to two minutes, for which a server that
				// is back would not be seen.
				Backoff:           grpcbackoff.Config{BaseDelay: 50 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
				MinConnectTimeout: dialTimeout,
			}),
		},
	}
	if t.tls && cfg.TLS == nil {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if t.user != "" {
		// With a user name New asks the server for a token and fails without
		// one. A placeholder token defers that to the first call, which is
		// refused and then refreshes it.
		cfg.Token = "-"
	}
	for _, adjust := range c.Adjust {
		adjust(&cfg)
	}
	client, err := clientv3.New(cfg)
	if err != nil {
		return nil, fault.Markf(fault.Invalid, "address %q: %w", conn.Redact(c.Address), err)
	}
	if t.user != "" {
		client.Token, client.Username, client.Password = "", t.user, t.password
	}
	return &Conn{Client: client, own: true, address: strings.Join(t.hosts, ","), renewals: newRenewals()}, nil
}

// Shared returns the engine for a backend that does not close it.
func (c *Conn) Shared() *Conn {
	return &Conn{Client: c.Client, address: c.address, renewals: newRenewals()}
}

// failFast makes a call fail when no member can be reached, instead of waiting
// for one until its context ends, which is what the client asks gRPC for.
// Streams still wait: watches and keep-alives are to last.
func failFast(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
	closed := cc.GetState() == connectivity.Shutdown
	err := invoke(ctx, method, req, reply, cc, append(opts, grpc.WaitForReady(false))...)
	if !closed && err != nil && strings.Contains(err.Error(), closing) {
		// gRPC says the same of a call that came too late and of one whose answer
		// was still awaited.
		return status.Error(codes.Unavailable, "the connection was closed during the call")
	}
	if c := status.Code(err); (c == codes.Canceled || c == codes.DeadlineExceeded) && ctx.Err() == nil {
		// The server gave up, not the caller. The client would repeat that, also
		// a write that may have been applied.
		err = status.Error(codes.Unavailable, status.Convert(err).Message())
	}
	return err
}

// Address returns the members' "host:port", separated by commas, without
// credentials.
func (c *Conn) Address() string { return c.address }

// Ping asks the cluster for a linearizable read: nil says that a quorum
// answers. The error carries a kind and the address.
func (c *Conn) Ping(ctx context.Context) error {
	// A key that cannot be one of ours. Refusal of the right to read it is an
	// answer of a quorum too.
	_, err := c.Get(ctx, "\x00", clientv3.WithCountOnly())
	if err == nil || errors.Is(err, rpctypes.ErrPermissionDenied) {
		return nil
	}
	err = Fault(err, false)
	if errors.Is(err, fault.Denied) {
		return fault.Markf(fault.Denied, "%s refuses: %w", c.address, cause(err))
	}
	return fault.Markf(fault.Unavailable, "%s: %w", c.address, cause(err))
}

// cause drops the kind that Fault gave, for a sentence that names it once.
func cause(err error) error {
	if m, ok := err.(interface{ Unwrap() []error }); ok {
		if u := m.Unwrap(); len(u) == 2 {
			return u[1]
		}
	}
	return err
}

// Close closes a client that Open made and leaves a shared one, and a user's own,
// open. It is called after all other calls of its backend have returned.
func (c *Conn) Close() error {
	c.renewals.end()
	if !c.own {
		return nil
	}
	if err := c.Client.Close(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// target is a parsed address.
type target struct {
	hosts          []string
	user, password string
	tls            bool
}

func (t target) endpoints() []string {
	scheme := "http://"
	if t.tls {
		scheme = "https://"
	}
	out := make([]string, len(t.hosts))
	for i, h := range t.hosts {
		out[i] = scheme + h
	}
	return out
}

func parse(addr string) (target, error) {
	var t target
	for host := range conn.Hosts(addr) {
		a, err := conn.Parse(host, schemes...)
		if err != nil {
			return target{}, err
		}
		if strings.Trim(a.Path, "/") != "" || len(a.Query) > 0 {
			return target{}, fmt.Errorf("address %q has a path or parameters, want only hosts", conn.Redact(addr))
		}
		err = a.CheckAuth()
		if err != nil {
			return target{}, fmt.Errorf("address %q: %w", conn.Redact(addr), err)
		}
		t.hosts = append(t.hosts, a.HostPort())
		t.user, t.password = a.User, a.Password
		t.tls = a.Scheme == "https" || a.Scheme == "etcds"
	}
	return t, nil
}
