package grpc_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// deploy is a service whose instances come and go.
type deploy struct {
	d    discovery.Discovery
	r    router.Router
	self map[string]discovery.Registration
}

func newDeploy(t *testing.T) *deploy {
	t.Helper()
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	r, err := router.New(router.WithDiscovery(d), router.WithStrategy(router.RoundRobin()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(context.Background()); d.Close() })
	return &deploy{d, r, map[string]discovery.Registration{}}
}

func (d *deploy) add(t *testing.T, addr string) {
	t.Helper()
	self, err := d.d.Register(t.Context(), discovery.Instance{ID: addr, Service: "echo", Address: addr})
	if err != nil {
		t.Fatal(err)
	}
	d.self[addr] = self
}

func (d *deploy) remove(t *testing.T, addr string) {
	t.Helper()
	if err := d.self[addr].Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the router to forget "+addr, func() bool {
		for _, n := range d.r.Stats("echo") {
			if n.Address == addr {
				return false
			}
		}
		return true
	})
}

// talking is a server that answers each message of a stream.
func talking() *echo {
	e := answering("good")
	e.stream = func(s grpc.ServerStream) error {
		for {
			m := new(text)
			if err := s.RecvMsg(m); err != nil {
				if err == io.EOF {
					return nil
				}
				return err
			}
			if err := s.SendMsg(m); err != nil {
				return err
			}
		}
	}
	return e
}

// A stream goes on when its instance leaves discovery, until it ends or the
// time to drain does; and the connection is closed then.
func TestStreamsOutliveTheirInstancesRegistration(t *testing.T) {
	for name, c := range map[string]struct {
		drain time.Duration
		lives bool
	}{"long": {time.Hour, true}, "short": {time.Millisecond, false}} {
		t.Run(name, func(t *testing.T) {
			d := newDeploy(t)
			closed := make(chan string, 1000)
			listen := func(e *echo) string {
				l, err := net.Listen("tcp", "127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				s := grpc.NewServer(wgrpc.ServerOptions(newWrapper(t, "echo"))...)
				s.RegisterService(e.desc(), e)
				go s.Serve(&closeListener{l, closed})
				t.Cleanup(s.Stop)
				return l.Addr().String()
			}
			old := listen(talking())
			d.add(t, old)
			cl, err := wgrpc.NewClientWith(newWrapper(t, "edge", wrapper.WithRouter(d.r)), "echo", []wgrpc.Option{wgrpc.WithDrain(c.drain)},
				grpc.WithTransportCredentials(insecure.NewCredentials()))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			s, err := cl.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, "/test.Echo/Both")
			if err != nil {
				t.Fatal(err)
			}
			exchange := func() error {
				if err := s.SendMsg(wrapperspb.String("x")); err != nil {
					return s.RecvMsg(new(text))
				}
				return s.RecvMsg(new(text))
			}
			if err := exchange(); err != nil {
				t.Fatal(err)
			}
			replacement := listen(answering("new"))
			d.add(t, replacement)
			d.remove(t, old)
			// New connections make the client look who is gone, at most once a second.
			rounds := map[bool]int{true: 20, false: 300}[c.lives]
			for range rounds {
				if out, err := say(t.Context(), cl, "x"); err != nil || out != "new" {
					t.Fatalf("call: %q, %v", out, err)
				}
				if !c.lives {
					if err := exchange(); err != nil {
						break // cut, as it must be after the time to drain
					}
				}
				next := listen(answering("new")) // a rolling deploy goes on
				d.add(t, next)
				d.remove(t, replacement)
				replacement = next
				<-time.After(100 * time.Millisecond)
			}
			err = exchange()
			if (err == nil) != c.lives {
				t.Fatalf("the stream: %v, want it to live: %v", err, c.lives)
			}
			if c.lives {
				if err := s.CloseSend(); err != nil {
					t.Fatal(err)
				}
				if err := s.RecvMsg(new(text)); err != io.EOF {
					t.Fatalf("the stream ended with %v", err)
				}
			}
			for { // the connection to the old one is closed
				select {
				case addr := <-closed:
					if addr != old {
						continue
					}
				case <-time.After(30 * time.Second):
					t.Error("the connection to the instance that left is open after 30 s")
				}
				break
			}
		})
	}
}

// closeListener tells when a connection that it accepted is closed.
type closeListener struct {
	net.Listener
	closed chan string
}

func (l *closeListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &closeConn{c, l}, nil
}

type closeConn struct {
	net.Conn
	l *closeListener
}

func (c *closeConn) Close() error {
	select {
	case c.l.closed <- c.l.Addr().String():
	default:
	}
	return c.Conn.Close()
}

