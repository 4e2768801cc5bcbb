package grpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

func TestMain(m *testing.M) { leak.Main(m) }

type text = wrapperspb.StringValue

// echo is a service with all kinds of methods, described by hand.
type echo struct {
	unary  func(ctx context.Context, in string) (string, error)
	stream func(s grpc.ServerStream) error
	calls  atomic.Int64
}

func (e *echo) desc() *grpc.ServiceDesc {
	stream := func(_ any, s grpc.ServerStream) error { e.calls.Add(1); return e.stream(s) }
	return &grpc.ServiceDesc{
		ServiceName: "test.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Say", Handler: func(_ any, ctx context.Context, dec func(any) error, icpt grpc.UnaryServerInterceptor) (any, error) {
			in := new(text)
			if err := dec(in); err != nil {
				return nil, err
			}
			h := func(ctx context.Context, req any) (any, error) {
				e.calls.Add(1)
				out, err := e.unary(ctx, req.(*text).GetValue())
				return wrapperspb.String(out), err
			}
			return icpt(ctx, in, &grpc.UnaryServerInfo{FullMethod: "/test.Echo/Say"}, h)
		}}},
		Streams: []grpc.StreamDesc{
			{StreamName: "Down", Handler: stream, ServerStreams: true},
			{StreamName: "Up", Handler: stream, ClientStreams: true},
			{StreamName: "Both", Handler: stream, ServerStreams: true, ClientStreams: true},
		},
	}
}

// recorder remembers calls that ended.
type recorder struct {
	mu    sync.Mutex
	calls []wrapper.Call
	ended chan struct{}
}

func newRecorder() *recorder { return &recorder{ended: make(chan struct{}, 1000)} }

func (r *recorder) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (r *recorder) End(_ context.Context, c *wrapper.Call) {
	r.mu.Lock()
	r.calls = append(r.calls, *c)
	r.mu.Unlock()
	r.ended <- struct{}{}
}

func (r *recorder) last(t *testing.T) wrapper.Call {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("no call ended within 30 s")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[len(r.calls)-1]
}

