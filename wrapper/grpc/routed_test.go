package grpc

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/balancer"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// below is the part of gRPC that a balancer stands on.
type below struct {
	balancer.ClientConn
	subs   map[string]*subConn
	states []connectivity.State // as they were published
	refuse error
}

func (b *below) UpdateState(s balancer.State) { b.states = append(b.states, s.ConnectivityState) }

func (b *below) NewSubConn(addrs []resolver.Address, o balancer.NewSubConnOptions) (balancer.SubConn, error) {
	if b.refuse != nil {
		return nil, b.refuse
	}
	s := &subConn{told: o.StateListener}
	b.subs[addrs[0].Addr] = s
	return s, nil
}

type subConn struct {
	balancer.SubConn
	told     func(balancer.SubConnState)
	connects int
	shut     int
}

func (s *subConn) Connect()  { s.connects++ }
func (s *subConn) Shutdown() { s.shut++ }

func (s *subConn) is(state connectivity.State, err error) {
	s.told(balancer.SubConnState{ConnectivityState: state, ConnectionError: err})
}

func newRouted(known ...string) (*routed, *below, *knowing) {
	cc, k := &below{subs: map[string]*subConn{}}, &knowing{addrs: known}
	return &routed{cc: cc, r: k, service: "s", subs: map[string]*sub{}, pruned: time.Now()}, cc, k
}

// The state of a balanced connection is that of what is below it.
func TestTheStateOfABalancedConnection(t *testing.T) {
	const idle, connecting, ready, failing = connectivity.Idle, connectivity.Connecting, connectivity.Ready, connectivity.TransientFailure
	for name, c := range map[string]struct {
		subs []connectivity.State
		want connectivity.State
	}{
		"none":                    {nil, idle},
		"idle":                    {[]connectivity.State{idle}, idle},
		"connecting":              {[]connectivity.State{connecting}, connecting},
		"ready":                   {[]connectivity.State{ready}, ready},
		"failing":                 {[]connectivity.State{failing}, failing},
		"all failing":             {[]connectivity.State{failing, failing}, failing},
		"one of two failing":      {[]connectivity.State{failing, idle}, idle},
		"failing, and connecting": {[]connectivity.State{failing, connecting}, connecting},
		"failing, and ready":      {[]connectivity.State{ready, failing}, ready},
		"connecting, and ready":   {[]connectivity.State{ready, connecting, idle}, ready},
	} {
		b, cc, _ := newRouted()
		b.publish()
		for i, state := range c.subs {
			addr := string(rune('a' + i))
			if _, _, err := b.state(addr); err != nil {
				t.Fatal(err)
			}
			cc.subs[addr].is(state, nil)
		}
		if got := cc.states[len(cc.states)-1]; got != c.want || len(cc.states) != len(c.subs)+1 {
			t.Errorf("%s: %v, %d times, want %v", name, got, len(cc.states), c.want)
		}
	}
}