// A server that answers Unavailable was reached: its store may be down, its
// connection is not. What gRPC itself calls so is a failure to connect.
func TestUnavailableFromTheApplicationIsNoFailureToConnect(t *testing.T) {
	both(t, func(t *testing.T, dial dialer) {
		for name, c := range map[string]struct {
			code codes.Code
			want router.Class
		}{
			"unavailable": {codes.Unavailable, router.Overload}, "exhausted": {codes.ResourceExhausted, router.Overload},
			"internal": {codes.Internal, router.ServerError}, "not found": {codes.NotFound, router.ClientError}, "ok": {codes.OK, router.OK},
		} {
			rec := newRecorder()
			e := &echo{
				unary:  func(context.Context, string) (string, error) { return "", status.Error(c.code, "its own") },
				stream: func(s grpc.ServerStream) error { return status.Error(c.code, "its own") },
			}
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			s := grpc.NewServer() // without a wrapper: nothing of ours is in the answer
			d := e.desc()
			h := d.Methods[0].Handler
			d.Methods[0].Handler = func(srv any, ctx context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
				return h(srv, ctx, dec, func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
					return next(ctx, req)
				})
			}
			s.RegisterService(d, e)
			go s.Serve(l)
			defer s.Stop()
			var r router.Router
			w := with(t, wrapper.WithObserver(rec), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
			cl := dial(t, func(ro router.Router) *wrapper.Wrapper { r = ro; return w(ro) }, []string{l.Addr().String()})
			say(t.Context(), cl, "x")
			if call := rec.last(t); call.Class != c.want {
				t.Errorf("%s: unary recorded %v, want %v", name, call.Class, c.want)
			}
			st, err := cl.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
			if err != nil {
				t.Fatal(err)
			}
			for err == nil {
				err = st.RecvMsg(new(text))
			}
			if call := rec.last(t); call.Class != c.want {
				t.Errorf("%s: stream recorded %v, want %v", name, call.Class, c.want)
			}
			await(t, "both outcomes", func() bool { return r.Stats("echo")[0].Outcomes[c.want] == 2 })
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		rec := newRecorder()
		cl := dial(t, with(t, wrapper.WithObserver(rec), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1})), []string{l.Addr().String()})
		if _, err := say(t.Context(), cl, "x"); status.Code(err) != codes.Unavailable {
			t.Errorf("nobody there: %v", err)
		}
		if call := rec.last(t); call.Class != router.Unsent {
			t.Errorf("nobody there: recorded %v, want unsent", call.Class)
		}
	})
}

// A method that is declared idempotent is sent again.
func TestIdempotencyIsReadFromTheDefinition(t *testing.T) {
	level := descriptorpb.MethodOptions_NO_SIDE_EFFECTS
	file := &descriptorpb.FileDescriptorProto{
		Name: proto.String("idempotency_test.proto"), Package: proto.String("test"), Syntax: proto.String("proto3"),
		Dependency: []string{"google/protobuf/wrappers.proto"},
		Service: []*descriptorpb.ServiceDescriptorProto{{Name: proto.String("Declared"), Method: []*descriptorpb.MethodDescriptorProto{
			{Name: proto.String("Say"), InputType: proto.String(".google.protobuf.StringValue"), OutputType: proto.String(".google.protobuf.StringValue"),
				Options: &descriptorpb.MethodOptions{IdempotencyLevel: &level}},
		}}},
	}
	fd, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	flaky := func() *echo {
		return &echo{unary: func(context.Context, string) (string, error) { return "", status.Error(codes.Unavailable, "busy") }}
	}
	for _, c := range []struct {
		declared bool
		want     int64
	}{{false, 1}, {true, 3}} { // in this order: nothing is unregistered
		if c.declared {
			if err := protoregistry.GlobalFiles.RegisterFile(fd); err != nil {
				t.Fatal(err)
			}
		}
		e := flaky()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		srv := grpc.NewServer(wgrpc.ServerOptions(newWrapper(t, "echo"))...)
		d := e.desc()
		d.ServiceName = "test.Declared"
		srv.RegisterService(d, e)
		go srv.Serve(l)
		defer srv.Stop()
		cl := dialClient(t, with(t), []string{l.Addr().String()})
		if err := cl.Invoke(t.Context(), "/test.Declared/Say", wrapperspb.String("x"), new(text)); status.Code(err) != codes.Unavailable {
			t.Errorf("got %v", err)
		}
		if n := e.calls.Load(); n != c.want {
			t.Errorf("declared idempotent: %v: sent %d times, want %d", c.declared, n, c.want)
		}
	}
}

