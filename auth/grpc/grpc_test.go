package grpc_test

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// server answers with who called.
type server struct {
	healthpb.UnimplementedHealthServer
	caller string
}

func (s *server) Check(ctx context.Context, _ *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	if t, ok := auth.FromContext(ctx); ok {
		s.caller = t.Subject
	}
	return &healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_SERVING}, nil
}

func (s *server) Watch(_ *healthpb.HealthCheckRequest, stream healthpb.Health_WatchServer) error {
	if t, ok := auth.FromContext(stream.Context()); ok {
		s.caller = t.Subject
	}
	return stream.Send(&healthpb.HealthCheckResponse{})
}

func newAuth(t testing.TB, local *auth.Authority, service string, opts ...auth.Option) auth.Auth {
	t.Helper()
	a, err := auth.New(append([]auth.Option{auth.Local(local), auth.WithService(service)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func serve(t testing.TB, a auth.Auth, opts ...authgrpc.Option) (*server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	g := grpc.NewServer(grpc.ChainUnaryInterceptor(authgrpc.Unary(a, opts...)), grpc.ChainStreamInterceptor(authgrpc.Stream(a, opts...)))
	healthpb.RegisterHealthServer(g, s)
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return s, l.Addr().String()
}

func dial(t testing.TB, addr string, opts ...grpc.DialOption) healthpb.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, append(opts, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return healthpb.NewHealthClient(conn)
}

// both makes a call and a stream and returns their codes.
func both(ctx context.Context, c healthpb.HealthClient) (unary, stream codes.Code, text string) {
	_, err := c.Check(ctx, &healthpb.HealthCheckRequest{})
	s, err2 := c.Watch(ctx, &healthpb.HealthCheckRequest{})
	if err2 == nil {
		_, err2 = s.Recv()
	}
	return status.Code(err), status.Code(err2), fmt.Sprint(err, err2)
}

func TestCallsAreAuthorized(t *testing.T) {
	local := auth.NewAuthority()
	orders := newAuth(t, local, "orders", auth.WithRules(auth.Rule{ID: "r", Effect: auth.Allow, Subjects: []string{"frontend"}, Services: []string{"orders"}, Actions: []string{"/grpc.health.v1.Health/*"}}))
	s, addr := serve(t, orders, authgrpc.WithService("orders"))
	frontend, stranger := newAuth(t, local, "frontend"), newAuth(t, local, "stranger")
	d := auth.Destination{Audience: "orders"}
	for name, c := range map[string]struct {
		a    auth.Auth
		d    auth.Destination
		want codes.Code
	}{
		"allowed":          {frontend, d, codes.OK},
		"another caller":   {stranger, d, codes.PermissionDenied},
		"another audience": {frontend, auth.Destination{}, codes.Unauthenticated}, // for the host, 127.0.0.1
	} {
		s.caller = ""
		unary, stream, text := both(t.Context(), dial(t, addr, grpc.WithPerRPCCredentials(authgrpc.Credentials(c.a, c.d, authgrpc.WithInsecure()))))
		if unary != c.want || stream != c.want {
			t.Errorf("%s: %s and %s, want %s", name, unary, stream, c.want)
		}
		if c.want == codes.OK && s.caller != "frontend" {
			t.Errorf("%s: the handler saw %q", name, s.caller)
		}
		if strings.Contains(text, "stranger") || strings.Contains(text, "rule") {
			t.Errorf("%s: the caller is told %q", name, text)
		}
	}
	plain := dial(t, addr)
	token, err := frontend.Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	good := "Bearer " + string(token.AccessToken)
	for name, c := range map[string]struct {
		values []string
		want   codes.Code
	}{
		"good": {[]string{good}, codes.OK}, "nothing": {nil, codes.Unauthenticated}, "nonsense": {[]string{"Bearer x"}, codes.Unauthenticated},
		"basic": {[]string{"Basic YTpi"}, codes.Unauthenticated}, "two": {[]string{good, good}, codes.Unauthenticated},
	} {
		ctx := t.Context()
		for _, v := range c.values {
			ctx = metadata.AppendToOutgoingContext(ctx, "authorization", v)
		}
		if unary, stream, _ := both(ctx, plain); unary != c.want || stream != c.want {
			t.Errorf("%s: %s and %s, want %s", name, unary, stream, c.want)
		}
	}
}

// A server that takes unknown methods, as proxies do, gets them as they come.
func TestFullMethodIsReadInOneWay(t *testing.T) {
	local := auth.NewAuthority()
	var asked []string
	a := newAuth(t, local, "orders", auth.WithDecider(auth.DeciderFunc(func(_ context.Context, _ *auth.Token, r auth.Request) (auth.Decision, error) {
		asked = append(asked, r.Action)
		return auth.Decision{Effect: auth.Allow}, nil
	})))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var ran []string
	g := grpc.NewServer(grpc.ChainStreamInterceptor(authgrpc.Stream(a)), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		m, _ := grpc.MethodFromServerStream(s)
		ran = append(ran, m)
		return s.SendMsg(&healthpb.HealthCheckResponse{})
	}))
	go g.Serve(l)
	t.Cleanup(g.Stop)
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithPerRPCCredentials(authgrpc.Credentials(a, auth.Destination{Audience: "orders"}, authgrpc.WithInsecure())))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	for method, good := range map[string]bool{
		"/shop.Public/Get": true, "/shop.Public_2/Get-It": true, "/a/shop.Public/Get": true, "/Greeter$Inner/Get": true,
		"/shop.Admin/../shop.Public/Get": false, "/shop.Public/./Get": false, "//shop.Public/Get": false, "/shop.Public//Get": false,
		"/shop.Public/": false, "/shop.Public": false, "/": false, "/shop.Public/Get/": false, "/shop.Admin/%2e%2e/shop.Public/Get": false,
		"/shop.Admin%2fGet/Get": false, "/shop.%50ublic/Get": false, "/shop.Public/Get?x": false, "/shop.Public/Get;x": false, `/shop.Public\/Get`: false,
	} {
		asked, ran = nil, nil
		err := conn.Invoke(t.Context(), method, &healthpb.HealthCheckRequest{}, &healthpb.HealthCheckResponse{})
		switch {
		case good && (err != nil || len(asked) != 1 || asked[0] != method || len(ran) != 1 || ran[0] != method):
			t.Errorf("%s: %v, policy %q, handler %q", method, err, asked, ran)
		case !good && (status.Code(err) != codes.Unimplemented || len(asked)+len(ran) > 0):
			t.Errorf("%s: %v, policy %q, handler %q; want Unimplemented before either", method, err, asked, ran)
		}
	}
}

func TestPublicMethodsAndFailingAuthority(t *testing.T) {
	a := newAuth(t, auth.NewAuthority(), "orders", auth.WithDecider(auth.DeciderFunc(func(context.Context, *auth.Token, auth.Request) (auth.Decision, error) {
		return auth.Decision{}, auth.ErrUnavailable
	})))
	_, addr := serve(t, a, authgrpc.WithoutAuth(func(m string) bool { return strings.HasSuffix(m, "/Check") }),
		authgrpc.WithRequest(func(context.Context, string) auth.Request { return auth.Request{Action: "x"} }))
	unary, stream, _ := both(t.Context(), dial(t, addr, grpc.WithPerRPCCredentials(authgrpc.Credentials(a, auth.Destination{Audience: "orders"}, authgrpc.WithInsecure()))))
	if unary != codes.OK || stream != codes.Unavailable {
		t.Errorf("%s and %s, want OK and Unavailable", unary, stream)
	}
}

func TestANilOptionLetsNoCallThrough(t *testing.T) {
	local := auth.NewAuthority()
	a := newAuth(t, local, "orders", auth.WithRules(auth.AllowAuthenticated()))
	shown := func(opts ...authgrpc.CredentialsOption) grpc.DialOption {
		return grpc.WithPerRPCCredentials(authgrpc.Credentials(a, auth.Destination{Audience: "orders"}, append([]authgrpc.CredentialsOption{authgrpc.WithInsecure()}, opts...)...))
	}
	_, bad := serve(t, a, nil)
	_, skip := serve(t, a, authgrpc.WithoutAuth(nil))
	_, request := serve(t, a, authgrpc.WithRequest(nil))
	_, good := serve(t, a)
	for name, c := range map[string]struct {
		addr string
		dial grpc.DialOption
		want codes.Code
		say  string
	}{
		"neither":     {good, shown(), codes.OK, ""},
		"interceptor": {bad, shown(), codes.Internal, "auth/grpc: interceptor: invalid: option 1 is nil"},
		"WithoutAuth": {skip, shown(), codes.Internal, "WithoutAuth(nil)"},
		"WithRequest": {request, shown(), codes.Internal, "WithRequest(nil)"},
		"credentials": {good, shown(nil), codes.Internal, "auth/grpc: credentials: invalid: option 2 is nil"},
	} {
		unary, stream, text := both(t.Context(), dial(t, c.addr, c.dial))
		if unary != c.want || stream != c.want || !strings.Contains(text, c.say) {
			t.Errorf("%s: %s and %s, want %s: %s", name, unary, stream, c.want, text)
		}
	}
}

func TestTokensAreNotSentInClear(t *testing.T) {
	a := newAuth(t, auth.NewAuthority(), "orders")
	if !authgrpc.Credentials(a, auth.Destination{}).RequireTransportSecurity() {
		t.Error("tokens may go in clear by default")
	}
	if _, err := grpc.NewClient("127.0.0.1:1", grpc.WithPerRPCCredentials(authgrpc.Credentials(a, auth.Destination{})), grpc.WithTransportCredentials(insecure.NewCredentials())); err == nil {
		t.Error("a connection without TLS took the credentials")
	}
}

func ExampleUnary() {
	local := auth.NewAuthority()
	au, err := auth.New(auth.Local(local), auth.WithService("greeter"), auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer au.Close()
	intercept := authgrpc.Unary(au)
	handler := func(ctx context.Context, _ any) (any, error) {
		caller, _ := auth.FromContext(ctx)
		return "hello " + caller.Subject, nil
	}
	info := &grpc.UnaryServerInfo{FullMethod: "/helloworld.Greeter/SayHello"}
	_, err = intercept(context.Background(), nil, info, handler)
	fmt.Println(err)

	alice, err := local.Issue("alice", "greeter", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+string(alice.AccessToken)))
	fmt.Println(intercept(ctx, nil, info, handler))
	// Output:
	// rpc error: code = Unauthenticated desc = not authenticated
	// hello alice <nil>
}

// A connection whose calls show the tokens of this service, with proofs if they
// are bound to its key.
func ExampleDialOptions() {
	frontend, err := auth.New(auth.WithService("frontend"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer frontend.Close()
	opts := append(authgrpc.DialOptions(frontend, auth.Destination{Audience: "greeter"}, authgrpc.WithInsecure()),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	conn, err := grpc.NewClient("127.0.0.1:9000", opts...)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(conn.Close())
	// Output: <nil>
}