// Connections below are made once, again when they were lost, and say why they can't be
// made; what was shut down is another one the next time.
func TestConnectionsBelowABalancedOne(t *testing.T) {
	b, cc, _ := newRouted()
	broken := errors.New("refused")
	look := func(step string, state connectivity.State, connects int, why error) {
		t.Helper()
		sc, got, err := b.state("a")
		if sc != balancer.SubConn(cc.subs["a"]) || got != state || err != why || cc.subs["a"].connects != connects {
			t.Errorf("%s: %v, %v, asked to connect %d times, want %v, %v and %d", step, got, err, cc.subs["a"].connects, state, why, connects)
		}
	}
	look("new", connectivity.Connecting, 1, nil)
	look("again", connectivity.Connecting, 1, nil)
	first := cc.subs["a"]
	first.is(connectivity.Ready, nil)
	look("ready", connectivity.Ready, 1, nil)
	if !b.connected() {
		t.Error("ready, and not connected")
	}
	first.is(connectivity.Idle, nil)
	if b.connected() {
		t.Error("lost, and connected")
	}
	look("lost", connectivity.Connecting, 2, nil)
	first.is(connectivity.TransientFailure, broken)
	look("can't be made", connectivity.TransientFailure, 2, broken)
	first.is(connectivity.Ready, nil)
	look("made at last", connectivity.Ready, 2, nil)
	first.is(connectivity.Shutdown, nil)
	look("shut down", connectivity.Connecting, 1, nil)
	second := cc.subs["a"]
	second.is(connectivity.Ready, nil)
	first.is(connectivity.Shutdown, nil)
	look("the first is shut down again", connectivity.Ready, 1, nil)

	cc.refuse = errors.New("no more connections")
	if sc, state, err := b.state("b"); sc != nil || state != connectivity.TransientFailure || err != cc.refuse {
		t.Errorf("one that gRPC refuses: %v, %v, %v", sc, state, err)
	}
	cc.refuse = nil
	published := len(cc.states)
	b.Close()
	second.is(connectivity.Shutdown, nil)
	if second.shut != 1 || len(cc.states) != published {
		t.Errorf("Close: shut down %d times, published %d times after it", second.shut, len(cc.states)-published)
	}
	if sc, state, err := b.state("c"); sc != nil || state != connectivity.Shutdown || err != nil || len(cc.subs) != 1 {
		t.Errorf("after Close: %v, %v, %v", sc, state, err)
	}
}

// What leads to instances that are gone is closed when something new is connected to, at
// most once a minute.
func TestInstancesThatAreGoneAreForgotten(t *testing.T) {
	for after, want := range map[time.Duration]string{time.Minute - 1: "a b c", time.Minute: "b c"} {
		synctest.Test(t, func(t *testing.T) {
			b, cc, k := newRouted("a", "b")
			for _, addr := range k.addrs {
				if _, _, err := b.state(addr); err != nil {
					t.Fatal(err)
				}
			}
			k.addrs = []string{"b"}
			time.Sleep(after)
			for _, addr := range []string{"b", "c"} { // the first is known: nothing is looked for
				if _, _, err := b.state(addr); err != nil {
					t.Fatal(err)
				}
			}
			got := strings.Join(slices.Sorted(maps.Keys(b.subs)), " ")
			gone := !strings.Contains(want, "a")
			if got != want || (cc.subs["a"].shut == 1) != gone || cc.subs["b"].shut != 0 {
				t.Errorf("after %v: %s, want %s; a was shut down %d times", after, got, want, cc.subs["a"].shut)
			}
		})
	}
}

// What the router learns of a call.
func TestOutcomes(t *testing.T) {
	w, err := wrapper.New(wrapper.WithName("s"))
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close(context.WithoutCancel(t.Context()))
	b := &routed{a: w.Adapter()}
	plain, ofCall, ofStream := &routing{}, &routing{call: &wrapper.Call{Service: "s", Method: "/s/M"}}, &routing{stream: true}
	ofStream.opened.Store(int64(time.Second))
	unavailable, late := status.Error(codes.Unavailable, ""), status.Error(codes.DeadlineExceeded, "")
	for name, c := range map[string]struct {
		d    balancer.DoneInfo
		rt   *routing
		want router.Class
	}{
		"well":                     {balancer.DoneInfo{BytesSent: true, BytesReceived: true}, nil, router.OK},
		"sent, and no more":        {balancer.DoneInfo{BytesSent: true}, nil, router.OK},
		"received alone":           {balancer.DoneInfo{BytesReceived: true}, nil, router.OK},
		"lost before it began":     {balancer.DoneInfo{}, nil, router.Cancelled},
		"not sent":                 {balancer.DoneInfo{Err: unavailable}, nil, router.Unsent},
		"sent, and no answer":      {balancer.DoneInfo{Err: unavailable, BytesSent: true}, nil, router.Connect},
		"the server's own":         {balancer.DoneInfo{Err: unavailable, BytesSent: true, BytesReceived: true}, nil, router.Overload},
		"given up before":          {balancer.DoneInfo{Err: context.Canceled}, nil, router.Cancelled},
		"given up":                 {balancer.DoneInfo{Err: context.Canceled, BytesSent: true}, nil, router.Cancelled},
		"late":                     {balancer.DoneInfo{Err: late, BytesSent: true}, nil, router.Timeout},
		"late, of nobody's":        {balancer.DoneInfo{Err: late, BytesSent: true}, plain, router.Timeout},
		"late, of a call":          {balancer.DoneInfo{Err: late, BytesSent: true}, ofCall, router.Timeout},
		"well, of a call":          {balancer.DoneInfo{BytesSent: true, BytesReceived: true}, ofCall, router.OK},
		"well, of a stream":        {balancer.DoneInfo{Err: io.EOF, BytesSent: true, BytesReceived: true}, ofStream, router.OK},
		"late, of a stream":        {balancer.DoneInfo{Err: late, BytesSent: true}, ofStream, router.Timeout},
		"a message that is larger": {balancer.DoneInfo{Err: status.Error(codes.ResourceExhausted, "")}, nil, router.ClientError},
	} {
		c.d.Trailer = metadata.MD{}
		o := b.outcomeOf(t.Context(), time.Now(), c.d, c.rt)
		latency := time.Duration(0)
		if c.rt == ofStream {
			latency = time.Second
		}
		if o.Class != c.want || o.Latency != latency {
			t.Errorf("%s: %v after %v, want %v after %v", name, o.Class, o.Latency, c.want, latency)
		}
	}
}

