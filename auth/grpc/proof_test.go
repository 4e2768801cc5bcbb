package grpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/big"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	authgrpc "github.com/micro/go-platform/auth/grpc"
	"github.com/micro/go-platform/auth/mtls"
	"github.com/micro/go-platform/auth/static"
)

// secured serves with TLS, and asks callers for their certificates.
func secured(t *testing.T, a auth.Auth) (addr string, roots *x509.CertPool) {
	t.Helper()
	web := httptest.NewUnstartedServer(nil)
	web.StartTLS()
	defer web.Close()
	roots = x509.NewCertPool()
	roots.AddCert(web.Certificate())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := grpc.NewServer(grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: web.TLS.Certificates, ClientAuth: tls.RequestClientCert})),
		grpc.ChainUnaryInterceptor(authgrpc.Unary(a)), grpc.ChainStreamInterceptor(authgrpc.Stream(a)))
	healthpb.RegisterHealthServer(g, &server{})
	go g.Serve(l)
	t.Cleanup(g.Stop)
	return l.Addr().String(), roots
}

func secureDial(t *testing.T, addr string, config *tls.Config, opts ...grpc.DialOption) healthpb.HealthClient {
	t.Helper()
	conn, err := grpc.NewClient(addr, append(opts, grpc.WithTransportCredentials(credentials.NewTLS(config)))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return healthpb.NewHealthClient(conn)
}

// The proof is for the address as both sides know it, with TLS and without.
func TestTokensBoundToAKey(t *testing.T) {
	authority := authtest.NewBound(t)
	orders := authority.Auth(t, "orders", auth.WithRules(auth.AllowAuthenticated()))
	host := authority.Auth(t, "127.0.0.1", auth.WithRules(auth.AllowAuthenticated()))
	shop := authority.Auth(t, "shop")
	named := auth.Destination{Audience: "orders"}
	_, clear := serve(t, orders)
	_, clearHost := serve(t, host)
	safe, roots := secured(t, orders)
	safeHost, hostRoots := secured(t, host)
	for _, c := range []struct {
		name, addr string
		roots      *x509.CertPool // nil: no TLS
		to         auth.Destination
		want       codes.Code
	}{
		{"in clear", clear, nil, named, codes.OK},
		{"with TLS", safe, roots, named, codes.OK},
		{"for the host, in clear", clearHost, nil, auth.Destination{}, codes.OK},
		{"for the host, with TLS", safeHost, hostRoots, auth.Destination{}, codes.OK},
		{"for the host, where a name is wanted", safe, roots, auth.Destination{}, codes.Unauthenticated},
		{"for a name, where the host is wanted", clearHost, nil, named, codes.Unauthenticated},
	} {
		dialed := func(opts ...grpc.DialOption) healthpb.HealthClient {
			if c.roots == nil {
				return dial(t, c.addr, opts...)
			}
			return secureDial(t, c.addr, &tls.Config{RootCAs: c.roots}, opts...)
		}
		var more []authgrpc.CredentialsOption
		if c.roots == nil {
			more = append(more, authgrpc.WithInsecure())
		}
		for way, client := range map[string]healthpb.HealthClient{
			"Credentials": dialed(grpc.WithPerRPCCredentials(authgrpc.Credentials(shop, c.to, more...))),
			"DialOptions": dialed(authgrpc.DialOptions(shop, c.to, more...)...),
		} {
			if unary, stream, text := both(t.Context(), client); unary != c.want || stream != c.want {
				t.Errorf("%s, %s: %s and %s, want %s: %s", c.name, way, unary, stream, c.want, text)
			}
		}
	}
}

func TestNoncesAreLearntFromTrailers(t *testing.T) {
	authority := authtest.NewBound(t)
	_, addr := serve(t, authority.Auth(t, "orders", auth.WithRules(auth.AllowAuthenticated()), auth.WithNonces(nil)))
	shop, to := authority.Auth(t, "shop"), auth.Destination{Audience: "orders"}
	learns := dial(t, addr, authgrpc.DialOptions(shop, to, authgrpc.WithInsecure())...)
	streams := dial(t, addr, authgrpc.DialOptions(shop, to, authgrpc.WithInsecure())...)
	never := dial(t, addr, grpc.WithPerRPCCredentials(authgrpc.Credentials(shop, to, authgrpc.WithInsecure())))
	stream := func(c healthpb.HealthClient) codes.Code {
		s, err := c.Watch(t.Context(), &healthpb.HealthCheckRequest{})
		if err == nil {
			_, err = s.Recv()
		}
		return status.Code(err)
	}
	unary := func(c healthpb.HealthClient) codes.Code {
		_, err := c.Check(t.Context(), &healthpb.HealthCheckRequest{})
		return status.Code(err)
	}
	for _, c := range []struct {
		name string
		call func(healthpb.HealthClient) codes.Code
		by   healthpb.HealthClient
		want codes.Code
	}{
		{"a call is made once more", unary, learns, codes.OK},
		{"a stream is not", stream, streams, codes.Unauthenticated},
		{"the next stream has the nonce", stream, streams, codes.OK},
		{"Credentials learns nothing", unary, never, codes.Unauthenticated},
		{"nor later", unary, never, codes.Unauthenticated},
	} {
		if got := c.call(c.by); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// A call is made once more if it lacked a nonce and for no other reason, and
// what the second answer says counts for the next call.
func TestACallIsMadeOnceMoreForANonceOnly(t *testing.T) {
	shop := authtest.NewBound(t).Auth(t, "shop")
	refused := status.Error(codes.Unauthenticated, "not authenticated")
	type answer struct {
		nonce, challenge string
		err              error
	}
	for _, c := range []struct {
		name    string
		answers []answer
		calls   int
		ok      bool
		next    string // the nonce of the next proof
	}{
		{"fine", []answer{{"", "", nil}}, 1, true, ""},
		{"fine, with a nonce", []answer{{"one", "", nil}}, 1, true, "one"},
		{"fine, whatever is said", []answer{{"one", "DPoP error=use_dpop_nonce", nil}}, 1, true, "one"},
		{"refused", []answer{{"", "", refused}}, 1, false, ""},
		{"refused, with a nonce", []answer{{"one", "DPoP error=invalid_token", refused}}, 1, false, "one"},
		{"for the nonce", []answer{{"one", "DPoP error=use_dpop_nonce", refused}, {"", "", nil}}, 2, true, "one"},
		{"for the nonce, and another one then", []answer{{"one", "DPoP error=use_dpop_nonce", refused}, {"two", "", nil}}, 2, true, "two"},
		{"for the nonce, indefinitely", []answer{{"one", "DPoP error=use_dpop_nonce", refused}, {"two", "DPoP error=use_dpop_nonce", refused}}, 2, false, "two"},
	} {
		presenter := auth.NewPresenter(shop)
		token, err := shop.Token(t.Context(), auth.Audience("orders"))
		if err != nil {
			t.Fatal(err)
		}
		nonce := func(shown *authgrpc.Shown) string {
			md, err := shown.GetRequestMetadata(t.Context(), "https://orders/shop.Orders")
			if err != nil {
				t.Fatal(err)
			}
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(md["dpop"], ".")[1])
			if err != nil {
				t.Fatal(err)
			}
			var claims struct{ Nonce string }
			if err := json.Unmarshal(payload, &claims); err != nil {
				t.Fatal(err)
			}
			return claims.Nonce
		}
		shown, calls := authgrpc.Show(presenter, token), 0
		err = shown.Call(func(opts ...grpc.CallOption) error {
			nonce(shown)
			a := c.answers[min(calls, len(c.answers)-1)]
			calls++
			trailer := opts[0].(grpc.TrailerCallOption).TrailerAddr
			*trailer = metadata.Pairs("dpop-nonce", a.nonce, "www-authenticate", a.challenge)
			return a.err
		})
		if next := nonce(authgrpc.Show(presenter, token)); calls != c.calls || (err == nil) != c.ok || next != c.next {
			t.Errorf("%s: %d calls, %v, then the nonce %q; want %d, success %t, %q", c.name, calls, err, next, c.calls, c.ok, c.next)
		}
	}
}

// What a caller of the scheme DPoP is told stands in the trailers; others are
// told nothing.
func TestTrailersOfRefusedCalls(t *testing.T) {
	authority := authtest.NewBound(t)
	_, addr := serve(t, authority.Auth(t, "orders", auth.WithNonces(nil)))
	plain := dial(t, addr)
	for name, c := range map[string]struct {
		md    []string
		says  string
		nonce bool
	}{
		"a bearer":        {[]string{"authorization", "Bearer x"}, "", false},
		"nothing":         {nil, "", false},
		"a bad DPoP":      {[]string{"authorization", "DPoP x", "dpop", "y"}, `DPoP error="invalid_token"`, true},
		"DPoP, two proof": {[]string{"authorization", "DPoP x", "dpop", "y", "dpop", "z"}, `DPoP error="invalid_dpop_proof"`, true},
	} {
		var trailer metadata.MD
		_, err := plain.Check(metadata.AppendToOutgoingContext(t.Context(), c.md...), &healthpb.HealthCheckRequest{}, grpc.Trailer(&trailer))
		says := strings.Join(trailer.Get("www-authenticate"), "|")
		if status.Code(err) != codes.Unauthenticated || !strings.HasPrefix(says, c.says) || (says == "") != (c.says == "") || (len(trailer.Get("dpop-nonce")) == 1) != c.nonce {
			t.Errorf("%s: %v, trailers %v, want %q and a nonce %t", name, err, trailer, c.says, c.nonce)
		}
	}
}

func TestCallersAreKnownByTheirCertificates(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "shop"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	cert, roots := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, x509.NewCertPool()
	roots.AddCert(leaf)
	a, err := auth.New(mtls.Backend(roots),
		auth.WithAnyAudience(), auth.WithRules(auth.Rule{ID: "r", Effect: auth.Allow, Subjects: []string{"shop"}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	addr, serverRoots := secured(t, a)
	for name, c := range map[string]struct {
		certificates []tls.Certificate
		want         codes.Code
	}{"with one": {[]tls.Certificate{cert}, codes.OK}, "without": {nil, codes.Unauthenticated}} {
		unary, stream, text := both(t.Context(), secureDial(t, addr, &tls.Config{RootCAs: serverRoots, Certificates: c.certificates}))
		if unary != c.want || stream != c.want {
			t.Errorf("%s: %s and %s, want %s: %s", name, unary, stream, c.want, text)
		}
	}
}

// method is the server's side of a call.
type method struct{ grpc.ServerTransportStream }

func (method) Method() string { return "/shop.Orders/Get" }

func TestWhatACallShows(t *testing.T) {
	plain := func(md ...string) context.Context {
		return grpc.NewContextWithServerTransportStream(metadata.NewIncomingContext(t.Context(), metadata.Pairs(md...)), method{})
	}
	withPeer := func(info credentials.AuthInfo, md ...string) context.Context {
		return peer.NewContext(plain(md...), &peer.Peer{AuthInfo: info})
	}
	shown := tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	proof := []string{"authorization", "DPoP t", "dpop", "p", ":authority", "orders:80"}
	long := strings.Repeat("x", 16<<10)
	for _, c := range []struct {
		name string
		ctx  context.Context
		ok   bool
		err  error
		tls  bool
		url  string // of the proof
	}{
		{"nothing", plain(), false, nil, false, ""},
		{"a connection in clear", withPeer(nil), false, nil, false, ""},
		{"TLS without a certificate", withPeer(credentials.TLSInfo{}), false, nil, false, ""},
		{"a certificate", withPeer(credentials.TLSInfo{State: shown}), true, nil, true, ""},
		{"a bearer", plain("authorization", "Bearer t"), true, nil, false, ""},
		{"a bearer and a certificate", withPeer(credentials.TLSInfo{State: shown}, "authorization", "Bearer t"), true, nil, true, ""},
		{"no scheme", plain("authorization", "t"), false, auth.ErrUnauthenticated, false, ""},
		{"two", plain("authorization", "Bearer t", "authorization", "Bearer t"), false, auth.ErrUnauthenticated, false, ""},
		{"two and a certificate", withPeer(credentials.TLSInfo{State: shown}, "authorization", "Bearer t", "authorization", "Bearer t"), false, auth.ErrUnauthenticated, true, ""},
		{"a proof", plain(proof...), true, nil, false, "http://orders:80/shop.Orders/Get"},
		{"a proof, in clear", withPeer(nil, proof...), true, nil, false, "http://orders:80/shop.Orders/Get"},
		{"a proof, with TLS", withPeer(credentials.TLSInfo{}, proof...), true, nil, false, "https://orders:80/shop.Orders/Get"},
		{"a bearer with two proofs", plain("authorization", "Bearer t", "dpop", "p", "dpop", "q"), true, nil, false, ""},
		{"DPoP without a proof", plain("authorization", "DPoP t"), true, nil, false, ""},
		{"two proofs", plain(append(proof, "dpop", "q")...), false, auth.ErrProof, false, ""},
		{"two authorities", plain(append(proof, ":authority", "stock")...), false, auth.ErrProof, false, ""},
		{"no authority", plain(proof[:4]...), false, auth.ErrProof, false, ""},
		{"no method", metadata.NewIncomingContext(t.Context(), metadata.Pairs(proof...)), false, auth.ErrProof, false, ""},
		{"as long as may be", plain("authorization", "DPoP t", "dpop", long, ":authority", "o"), true, nil, false, "http://o/shop.Orders/Get"},
		{"too long", plain("authorization", "DPoP t", "dpop", long+"x", ":authority", "o"), false, auth.ErrProof, false, ""},
	} {
		got, ok, err := authgrpc.CredentialFromContext(c.ctx)
		if ok != c.ok || !errors.Is(err, c.err) || (got.TLS != nil) != c.tls {
			t.Errorf("%s: ok %t, %v, TLS %t; want %t, %v, %t", c.name, ok, err, got.TLS != nil, c.ok, c.err, c.tls)
		}
		if url := proofURL(got); url != c.url {
			t.Errorf("%s: a proof for %q, want %q", c.name, url, c.url)
		}
	}
}

func proofURL(c auth.Credential) string {
	if c.Proof == nil {
		return ""
	}
	return c.Proof.URL
}

// gRPC always says where a call goes; who asks the credentials by hand may not.
func TestCredentialsWithoutAnAddress(t *testing.T) {
	shop := authtest.NewBound(t).Auth(t, "shop")
	local := newAuth(t, auth.NewAuthority(), "orders")
	none, err := auth.New(auth.WithAnyAudience(), static.Backend(static.Caller{Token: "0123456789abcdef", Subject: "x"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { none.Close() })
	for _, c := range []struct {
		name   string
		by     credentials.PerRPCCredentials
		uri    []string
		scheme string
		code   codes.Code
	}{
		{"bearer", authgrpc.Credentials(local, auth.Destination{}), nil, "Bearer", codes.OK},
		{"bearer, no URL", authgrpc.Credentials(local, auth.Destination{}), []string{"https://a b"}, "Bearer", codes.OK},
		{"bound", authgrpc.Credentials(shop, auth.Destination{Audience: "orders"}), []string{"https://orders/shop.Orders"}, "DPoP", codes.OK},
		{"bound to nowhere", authgrpc.Credentials(shop, auth.Destination{Audience: "orders"}), nil, "", codes.Unavailable},
		{"without a token", authgrpc.Credentials(none, auth.Destination{}), []string{"https://orders/shop.Orders"}, "", codes.Unavailable},
		{"without the key", authgrpc.Show(auth.NewPresenter(none), &auth.Token{Type: "DPoP", AccessToken: "x"}), []string{"https://orders/shop.Orders"}, "", codes.Unavailable},
	} {
		md, err := c.by.GetRequestMetadata(t.Context(), c.uri...)
		scheme, _, _ := strings.Cut(md["authorization"], " ")
		_, proof := md["dpop"]
		if status.Code(err) != c.code || scheme != c.scheme || proof != (c.scheme == "DPoP") {
			t.Errorf("%s: %q, proof %t, %v; want %q, %s", c.name, scheme, proof, err, c.scheme, c.code)
		}
	}
}
