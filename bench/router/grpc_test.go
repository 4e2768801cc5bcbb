package router

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc/attributes"
	"google.golang.org/grpc/balancer"
	_ "google.golang.org/grpc/balancer/leastrequest"
	_ "google.golang.org/grpc/balancer/roundrobin"
	_ "google.golang.org/grpc/balancer/weightedroundrobin"
	"google.golang.org/grpc/connectivity"
	estats "google.golang.org/grpc/experimental/stats"
	"google.golang.org/grpc/resolver"

	"encoding/json"

	_ "github.com/zeromicro/go-zero/zrpc" // registers p2c_ewma
)

// conn stands for grpc's connection: all of its subconnections get ready at once.
type conn struct {
	balancer.ClientConn
	mu     sync.Mutex
	todo   []func()
	picker balancer.Picker
	state  connectivity.State
}

func (c *conn) later(f func()) {
	c.mu.Lock()
	c.todo = append(c.todo, f)
	c.mu.Unlock()
}

// settle runs what the balancer has asked for until nothing is left.
func (c *conn) settle() {
	for {
		c.mu.Lock()
		if len(c.todo) == 0 {
			c.mu.Unlock()
			return
		}
		f := c.todo[0]
		c.todo = c.todo[1:]
		c.mu.Unlock()
		f()
	}
}

func (c *conn) NewSubConn(_ []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	return &subConn{c: c, listener: o.StateListener}, nil
}

func (c *conn) UpdateState(s balancer.State) {
	c.mu.Lock()
	c.picker, c.state = s.Picker, s.ConnectivityState
	c.mu.Unlock()
}

func (c *conn) ResolveNow(resolver.ResolveNowOptions)                {}
func (c *conn) Target() string                                       { return "greeter" }
func (c *conn) MetricsRecorder() estats.MetricsRecorder              { return none{} }
func (c *conn) UpdateAddresses(balancer.SubConn, []resolver.Address) {}
func (c *conn) RemoveSubConn(balancer.SubConn)                       {}

type none struct{ estats.MetricsRecorder }

func (none) RecordInt64Count(*estats.Int64CountHandle, int64, ...string)             {}
func (none) RecordFloat64Count(*estats.Float64CountHandle, float64, ...string)       {}
func (none) RecordInt64Histo(*estats.Int64HistoHandle, int64, ...string)             {}
func (none) RecordFloat64Histo(*estats.Float64HistoHandle, float64, ...string)       {}
func (none) RecordInt64Gauge(*estats.Int64GaugeHandle, int64, ...string)             {}
func (none) RecordInt64UpDownCount(*estats.Int64UpDownCountHandle, int64, ...string) {}

type subConn struct {
	balancer.SubConn
	c        *conn
	listener func(balancer.SubConnState)
}

func (s *subConn) Connect() {
	s.c.later(func() { s.listener(balancer.SubConnState{ConnectivityState: connectivity.Connecting}) })
	s.c.later(func() { s.listener(balancer.SubConnState{ConnectivityState: connectivity.Ready}) })
}
func (s *subConn) Shutdown()                          {}
func (s *subConn) UpdateAddresses([]resolver.Address) {}
func (s *subConn) RegisterHealthListener(f func(balancer.SubConnState)) {
	s.c.later(func() { f(balancer.SubConnState{ConnectivityState: connectivity.Ready}) })
}
func (s *subConn) GetOrBuildProducer(balancer.ProducerBuilder) (balancer.Producer, func()) {
	return nil, func() {}
}

// picker is that of a balancer of grpc on n instances that are ready.
func picker(b *testing.B, name, config string, n int) balancer.Picker {
	b.Helper()
	builder := balancer.Get(name)
	if builder == nil {
		b.Fatalf("no balancer %q", name)
	}
	c := &conn{}
	bal := builder.Build(c, balancer.BuildOptions{})
	b.Cleanup(bal.Close)
	state := resolver.State{Attributes: attributes.New("", "")}
	for i := range n {
		a := resolver.Address{Addr: fmt.Sprintf("10.0.0.1:%d", 1000+i)}
		state.Addresses = append(state.Addresses, a)
		state.Endpoints = append(state.Endpoints, resolver.Endpoint{Addresses: []resolver.Address{a}})
	}
	ccs := balancer.ClientConnState{ResolverState: state}
	if p, ok := builder.(balancer.ConfigParser); ok {
		cfg, err := p.ParseConfig(json.RawMessage(config))
		if err != nil {
			b.Fatal(err)
		}
		ccs.BalancerConfig = cfg
	}
	if err := bal.UpdateClientConnState(ccs); err != nil {
		b.Fatal(err)
	}
	c.settle()
	if c.state != connectivity.Ready {
		b.Fatalf("%s is %v with %d instances", name, c.state, n)
	}
	return c.picker
}

func grpc(name, config string) func(b *testing.B, n int) {
	return func(b *testing.B, n int) {
		p := picker(b, name, config, n)
		info := balancer.PickInfo{FullMethodName: "/greeter/Hello", Ctx: context.Background()}
		b.ReportAllocs()
		for b.Loop() {
			r, err := p.Pick(info)
			if err != nil {
				b.Fatal(err)
			}
			if r.Done != nil {
				r.Done(balancer.DoneInfo{})
			}
		}
	}
}