// A certificate is checked against the service's name, not against the address
// of whichever instance was picked.
func TestCertificateIsCheckedAgainstTheService(t *testing.T) {
	certs := servertest.NewCerts(t) // for 127.0.0.1 and localhost
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := answering("good")
	s := grpc.NewServer(append(wgrpc.ServerOptions(newWrapper(t, "echo")), grpc.Creds(credentials.NewTLS(certs.Server)))...)
	s.RegisterService(e.desc(), e)
	go s.Serve(l)
	t.Cleanup(s.Stop)
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	client := certs.Client.Clone()
	client.ServerName = ""
	for service, good := range map[string]bool{"localhost": true, "echo": false} {
		if _, err := d.Register(t.Context(), discovery.Instance{ID: service, Service: service, Address: l.Addr().String()}); err != nil {
			t.Fatal(err)
		}
		r, err := router.New(router.WithDiscovery(d))
		if err != nil {
			t.Fatal(err)
		}
		cl, err := wgrpc.NewClient(newWrapper(t, "edge", wrapper.WithRouter(r)), service, grpc.WithTransportCredentials(credentials.NewTLS(client)))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := say(t.Context(), cl, "x"); (err == nil) != good {
			t.Errorf("%s: %v, want it accepted: %v", service, err, good)
		}
		cl.Close()
	}
}

// A call whose deadline is over runs no handler, and one that is answered after
// it is none.
func TestLateAnswersAreDropped(t *testing.T) {
	rec := newRecorder()
	var ran atomic.Bool
	e := &echo{unary: func(ctx context.Context, _ string) (string, error) { ran.Store(true); <-ctx.Done(); return "late", nil }}
	addr, _ := serve(t, e, newWrapper(t, "echo", wrapper.WithServerTimeout(20*time.Millisecond), wrapper.WithObserver(rec)))
	cl := dialClient(t, with(t), []string{addr})
	for range 100 { // a busy machine may come to it after the deadline, and then does not run it
		if out, err := say(t.Context(), cl, "x"); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %q, %v", out, err)
		}
		if ran.Load() {
			break
		}
		rec.last(t)
	}
	if call := rec.last(t); call.Class != router.Timeout || !call.Late {
		t.Errorf("recorded %v, late %v", call.Class, call.Late)
	}
}

func TestStreamTimeoutBoundsStreams(t *testing.T) {
	both(t, func(t *testing.T, dial dialer) {
		e := &echo{stream: func(s grpc.ServerStream) error { <-s.Context().Done(); return s.Context().Err() }}
		addr, _ := serve(t, e, newWrapper(t, "echo"))
		cl := dial(t, with(t), []string{addr}, wgrpc.WithStreamTimeout(30*time.Millisecond))
		s, err := cl.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
		if err == nil { // else it was over before it was open
			err = s.RecvMsg(new(text))
		}
		if status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("got %v", err)
		}
	})
}

func TestNewConnSaysWhatIsWrong(t *testing.T) {
	w := newWrapper(t, "edge", wrapper.WithRouter(newRouter(t, nil)))
	name := balancerName()
	if err := wgrpc.RegisterBalancer(name, w); err != nil {
		t.Fatal(err)
	}
	creds := grpc.WithTransportCredentials(insecure.NewCredentials())
	for what, f := range map[string]func() (*grpc.ClientConn, error){
		"no wrapper":     func() (*grpc.ClientConn, error) { return wgrpc.NewConn(nil, name, "echo", nil, creds) },
		"no service":     func() (*grpc.ClientConn, error) { return wgrpc.NewConn(w, name, "", nil, creds) },
		"not registered": func() (*grpc.ClientConn, error) { return wgrpc.NewConn(w, "nobody", "echo", nil, creds) },
		"nil option":     func() (*grpc.ClientConn, error) { return wgrpc.NewConn(w, name, "echo", []wgrpc.Option{nil}, creds) },
		"no credentials": func() (*grpc.ClientConn, error) { return wgrpc.NewConn(w, name, "echo", nil) },
	} {
		if _, err := f(); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	cc, err := wgrpc.NewConn(w, name, "echo", nil, creds)
	if err != nil {
		t.Fatal(err)
	}
	cc.Close()
}

func TestBadOptionsAreRefused(t *testing.T) {
	w := newWrapper(t, "edge", wrapper.WithRouter(newRouter(t, nil)))
	creds := grpc.WithTransportCredentials(insecure.NewCredentials())
	for name, o := range map[string]wgrpc.Option{
		"nil": nil, "nil function": wgrpc.WithIdempotent(nil), "empty name": wgrpc.WithService(""), "drain": wgrpc.WithDrain(0), "stream": wgrpc.WithStreamTimeout(-1),
	} {
		if _, err := wgrpc.NewClientWith(w, "echo", []wgrpc.Option{o}, creds); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: NewClientWith: %v, want ErrInvalid", name, err)
		}
		cc, err := grpc.NewClient("passthrough:///127.0.0.1:1", append(wgrpc.DialOptions(w, o), creds)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := say(t.Context(), cc, "x"); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: a call: %v, want ErrInvalid", name, err)
		}
		if _, err := healthpb.NewHealthClient(cc).Watch(t.Context(), &healthpb.HealthCheckRequest{}); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: a stream: %v, want ErrInvalid", name, err)
		}
		cc.Close()
	}
}
