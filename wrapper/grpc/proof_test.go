package grpc_test

import (
	"context"
	"crypto/x509"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	authdriver "github.com/micro/go-platform/auth/driver"
	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// proofs notes what proofs the calls of a server have, before anything else.
type proofs struct {
	mu  sync.Mutex
	all []string
}

func (p *proofs) note(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all = append(p.all, metadata.ValueFromIncomingContext(ctx, "dpop")...)
}

// different returns how many proofs there were, and whether none occurred twice.
func (p *proofs) different() (n int, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := slices.Clone(p.all)
	slices.Sort(all)
	return len(all), len(slices.Compact(all)) == len(p.all)
}

func (p *proofs) interceptors() []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			p.note(ctx)
			return next(ctx, req)
		}),
		grpc.ChainStreamInterceptor(func(srv any, s grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			p.note(s.Context())
			return next(srv, s)
		}),
	}
}

func read(ctx context.Context, c grpc.ClientConnInterface) error {
	s, err := c.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/test.Echo/Down")
	if err != nil {
		return err
	}
	if err := s.CloseSend(); err != nil {
		return err
	}
	return s.RecvMsg(new(text))
}

func TestTokensWithProofs(t *testing.T) {
	for name, opts := range map[string][]auth.Option{"no nonces": nil, "nonces": {auth.WithNonces(nil)}} {
		t.Run(name, func(t *testing.T) { both(t, func(t *testing.T, dial dialer) { testProofs(t, dial, opts) }) })
	}
}

func testProofs(t *testing.T, dial dialer, opts []auth.Option) {
	authority := authtest.NewBound(t)
	sw := newWrapper(t, "echo", wrapper.WithAuth(authority.Auth(t, "echo", append(opts, auth.WithRules(auth.AllowAuthenticated()))...)))
	var fail codes.Code
	e := &echo{unary: func(ctx context.Context, in string) (string, error) {
		if code := fail; code != codes.OK {
			fail = codes.OK
			return "", status.Error(code, "once")
		}
		caller, _ := auth.FromContext(ctx)
		return in + " " + caller.Subject, nil
	}, stream: func(s grpc.ServerStream) error { return s.SendMsg(&text{}) }}
	seen := &proofs{}
	addr, _ := serve(t, e, sw, seen.interceptors()...)
	rec := newRecorder()
	c := dial(t, with(t, wrapper.WithAuth(authority.Auth(t, "shop")), wrapper.WithObserver(rec)), []string{addr},
		wgrpc.WithIdempotent(func(string) bool { return true }))
	extra := 0 // the first call is sent once more where nonces are wanted
	if opts != nil {
		extra = 1
	}
	for i := range 3 {
		got, err := say(t.Context(), c, "hi")
		n, different := seen.different()
		if err != nil || got != "hi shop" || n != i+1+extra || !different {
			t.Errorf("call %d: %q, %v, after %d proofs, all different %t", i, got, err, n, different)
		}
		if call := rec.last(t); call.Attempts != 1 {
			t.Errorf("call %d was sent in %d attempts, want one", i, call.Attempts)
		}
	}
	fail = codes.Unavailable
	got, err := say(t.Context(), c, "again")
	if n, different := seen.different(); err != nil || got != "again shop" || n != 5+extra || !different {
		t.Errorf("sent again: %q, %v, after %d proofs, all different %t", got, err, n, different)
	}
	if call := rec.last(t); call.Attempts != 2 {
		t.Errorf("sent again: %d attempts, want 2", call.Attempts)
	}
	if err := read(t.Context(), c); err != nil {
		t.Errorf("a stream: %v", err)
	}
	// Own credentials of a call are shown, too; an authorization of its own alone.
	for name, c2 := range map[string]struct {
		md   map[string]string
		want codes.Code
	}{"another header": {map[string]string{"x-own": "1"}, codes.OK}, "an authorization": {map[string]string{"authorization": "Bearer x"}, codes.Unauthenticated}} {
		err := c.Invoke(t.Context(), "/test.Echo/Say", &text{Value: "x"}, new(text), grpc.PerRPCCredentials(own(c2.md)))
		if status.Code(err) != c2.want {
			t.Errorf("%s: %v, want %s", name, err, c2.want)
		}
	}
}

