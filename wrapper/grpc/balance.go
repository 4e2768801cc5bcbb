package grpc

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	authgrpc "github.com/micro/go-platform/auth/grpc"
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

	mu       sync.Mutex
	conns    map[string]*conn // by address
	left     map[*conn]bool   // to instances that are gone, still in use
	shutting sync.WaitGroup   // of those that are being closed
	pruned   time.Time
	closed   bool
}

// conn is the connection to one instance.
type conn struct {
	cc     *grpc.ClientConn
	addr   string
	active int         // calls and streams on it
	timer  *time.Timer // of one that is being drained
}

var _ grpc.ClientConnInterface = (*Client)(nil)

// NewClient returns a Client for a service that w's router finds. It connects
// when it is used. dial must say which credentials to use. Certificates are
// checked against the service's name, unless dial has grpc.WithAuthority.
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
	o := newOptions(opts)
	if o.err != nil {
		return nil, o.err
	}
	c := &Client{
		w: w, r: r, service: service, o: o, dial: append([]grpc.DialOption{grpc.WithAuthority(service)}, dial...),
		conns: map[string]*conn{}, left: map[*conn]bool{}, pruned: time.Now(),
	}
	// What is wrong with the dial options shows now.
	probe, err := grpc.NewClient("passthrough:///"+service, c.dial...)
	if err != nil {
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new client", service, "%w", err)
	}
	return c, probe.Close()
}

// Invoke makes a unary call.
func (c *Client) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	var tried []string
	return unary(ctx, c.w, c.service, method, c.o, opts, func(ctx context.Context, t *wrapper.Attempt, opts []grpc.CallOption, shown *authgrpc.Shown) error {
		pick, cn, err := c.pick(ctx, t, method, tried)
		if err != nil {
			return err
		}
		defer c.release(cn)
		tried = append(tried, pick.Instance.ID)
		t.Connecting = ready(ctx, cn.cc)
		start := time.Now()
		var header, trailer metadata.MD
		var to peer.Peer
		opts = append(opts[:len(opts):len(opts)], grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&to))
		err = again(shown, opts, func(opts []grpc.CallOption) error { return cn.cc.Invoke(ctx, method, args, reply, opts...) })
		o := router.Outcome{Class: classOf(err, answered(header, trailer)), Latency: time.Since(start), Load: loadOf(trailer)}
		if o.Class == router.Connect && to.Addr == nil {
			o.Class, o.Latency = router.Unsent, 0
		}
		o.Class = c.w.Adapter().Blame(ctx, t.Call, o.Class, o.Latency)
		pick.Done(o)
		return err
	})
}

// NewStream opens a stream.
func (c *Client) NewStream(ctx context.Context, desc *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return stream(ctx, c.w, c.service, method, c.o, desc, opts, func(ctx context.Context, t *wrapper.Attempt, opts ...grpc.CallOption) (grpc.ClientStream, done, error) {
		pick, cn, err := c.pick(ctx, t, method, nil)
		if err != nil {
			return nil, nil, err
		}
		t.Connecting = ready(ctx, cn.cc)
		start := time.Now()
		s, err := cn.cc.NewStream(ctx, desc, method, opts...)
		opened := time.Since(start)
		ended := func(e ending) {
			// How long a stream lives says nothing about its instance: what
			// counts is how long it took to open.
			class := c.w.Adapter().Blame(ctx, t.Call, classOf(e.err, e.answered), opened)
			pick.Done(router.Outcome{Class: class, Latency: opened, Load: loadOf(e.trailer)})
			c.release(cn)
		}
		if err != nil {
			ended(ending{err: err})
		}
		return s, ended, err
	})
}

// ready waits until a connection is made, or can't be, and returns how long
// that took: it is not part of the instance's latency.
func ready(ctx context.Context, cc *grpc.ClientConn) time.Duration {
	state := cc.GetState()
	if state == connectivity.Ready {
		return 0
	}
	start := time.Now()
	for state == connectivity.Idle || state == connectivity.Connecting {
		if state == connectivity.Idle {
			cc.Connect()
		}
		if !cc.WaitForStateChange(ctx, state) {
			break
		}
		state = cc.GetState()
	}
	return time.Since(start)
}

// pick asks the router and returns the connection to what it picked, which has
// to be released.
func (c *Client) pick(ctx context.Context, t *wrapper.Attempt, method string, tried []string) (router.Pick, *conn, error) {
	pick, err := c.r.Pick(ctx, c.service, c.w.Adapter().SelectOptions(ctx, method, tried, nil)...)
	if err != nil {
		return pick, nil, unavailable{err}
	}
	cn, err := c.conn(pick.Instance.Address)
	if err != nil {
		pick.Done(router.Outcome{Class: router.Cancelled})
		return pick, nil, err
	}
	t.Instance, t.Call.Instance, t.Call.Variant = pick.Instance, pick.Instance, pick.Variant
	return pick, cn, nil
}

// How often instances that are gone are looked for: when a connection is made,
// and on any other call.
const (
	pruneOnNew = time.Second
	pruneOnUse = 10 * time.Second
)

// conn returns the connection to an address, which may be a new one.
func (c *Client) conn(addr string) (*conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, fault.Wrap("wrapper/grpc", "call", c.service, fault.Closed)
	}
	cn := c.conns[addr]
	if cn != nil {
		cn.active++
		c.prune(pruneOnUse)
		return cn, nil
	}
	c.prune(pruneOnNew)
	cc, err := grpc.NewClient("passthrough:///"+addr, c.dial...)
	if err != nil {
		return nil, err
	}
	cn = &conn{cc: cc, addr: addr, active: 1}
	c.conns[addr] = cn
	return cn, nil
}

// release ends a call or stream on a connection.
func (c *Client) release(cn *conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cn.active--
	if cn.active == 0 && c.left[cn] {
		c.shut(cn)
	}
}

// prune drains what leads to instances that are gone, if that was last done so
// long ago.
func (c *Client) prune(every time.Duration) {
	if time.Since(c.pruned) < every {
		return
	}
	c.pruned = time.Now()
	known := map[string]bool{}
	for _, s := range c.r.Stats(c.service) {
		known[s.Address] = true
	}
	for addr, cn := range c.conns {
		if known[addr] {
			continue
		}
		delete(c.conns, addr)
		c.left[cn] = true
		if cn.active == 0 {
			c.shut(cn)
			continue
		}
		cn.timer = time.AfterFunc(c.o.drain, func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.shut(cn)
		})
	}
}

// shut closes a connection that was drained, with the lock held.
func (c *Client) shut(cn *conn) {
	if cn.timer != nil {
		cn.timer.Stop()
	}
	if c.left[cn] {
		delete(c.left, cn)
		c.shutting.Go(func() { cn.cc.Close() }) // it ends streams, whose ends come back here
	}
}

// Close closes the connections. Calls in progress fail.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	all := slices.Collect(maps.Values(c.conns))
	for cn := range c.left {
		if cn.timer != nil {
			cn.timer.Stop()
		}
		all = append(all, cn)
	}
	clear(c.conns)
	clear(c.left)
	c.mu.Unlock()
	var errs []error
	for _, cn := range all {
		errs = append(errs, cn.cc.Close())
	}
	c.shutting.Wait()
	return errors.Join(errs...)
}