func newWrapper(t *testing.T, name string, opts ...wrapper.Option) *wrapper.Wrapper {
	t.Helper()
	w, err := wrapper.New(append([]wrapper.Option{wrapper.WithName(name)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// serve starts a server of e behind w.
func serve(t *testing.T, e *echo, w *wrapper.Wrapper, opts ...grpc.ServerOption) (string, *grpc.Server) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(append(opts, wgrpc.ServerOptions(w)...)...)
	s.RegisterService(e.desc(), e)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	return l.Addr().String(), s
}

// dialer returns a client of the instances at addrs.
type dialer func(t *testing.T, w func(router.Router) *wrapper.Wrapper, addrs []string, opts ...wgrpc.Option) grpc.ClientConnInterface

// both runs a test over the two ways to have the router choose.
func both(t *testing.T, f func(t *testing.T, dial dialer)) {
	t.Run("Client", func(t *testing.T) { f(t, dialClient) })
	t.Run("Balancer", func(t *testing.T) { f(t, dialBalanced) })
}

func newRouter(t *testing.T, addrs []string, opts ...router.Option) router.Router {
	t.Helper()
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if _, err := d.Register(t.Context(), discovery.Instance{ID: a, Service: "echo", Address: a}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := router.New(append([]router.Option{router.WithDiscovery(d), router.WithStrategy(router.RoundRobin())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()); d.Close() })
	return r
}

func dialClient(t *testing.T, w func(router.Router) *wrapper.Wrapper, addrs []string, opts ...wgrpc.Option) grpc.ClientConnInterface {
	t.Helper()
	c, err := wgrpc.NewClientWith(w(newRouter(t, addrs)), "echo", opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

var registered int // balancers: gRPC forgets none

func balancerName() string { registered++; return fmt.Sprint("test_", registered) }

func dialBalanced(t *testing.T, w func(router.Router) *wrapper.Wrapper, addrs []string, opts ...wgrpc.Option) grpc.ClientConnInterface {
	t.Helper()
	return balanced(t, w(newRouter(t, addrs)), opts...)
}

func balanced(t *testing.T, w *wrapper.Wrapper, opts ...wgrpc.Option) *grpc.ClientConn {
	t.Helper()
	name := balancerName()
	if err := wgrpc.RegisterBalancer(name, w); err != nil {
		t.Fatal(err)
	}
	cc, err := wgrpc.NewConn(w, name, "echo", opts, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

func say(ctx context.Context, c grpc.ClientConnInterface, in string) (string, error) {
	out := new(text)
	err := c.Invoke(ctx, "/test.Echo/Say", wrapperspb.String(in), out)
	return out.GetValue(), err
}

func with(t *testing.T, opts ...wrapper.Option) func(router.Router) *wrapper.Wrapper {
	return func(r router.Router) *wrapper.Wrapper {
		return newWrapper(t, "edge", append(opts, wrapper.WithRouter(r))...)
	}
}

func TestUnaryCallsCarryEverything(t *testing.T) { both(t, unaryCallsCarryEverything) }

func unaryCallsCarryEverything(t *testing.T, dial dialer) {
	spans, authority := trace.NewStore(100, time.Hour), auth.NewAuthority()
	newAuth := func(service string) auth.Auth {
		a, err := auth.New(auth.Local(authority), auth.WithService(service), auth.WithRules(
			auth.Rule{ID: "edge", Effect: auth.Allow, Subjects: []string{"edge"}, Services: []string{"echo"}, Actions: []string{"/test.Echo/Say"}}))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	var tracers []trace.Tracer
	newTrace := func(service string) trace.Tracer {
		tr, err := trace.New(trace.WithService(service), trace.Memory(spans))
		if err != nil {
			t.Fatal(err)
		}
		tracers = append(tracers, tr)
		return tr
	}
	rec := newRecorder()
	sw := newWrapper(t, "echo", wrapper.WithAuth(newAuth("echo")), wrapper.WithTrace(newTrace("echo")), wrapper.WithObserver(rec))
	e := &echo{unary: func(ctx context.Context, in string) (string, error) {
		token, _ := auth.FromContext(ctx)
		call, _ := wrapper.FromContext(ctx)
		_, bounded := ctx.Deadline()
		return fmt.Sprint(in, " ", token.Subject, " ", call.RequestID, " ", wrapper.LabelsFromContext(ctx)["zone"], " ", bounded), nil
	}, stream: func(grpc.ServerStream) error { return nil }}
	addr, _ := serve(t, e, sw)
	c := dial(t, with(t, wrapper.WithAuth(newAuth("edge")), wrapper.WithTrace(newTrace("edge"))), []string{addr})

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "x-request-id", "abc", "x-own", "1")
	got, err := say(ctx, c, "hi")
	if err != nil || got != "hi edge abc  true" {
		t.Errorf("got %q, %v", got, err)
	}
	if call := rec.last(t); call.Protocol != "grpc" || call.Method != "/test.Echo/Say" || call.Class != router.OK {
		t.Errorf("recorded %+v", call)
	}
	if md, _ := metadata.FromOutgoingContext(ctx); len(md) != 2 {
		t.Errorf("the caller's metadata was changed: %v", md)
	}
	for _, tr := range tracers {
		if err := tr.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	page, err := spans.Search(t.Context(), trace.Query{})
	if err != nil || len(page.Traces) != 1 || len(page.Traces[0].Spans) != 2 {
		t.Errorf("%v, want one trace of call and server: %+v", err, page)
	}
	// A method that the rules don't allow, and a caller without a token.
	if _, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down"); err != nil {
		t.Fatal(err)
	} else if call := rec.last(t); call.Status != int(codes.PermissionDenied) {
		t.Errorf("recorded %+v, want permission denied", call)
	}
	bare, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	if _, err := say(t.Context(), bare, "hi"); status.Code(err) != codes.Unauthenticated || strings.Contains(err.Error(), "token") {
		t.Errorf("without a token: %v, want unauthenticated and no details", err)
	}
}

func TestLabelsNarrowAndTravel(t *testing.T) { both(t, labelsNarrowAndTravel) }

func labelsNarrowAndTravel(t *testing.T, dial dialer) {
	got := make(chan map[string]string, 1)
	e := &echo{unary: func(ctx context.Context, in string) (string, error) {
		got <- wrapper.LabelsFromContext(ctx)
		return in, nil
	}}
	addr, _ := serve(t, e, newWrapper(t, "echo"))
	c := dial(t, with(t), []string{addr})
	ctx := wrapper.ContextWithLabels(t.Context(), map[string]string{"zone": "x"})
	if _, err := say(ctx, c, "hi"); status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "matches labels") {
		t.Errorf("no instance has the label: %v", err)
	}
	if _, err := say(metadata.AppendToOutgoingContext(t.Context(), "x-micro-label-zone", "y"), c, "hi"); err != nil {
		t.Fatal(err)
	}
	if l := <-got; l["zone"] != "y" {
		t.Errorf("the server got labels %v", l)
	}
}

func TestPanicIsInternalAndTheServerGoesOn(t *testing.T) { both(t, panicIsInternalAndTheServerGoesOn) }

func panicIsInternalAndTheServerGoesOn(t *testing.T, dial dialer) {
	rec := newRecorder()
	e := &echo{unary: func(_ context.Context, in string) (string, error) {
		if in == "boom" {
			panic("secret")
		}
		return in, nil
	}, stream: func(grpc.ServerStream) error { panic("secret") }}
	addr, _ := serve(t, e, newWrapper(t, "echo", wrapper.WithObserver(rec)))
	c := dial(t, with(t), []string{addr})
	if _, err := say(t.Context(), c, "boom"); status.Code(err) != codes.Internal || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want internal without details", err)
	}
	if call := rec.last(t); call.Panic != "secret" || call.Class != router.ServerError || len(call.Stack) == 0 {
		t.Errorf("recorded %+v", call)
	}
	s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RecvMsg(new(text)); status.Code(err) != codes.Internal {
		t.Errorf("stream: %v, want internal", err)
	}
	if out, err := say(t.Context(), c, "fine"); err != nil || out != "fine" {
		t.Errorf("afterwards: %q, %v", out, err)
	}
}

func TestUnsentCallsGoToAnotherInstanceAndOthersOnlyIfIdempotent(t *testing.T) {
	both(t, unsentCallsGoToAnotherInstanceAndOthersOnlyIfIdempotent)
}

func unsentCallsGoToAnotherInstanceAndOthersOnlyIfIdempotent(t *testing.T, dial dialer) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := l.Addr().String()
	l.Close()
	good := &echo{unary: func(_ context.Context, in string) (string, error) { return in, nil }}
	busy := &echo{unary: func(context.Context, string) (string, error) { return "", status.Error(codes.Unavailable, "busy") }}
	goodAddr, _ := serve(t, good, newWrapper(t, "echo"))
	busyAddr, _ := serve(t, busy, newWrapper(t, "echo"))
	for name, c := range map[string]struct {
		addrs []string
		opts  []wgrpc.Option
		ok    bool
	}{
		"dead":             {[]string{dead, goodAddr}, nil, true},
		"busy":             {[]string{busyAddr, goodAddr}, nil, false},
		"busy, idempotent": {[]string{busyAddr, goodAddr}, []wgrpc.Option{wgrpc.WithIdempotent(func(string) bool { return true })}, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn := dial(t, with(t, wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000})), c.addrs, c.opts...)
			failed := 0
			for range 10 {
				if _, err := say(t.Context(), conn, "x"); err != nil {
					failed++
				}
			}
			if c.ok != (failed == 0) {
				t.Errorf("%d of 10 calls failed", failed)
			}
		})
	}
}

func TestPushbackIsObeyed(t *testing.T) { both(t, pushbackIsObeyed) }

func pushbackIsObeyed(t *testing.T, dial dialer) {
	e := &echo{}
	e.unary = func(ctx context.Context, in string) (string, error) {
		grpc.SetTrailer(ctx, metadata.Pairs("grpc-retry-pushback-ms", in))
		return "", status.Error(codes.Unavailable, "busy")
	}
	addr, _ := serve(t, e, newWrapper(t, "echo"))
	c := dial(t, with(t), []string{addr}, wgrpc.WithIdempotent(func(string) bool { return true }))
	for in, want := range map[string]int64{"-1": 1, "nonsense": 1, "1": 3, "3600000": 1} {
		e.calls.Store(0)
		say(t.Context(), c, in)
		if n := e.calls.Load(); n != want {
			t.Errorf("pushback %s: sent %d times, want %d", in, n, want)
		}
	}
}

func TestStreamsOfAllKindsEndTheirCallOnce(t *testing.T) { both(t, streamsOfAllKindsEndTheirCallOnce) }

func streamsOfAllKindsEndTheirCallOnce(t *testing.T, dial dialer) {
	server, client := newRecorder(), newRecorder()
	e := &echo{stream: func(s grpc.ServerStream) error {
		sum := ""
		for {
			in := new(text)
			if err := s.RecvMsg(in); err == io.EOF {
				return s.SendMsg(wrapperspb.String("end " + sum))
			} else if err != nil {
				return err
			}
			sum += in.GetValue()
		}
	}}
	addr, _ := serve(t, e, newWrapper(t, "echo", wrapper.WithObserver(server)))
	c := dial(t, with(t, wrapper.WithObserver(client)), []string{addr})
	for name, d := range map[string]*grpc.StreamDesc{
		"Down": {ServerStreams: true}, "Up": {ClientStreams: true}, "Both": {ServerStreams: true, ClientStreams: true},
	} {
		s, err := c.NewStream(t.Context(), d, "/test.Echo/"+name)
		if err != nil {
			t.Fatal(err)
		}
		sent := []string{"a", "b"}
		if !d.ClientStreams {
			sent = []string{"ab"}
		}
		for _, x := range sent {
			if err := s.SendMsg(wrapperspb.String(x)); err != nil {
				t.Fatal(err)
			}
		}
		s.CloseSend()
		out := new(text)
		if err := s.RecvMsg(out); err != nil || out.GetValue() != "end ab" {
			t.Errorf("%s: %q, %v", name, out.GetValue(), err)
		}
		if d.ServerStreams {
			if err := s.RecvMsg(out); err != io.EOF {
				t.Errorf("%s: %v, want io.EOF", name, err)
			}
		}
		for who, r := range map[string]*recorder{"server": server, "client": client} {
			if call := r.last(t); call.Class != router.OK || call.Method != "/test.Echo/"+name {
				t.Errorf("%s of %s recorded %+v", who, name, call)
			}
		}
	}
	if n := len(client.calls); n != 3 {
		t.Errorf("%d calls recorded for 3 streams", n)
	}
}

func TestAbandonedStreamEndsWithItsContext(t *testing.T) { both(t, abandonedStreamEndsWithItsContext) }

func abandonedStreamEndsWithItsContext(t *testing.T, dial dialer) {
	rec := newRecorder()
	e := &echo{stream: func(s grpc.ServerStream) error { <-s.Context().Done(); return s.Context().Err() }}
	addr, _ := serve(t, e, newWrapper(t, "echo"))
	c := dial(t, with(t, wrapper.WithObserver(rec)), []string{addr})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/Both"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if call := rec.last(t); call.Class != router.Cancelled {
		t.Errorf("recorded %+v, want cancelled", call)
	}
}

func TestManyCallsOnOneContext(t *testing.T) { both(t, manyCallsOnOneContext) }

func manyCallsOnOneContext(t *testing.T, dial dialer) {
	e := &echo{unary: func(_ context.Context, in string) (string, error) { return in, nil }}
	a, _ := serve(t, e, newWrapper(t, "echo"))
	b, _ := serve(t, e, newWrapper(t, "echo"))
	c := dial(t, with(t), []string{a, b})
	ctx := metadata.AppendToOutgoingContext(t.Context(), "x-own", "1")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				if _, err := say(ctx, c, "x"); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := e.calls.Load(); n != 1000 {
		t.Errorf("%d calls arrived, want 1000", n)
	}
}

func TestInterceptorsWorkOnAConnectionOfOnesOwn(t *testing.T) {
	rec := newRecorder()
	e := &echo{unary: func(_ context.Context, in string) (string, error) { return in, nil }}
	addr, _ := serve(t, e, newWrapper(t, "echo"))
	w := newWrapper(t, "edge", wrapper.WithObserver(rec))
	cc, err := grpc.NewClient("passthrough:///"+addr, append(wgrpc.DialOptions(w, wgrpc.WithService("echo")), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	if out, err := say(t.Context(), cc, "x"); err != nil || out != "x" {
		t.Errorf("got %q, %v", out, err)
	}
	if call := rec.last(t); call.Service != "echo" || call.Side != wrapper.Client {
		t.Errorf("recorded %+v", call)
	}
}

func TestBadClientsAreRefused(t *testing.T) {
	w := newWrapper(t, "edge")
	for name, f := range map[string]func() (*wgrpc.Client, error){
		"no wrapper": func() (*wgrpc.Client, error) { return wgrpc.NewClient(nil, "echo") },
		"no router":  func() (*wgrpc.Client, error) { return wgrpc.NewClient(w, "echo") },
		"no name":    func() (*wgrpc.Client, error) { return wgrpc.NewClient(w, "") },
	} {
		if _, err := f(); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if c := dialClient(t, with(t), nil).(*wgrpc.Client); !slices.Contains([]error{c.Close(), c.Close()}, nil) {
		t.Error("Close twice fails")
	}
}

func TestMethodsThatAServerDoesNotHaveAreNoNames(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, "echo", wrapper.WithObserver(rec))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer(append(wgrpc.ServerOptions(w), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error { return status.Error(codes.Unimplemented, "no") }))...)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	c := dialClient(t, with(t), []string{l.Addr().String()})
	if err := c.Invoke(t.Context(), "/evil.Name/1234", wrapperspb.String("x"), new(text)); status.Code(err) != codes.Unimplemented {
		t.Errorf("got %v", err)
	}
	if call := rec.last(t); call.Method != "_OTHER" || call.Action != "/evil.Name/1234" {
		t.Errorf("recorded %q, for policies %q", call.Method, call.Action)
	}
}