// own is what credentials of the caller's own show.
type own struct {
	md  map[string]string
	err error
}

func (o own) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return o.md, o.err
}
func (own) RequireTransportSecurity() bool { return false }

// The caller's own credentials go beside ours, and an authorization of theirs alone.
func TestCredentialsBesideTheCallersOwn(t *testing.T) {
	broken := errors.New("no key")
	token := func(kind string) *authgrpc.Shown {
		return authgrpc.Show(auth.NewPresenter(nil), &auth.Token{AccessToken: "t", Type: kind})
	}
	for name, c := range map[string]struct {
		own   own
		token *authgrpc.Shown
		want  map[string]string // nil: an error
	}{
		"nothing":          {own{}, token("Bearer"), map[string]string{"authorization": "Bearer t"}},
		"another header":   {own{md: map[string]string{"x": "1"}}, token("Bearer"), map[string]string{"authorization": "Bearer t", "x": "1"}},
		"an authorization": {own{md: map[string]string{"authorization": "Basic o", "x": "1"}}, token("Bearer"), map[string]string{"authorization": "Basic o", "x": "1"}},
		"written larger":   {own{md: map[string]string{"Authorization": "Basic o"}}, token("Bearer"), map[string]string{"Authorization": "Basic o"}},
		"theirs fail":      {own{err: broken}, token("Bearer"), nil},
		"ours fail":        {own{}, token("DPoP"), nil}, // nobody has the key
		"ours are not for": {own{md: map[string]string{"authorization": "Basic o"}}, token("DPoP"), map[string]string{"authorization": "Basic o"}},
	} {
		got, err := both{c.own, c.token}.GetRequestMetadata(t.Context(), "https://h/s")
		if (err == nil) != (c.want != nil) || !maps.Equal(got, c.want) || c.own.err != nil && !errors.Is(err, c.own.err) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, c.want)
		}
	}
}

// Close says what could not be closed.
func TestCloseSaysWhatFailed(t *testing.T) {
	c, _ := client("a", "b")
	for _, addr := range []string{"a", "b"} {
		if _, err := c.conn(addr); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.conns["a"].cc.Close(); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); status.Code(err) != codes.Canceled {
		t.Errorf("Close: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Errorf("again: %v", err)
	}
}

// An address that gRPC can't use is said by the call, and no connection is kept.
func TestAnAddressThatIsNone(t *testing.T) {
	c, _ := client()
	c.dial = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultServiceConfig("{")}
	if cn, err := c.conn("a"); cn != nil || err == nil || len(c.conns) != 0 {
		t.Errorf("%v, %v, %d are kept", cn, err, len(c.conns))
	}
}
