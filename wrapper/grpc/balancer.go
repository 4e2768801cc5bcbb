package grpc

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/resolver"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// RegisterBalancer makes w's router a balancer of gRPC's, for connections that
// are dialled with Balanced(name). gRPC's registry is one for the whole process
// and not safe for concurrent use, so it is for the beginning of main: once for
// a name, before any connection is made. A name that is taken is ErrInvalid, as
// is a wrapper without a router.
func RegisterBalancer(name string, w *wrapper.Wrapper) error {
	switch {
	case name == "" || w == nil:
		return fault.New(wrapper.ErrInvalid, "wrapper/grpc", "register balancer", name, "no name or no wrapper")
	case w.Adapter().Router() == nil:
		return fault.New(wrapper.ErrInvalid, "wrapper/grpc", "register balancer", name, "the wrapper has no router")
	case balancer.Get(name) != nil:
		return fault.New(wrapper.ErrInvalid, "wrapper/grpc", "register balancer", name, "the name is taken")
	}
	balancer.Register(builder{name, w.Adapter()})
	return nil
}

// scheme is that of targets which Balanced resolves, as in "router:///greeter".
const scheme = "router"

// Balanced are the dial options of connections that the balancer called name
// serves, to targets such as "router:///greeter". They put nothing else around
// calls: DialOptions does, beside them.
func Balanced(name string) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithResolvers(names{}),
		grpc.WithDisableServiceConfig(),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"` + name + `":{}}]}`),
		grpc.WithChainStreamInterceptor(markStream),
	}
}

// NewConn returns a connection to a service for code that wants a
// *grpc.ClientConn: the balancer that RegisterBalancer registered chooses the
// instance of each call, and w is around it. Its user closes it. dial must say
// which credentials to use; certificates are checked against the service's name,
// unless dial has grpc.WithAuthority.
func NewConn(w *wrapper.Wrapper, balancerName, service string, opts []Option, dial ...grpc.DialOption) (*grpc.ClientConn, error) {
	switch {
	case w == nil || service == "":
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new connection", service, "no wrapper or no service name")
	case balancer.Get(balancerName) == nil:
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new connection", service, "balancer %q is not registered: use RegisterBalancer", balancerName)
	}
	if o := newOptions(opts); o.err != nil {
		return nil, o.err
	}
	all := slices.Concat(Balanced(balancerName), DialOptions(w, opts...), []grpc.DialOption{grpc.WithAuthority(service)}, dial)
	cc, err := grpc.NewClient(scheme+":///"+service, all...)
	if err != nil {
		return nil, fault.New(wrapper.ErrInvalid, "wrapper/grpc", "new connection", service, "%w", err)
	}
	return cc, nil
}

// names resolves nothing: the router knows the instances.
type names struct{}

func (names) Scheme() string { return scheme }

func (names) Build(_ resolver.Target, cc resolver.ClientConn, _ resolver.BuildOptions) (resolver.Resolver, error) {
	return names{}, cc.UpdateState(resolver.State{})
}

func (names) ResolveNow(resolver.ResolveNowOptions) {}
func (names) Close()                                {}

// routing is what the picker and the interceptors tell each other about one
// attempt.
type routing struct {
	call   *wrapper.Call // nil without DialOptions
	tried  []string
	stream bool
	opened atomic.Int64 // how long the stream took to open, ns

	mu   sync.Mutex
	pick router.Pick // the newest
}

type routingKey struct{}

// markStream lets the picker know a stream from a call.
func markStream(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, open grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	r, ok := ctx.Value(routingKey{}).(*routing)
	if !ok {
		r = &routing{}
		ctx = context.WithValue(ctx, routingKey{}, r)
	}
	r.stream = true
	start := time.Now()
	s, err := open(ctx, desc, cc, method, opts...)
	r.opened.Store(int64(time.Since(start)))
	return s, err
}

// chosen notes what the picker chose in the records of the call.
func (r *routing) chosen(t *wrapper.Attempt) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if in := r.pick.Instance; in != nil {
		t.Instance, t.Call.Instance, t.Call.Variant = in, in, r.pick.Variant
	}
}

type builder struct {
	name string
	a    wrapper.Adapter
}

func (b builder) Name() string { return b.name }

func (b builder) Build(cc balancer.ClientConn, o balancer.BuildOptions) balancer.Balancer {
	bal := &routed{cc: cc, a: b.a, r: b.a.Router(), service: o.Target.Endpoint(), subs: map[string]*sub{}, pruned: time.Now()}
	bal.publish()
	return bal
}

// routed balances one connection. It makes a connection below it to an
// instance when the router picks it for the first time.
type routed struct {
	cc      balancer.ClientConn
	a       wrapper.Adapter
	r       router.Router
	service string

	mu     sync.Mutex
	subs   map[string]*sub // by address
	ready  int
	pruned time.Time
	closed bool
}

// sub is the connection to one address.
type sub struct {
	sc    balancer.SubConn
	state connectivity.State
	err   error
}

func (b *routed) UpdateClientConnState(balancer.ClientConnState) error { return nil }
func (b *routed) ResolverError(error)                                  {}
func (b *routed) UpdateSubConnState(balancer.SubConn, balancer.SubConnState) {
}

// ExitIdle connects to one instance.
func (b *routed) ExitIdle() {
	go func() { // the router may wait for discovery
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = fault.Guard(func() error { // nor need it be ours
			pick, err := b.r.Pick(ctx, b.service)
			if err == nil {
				pick.Done(router.Outcome{Class: router.Cancelled})
				b.state(pick.Instance.Address)
			}
			return err
		})
	}()
}

func (b *routed) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	for _, s := range b.subs {
		s.sc.Shutdown()
	}
	clear(b.subs)
}

// state returns the connection to an address, which it begins to make if need
// be, and how it is.
func (b *routed) state(addr string) (balancer.SubConn, connectivity.State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.subs[addr]
	if s == nil {
		if b.closed {
			return nil, connectivity.Shutdown, nil
		}
		b.prune()
		s = &sub{state: connectivity.Idle}
		//lint:ignore SA1019 it is not replaced by anything: gRPC warns that one address will be the most, which is what it gets
		sc, err := b.cc.NewSubConn([]resolver.Address{{Addr: addr}}, balancer.NewSubConnOptions{
			StateListener: func(st balancer.SubConnState) { b.changed(addr, s, st) },
		})
		if err != nil {
			return nil, connectivity.TransientFailure, err
		}
		s.sc = sc
		b.subs[addr] = s
	}
	if s.state == connectivity.Idle {
		s.state = connectivity.Connecting
		s.sc.Connect()
	}
	return s.sc, s.state, s.err
}

// prune closes, at most once a minute, what leads to instances that are gone.
func (b *routed) prune() {
	if time.Since(b.pruned) < time.Minute {
		return
	}
	b.pruned = time.Now()
	known := map[string]bool{}
	for _, s := range b.r.Stats(b.service) {
		known[s.Address] = true
	}
	for addr, s := range b.subs {
		if !known[addr] {
			delete(b.subs, addr)
			s.sc.Shutdown() // calls in progress end first
		}
	}
}

func (b *routed) changed(addr string, s *sub, st balancer.SubConnState) {
	b.mu.Lock()
	if s.state == connectivity.Ready {
		b.ready--
	}
	s.state = st.ConnectivityState
	switch s.state {
	case connectivity.Ready:
		b.ready++
		s.err = nil
	case connectivity.TransientFailure:
		s.err = st.ConnectionError
	case connectivity.Shutdown:
		if b.subs[addr] == s {
			delete(b.subs, addr)
		}
	}
	closed := b.closed
	b.mu.Unlock()
	if !closed {
		b.publish()
	}
}

// publish makes calls that wait pick again.
func (b *routed) publish() {
	b.mu.Lock()
	state := connectivity.Idle
	failing := 0
	for _, s := range b.subs {
		switch s.state {
		case connectivity.Connecting:
			state = connectivity.Connecting
		case connectivity.TransientFailure:
			failing++
		}
	}
	switch {
	case b.ready > 0:
		state = connectivity.Ready
	case failing > 0 && failing == len(b.subs):
		state = connectivity.TransientFailure
	}
	b.mu.Unlock()
	b.cc.UpdateState(balancer.State{ConnectivityState: state, Picker: &picker{b}})
}