// own is credentials of the caller's own.
type own map[string]string

func (o own) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return o, nil
}
func (o own) RequireTransportSecurity() bool { return false }

// What is stolen is of no use: nothing without the proof, for another method, or
// twice.
func TestStolenProofs(t *testing.T) {
	authority := authtest.NewBound(t)
	echoAuth := authority.Auth(t, "echo", auth.WithRules(auth.AllowAuthenticated()))
	e := &echo{unary: func(context.Context, string) (string, error) { return "", nil }, stream: func(s grpc.ServerStream) error { return s.SendMsg(&text{}) }}
	addr, _ := serve(t, e, newWrapper(t, "echo", wrapper.WithAuth(echoAuth)))
	cc, err := grpc.NewClient("passthrough:///"+addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	shop, thief := authority.Auth(t, "shop"), authority.Auth(t, "thief")
	token, err := shop.Token(t.Context(), auth.Audience("echo"))
	if err != nil {
		t.Fatal(err)
	}
	good := "http://" + addr + "/test.Echo/Say"
	for name, c := range map[string]struct {
		scheme      string
		by          auth.Auth
		method, url string
		times       int
		want        codes.Code
	}{
		"as it should be":    {"DPoP ", shop, "POST", good, 1, codes.OK},
		"twice":              {"DPoP ", shop, "POST", good, 2, codes.Unauthenticated},
		"another's key":      {"DPoP ", thief, "POST", good, 1, codes.Unauthenticated},
		"another method":     {"DPoP ", shop, "POST", "http://" + addr + "/test.Echo/Down", 1, codes.Unauthenticated},
		"another host":       {"DPoP ", shop, "POST", "http://other/test.Echo/Say", 1, codes.Unauthenticated},
		"another scheme":     {"DPoP ", shop, "POST", "https://" + addr + "/test.Echo/Say", 1, codes.Unauthenticated},
		"GET":                {"DPoP ", shop, "GET", good, 1, codes.Unauthenticated},
		"as a bearer":        {"Bearer ", shop, "POST", good, 1, codes.Unauthenticated},
		"without the header": {"DPoP ", nil, "", "", 1, codes.Unauthenticated},
	} {
		md := metadata.Pairs("authorization", c.scheme+string(token.AccessToken))
		if c.by != nil {
			proof, err := c.by.(authdriver.Prover).Prove(c.method, c.url, token.AccessToken, "")
			if err != nil {
				t.Fatal(err)
			}
			md.Set("dpop", string(proof))
		}
		var err error
		for range c.times {
			err = cc.Invoke(metadata.NewOutgoingContext(t.Context(), md), "/test.Echo/Say", &text{}, new(text))
		}
		if status.Code(err) != c.want {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}

// auth/grpc alone, without a wrapper at the client.
func TestDialOptionsSendProofs(t *testing.T) {
	for name, opts := range map[string][]auth.Option{"no nonces": nil, "nonces": {auth.WithNonces(nil)}} {
		authority := authtest.NewBound(t)
		e := &echo{unary: func(ctx context.Context, _ string) (string, error) {
			caller, _ := auth.FromContext(ctx)
			return caller.Subject, nil
		}, stream: func(s grpc.ServerStream) error { return s.SendMsg(&text{}) }}
		addr, _ := serve(t, e, newWrapper(t, "echo", wrapper.WithAuth(authority.Auth(t, "echo", append(opts, auth.WithRules(auth.AllowAuthenticated()))...))))
		cc, err := grpc.NewClient("passthrough:///"+addr, append(authgrpc.DialOptions(authority.Auth(t, "shop"), auth.Destination{Audience: "echo"}, authgrpc.WithInsecure()),
			grpc.WithTransportCredentials(insecure.NewCredentials()))...)
		if err != nil {
			t.Fatal(err)
		}
		defer cc.Close()
		err = read(t.Context(), cc) // it is not opened again, but the nonce is learnt
		if want := map[bool]codes.Code{true: codes.OK, false: codes.Unauthenticated}[opts == nil]; status.Code(err) != want {
			t.Errorf("%s: the first stream: %v, want %s", name, err, want)
		}
		if err := read(t.Context(), cc); err != nil {
			t.Errorf("%s: the second stream: %v", name, err)
		}
		out := new(text)
		if err := cc.Invoke(t.Context(), "/test.Echo/Say", &text{}, out); err != nil || out.Value != "shop" {
			t.Errorf("%s: %q, %v", name, out.Value, err)
		}
	}
}

// Over TLS a proof is for https, at both ends.
func TestProofsOverTLS(t *testing.T) {
	certs := httptest.NewTLSServer(nil) // for its certificate
	defer certs.Close()
	authority := authtest.NewBound(t)
	e := &echo{unary: func(ctx context.Context, _ string) (string, error) {
		caller, _ := auth.FromContext(ctx)
		return caller.Subject, nil
	}, stream: func(s grpc.ServerStream) error { return s.SendMsg(&text{}) }}
	sw := newWrapper(t, "echo", wrapper.WithAuth(authority.Auth(t, "echo", auth.WithNonces(nil), auth.WithRules(auth.AllowAuthenticated()))))
	addr, _ := serve(t, e, sw, grpc.Creds(credentials.NewServerTLSFromCert(&certs.TLS.Certificates[0])))
	roots := x509.NewCertPool()
	roots.AddCert(certs.Certificate())
	secure := grpc.WithTransportCredentials(credentials.NewClientTLSFromCert(roots, ""))
	shop := authority.Auth(t, "shop")
	cc, err := grpc.NewClient("passthrough:///"+addr, append(authgrpc.DialOptions(shop, auth.Destination{Audience: "echo"}), secure)...)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	out := new(text)
	if err := cc.Invoke(t.Context(), "/test.Echo/Say", &text{}, out); err != nil || out.Value != "shop" {
		t.Errorf("auth/grpc: %q, %v", out.Value, err)
	}
	w := newWrapper(t, "shop", wrapper.WithAuth(shop))
	wrapped, err := grpc.NewClient("passthrough:///"+addr, append(wgrpc.DialOptions(w, wgrpc.WithService("echo")), secure)...)
	if err != nil {
		t.Fatal(err)
	}
	defer wrapped.Close()
	out.Reset()
	if err := wrapped.Invoke(t.Context(), "/test.Echo/Say", &text{}, out); err != nil || out.Value != "shop" {
		t.Errorf("wrapper/grpc: %q, %v", out.Value, err)
	}
	// A proof for http, which somebody without the connection could send on.
	bare, err := grpc.NewClient("passthrough:///"+addr, secure)
	if err != nil {
		t.Fatal(err)
	}
	defer bare.Close()
	token, err := shop.Token(t.Context(), auth.Audience("echo"))
	if err != nil {
		t.Fatal(err)
	}
	nonce := sw.Adapter().Auth().(authdriver.NonceRequirer).ProofNonce()
	for scheme, want := range map[string]codes.Code{"https": codes.OK, "http": codes.Unauthenticated} {
		proof, err := shop.(authdriver.Prover).Prove("POST", scheme+"://"+addr+"/test.Echo/Say", token.AccessToken, nonce)
		if err != nil {
			t.Fatal(err)
		}
		ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "DPoP "+string(token.AccessToken), "dpop", string(proof))
		if err := bare.Invoke(ctx, "/test.Echo/Say", &text{}, out); status.Code(err) != want {
			t.Errorf("a proof for %s: %v, want %s", scheme, err, want)
		}
	}
}
