package grpc

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// Client is a connection to a service, whichever instances it has: a
// grpc.ClientConnInterface for generated clients. It is safe for concurrent use.
type Client struct {
	w       *wrapper.Wrapper
	r       router.Router
	service string
	o       options
	dial    []grpc.DialOption

	mu     sync.Mutex
	conns  map[string]*grpc.ClientConn // by address
	pruned time.Time
	closed bool
}

var _ grpc.ClientConnInterface = (*Client)(nil)

// NewClient returns a Client for a service that w's router finds. It connects
// when it is used. dial must say which credentials to use.
func NewClient(w *wrapper.Wrapper, service string, dial ...grpc.DialOption) (*Client, error) {
	return NewClientWith(w, service, nil, dial...)
}

// NewClientWith is NewClient with options of this package.
func NewClientWith(w *wrapper.Wrapper, service string, opts []Option, dial ...grpc.DialOption) (*Client, error) {
	if w == nil || service == "" {
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new client", service, "no wrapper or no service name")
	}
	r := w.Adapter().Router()
	if r == nil {
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new client", service, "the wrapper has no router")
	}
	c := &Client{w: w, r: r, service: service, o: newOptions(opts), dial: dial, conns: map[string]*grpc.ClientConn{}, pruned: time.Now()}
	// What is wrong with the dial options shows now.
	probe, err := grpc.NewClient("passthrough:///"+service, dial...)
	if err != nil {
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new client", service, "%w", err)
	}
	return c, probe.Close()
}

// Invoke makes a unary call.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var tried []string
	return unary(ctx, c.w, c.service, method, c.o, opts, func(ctx context.Context, t *wrapper.Attempt, opts []grpc.CallOption) error {
		pick, cc, err := c.pick(ctx, t, method, tried)
		if err != nil {
			return err
		}
		tried = append(tried, pick.Instance.ID)
		start := time.Now()
		var trailer metadata.MD
		err = cc.Invoke(ctx, method, args, reply, append(opts, grpc.Trailer(&trailer))...)
		pick.Done(router.Outcome{Class: classOf(err), Latency: time.Since(start), Load: loadOf(trailer)})
		return err
	})
}

// NewStream opens a stream.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(ctx, c.w, c.service, method, desc, func(ctx context.Context, t *wrapper.Attempt, finish grpc.CallOption) (grpc.ClientStream, done, error) {
		pick, cc, err := c.pick(ctx, t, method, nil)
		if err != nil {
			return nil, nil, err
		}
		start := time.Now()
		s, err := cc.NewStream(ctx, desc, method, append(opts[:len(opts):len(opts)], finish)...)
		opened := time.Since(start)
		ended := func(err error, trailer metadata.MD) {
			// How long a stream lives says nothing about its instance: what
			// counts is how long it took to open.
			pick.Done(router.Outcome{Class: classOf(err), Latency: opened, Load: loadOf(trailer)})
		}
		if err != nil {
			ended(err, nil)
		}
		return s, ended, err
	})
}

// pick asks the router and returns the connection to what it picked.
func (c *Client) pick(ctx context.Context, t *wrapper.Attempt, method string, tried []string) (router.Pick, *grpc.ClientConn, error) {
	pick, err := c.r.Pick(ctx, c.service, c.w.Adapter().SelectOptions(ctx, method, tried, nil)...)
	if err != nil {
		return pick, nil, unavailable{err}
	}
	cc, err := c.conn(pick.Instance.Address)
	if err != nil {
		pick.Done(router.Outcome{Class: router.Cancelled})
		return pick, nil, err
	}
	t.Instance, t.Call.Instance, t.Call.Variant = pick.Instance, pick.Instance, pick.Variant
	return pick, cc, nil
}

// conn returns the connection to an address, which may be a new one.
func (c *Client) conn(addr string) (*grpc.ClientConn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fault.Wrap("wrapper/grpc", "call", c.service, fault.Closed)
	}
	if cc := c.conns[addr]; cc != nil {
		return cc, nil
	}
	c.prune()
	cc, err := grpc.NewClient("passthrough:///"+addr, c.dial...)
	if err != nil {
		return nil, err
	}
	c.conns[addr] = cc
	return cc, nil
}

// prune closes, at most once a minute, what leads to instances that are gone.
func (c *Client) prune() {
	if time.Since(c.pruned) < time.Minute {
		return
	}
	c.pruned = time.Now()
	known := map[string]bool{}
	for _, s := range c.r.Stats(c.service) {
		known[s.Address] = true
	}
	for addr, cc := range c.conns {
		if !known[addr] {
			delete(c.conns, addr)
			cc.Close()
		}
	}
}

// Close closes the connections. Calls in progress fail.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for addr, cc := range c.conns {
		errs = append(errs, cc.Close())
		delete(c.conns, addr)
	}
	return errors.Join(errs...)
}
