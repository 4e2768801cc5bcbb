package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
)

func TestWhatARequestShows(t *testing.T) {
	long := strings.Repeat("x", 16<<10)
	cert := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	for _, c := range []struct {
		name   string
		tls    *tls.ConnectionState
		auth   []string
		proofs []string
		uri    string
		ok     bool
		err    error
		cert   bool
		url    string // of the proof
	}{
		{"nothing", nil, nil, nil, "", false, nil, false, ""},
		{"TLS without a certificate", &tls.ConnectionState{}, nil, nil, "", false, nil, false, ""},
		{"a certificate", cert, nil, nil, "", true, nil, true, ""},
		{"a bearer", nil, []string{"Bearer t"}, nil, "", true, nil, false, ""},
		{"a bearer and a certificate", cert, []string{"Bearer t"}, nil, "", true, nil, true, ""},
		{"a bearer with two proofs", nil, []string{"Bearer t"}, []string{"p", "q"}, "", true, nil, false, ""},
		{"no scheme", nil, []string{"t"}, nil, "", false, auth.ErrUnauthenticated, false, ""},
		{"two and a certificate", cert, []string{"Bearer t", "Bearer t"}, nil, "", false, auth.ErrUnauthenticated, true, ""},
		{"DPoP without a proof", nil, []string{"DPoP t"}, nil, "", true, nil, false, ""},
		{"a proof", nil, []string{"DPoP t"}, []string{"p"}, "/a%20b?x", true, nil, false, "http://orders/a%20b?x"},
		{"a proof, with TLS", &tls.ConnectionState{}, []string{"DPoP t"}, []string{"p"}, "/a", true, nil, false, "https://orders/a"},
		{"a proof, to a proxy", nil, []string{"DPoP t"}, []string{"p"}, "http://proxy/a", true, nil, false, "http://orders/path"},
		{"a proof, no request line", nil, []string{"DPoP t"}, []string{"p"}, "", true, nil, false, "http://orders/path"},
		{"two proofs", nil, []string{"DPoP t"}, []string{"p", "q"}, "/a", false, auth.ErrProof, false, ""},
		{"as long as may be", nil, []string{"DPoP t"}, []string{long}, "/a", true, nil, false, "http://orders/a"},
		{"too long", nil, []string{"DPoP t"}, []string{long + "x"}, "/a", false, auth.ErrProof, false, ""},
	} {
		r := httptest.NewRequest("GET", "http://orders/path", nil)
		r.TLS, r.RequestURI = c.tls, c.uri
		r.Header = http.Header{"Authorization": c.auth, "Dpop": c.proofs}
		got, ok, err := auth.CredentialFromRequest(r)
		url := ""
		if got.Proof != nil {
			url = got.Proof.URL
		}
		if ok != c.ok || !errors.Is(err, c.err) || c.err == nil && err != nil || (got.TLS != nil) != c.cert || url != c.url {
			t.Errorf("%s: ok %t, %v, certificate %t, a proof for %q; want %t, %v, %t, %q", c.name, ok, err, got.TLS != nil, url, c.ok, c.err, c.cert, c.url)
		}
	}
}

func TestLengthOfAnAuthorization(t *testing.T) {
	for n, ok := range map[int]bool{16<<10 - 1: true, 16 << 10: true, 16<<10 + 1: false} {
		if _, token, err := auth.ParseAuthorization("Bearer " + strings.Repeat("a", n)); (err == nil) != ok || ok != (len(token) == n) {
			t.Errorf("a token of %d bytes: %v, want success %t", n, err, ok)
		}
	}
}

func TestTokenFromClaims(t *testing.T) {
	for _, c := range []struct {
		name   string
		claims map[string]any
		client string
		roles  []string
		scopes []string
		bad    string
	}{
		{"nothing", nil, "", nil, nil, ""},
		{"client_id", map[string]any{"client_id": "a", "azp": "b"}, "a", nil, nil, ""},
		{"azp", map[string]any{"azp": "b"}, "b", nil, nil, ""},
		{"roles", map[string]any{"roles": []any{"a"}, "role": "b"}, "", []string{"a"}, nil, ""},
		{"role", map[string]any{"role": "b"}, "", []string{"b"}, nil, ""},
		{"scope", map[string]any{"scope": "a b", "scp": []any{"c"}}, "", nil, []string{"a", "b"}, ""},
		{"an empty scope", map[string]any{"scope": "", "scp": []any{"c"}}, "", nil, nil, ""},
		{"scp", map[string]any{"scp": []any{"c", "d"}}, "", nil, []string{"c", "d"}, ""},
		{"a bad subject", map[string]any{"sub": 1}, "", nil, nil, "sub"},
		{"a bad client", map[string]any{"azp": true}, "", nil, nil, "azp"},
		{"bad roles", map[string]any{"roles": 1}, "", nil, nil, "roles"},
		{"a bad expiry", map[string]any{"exp": "soon"}, "", nil, nil, "exp"},
		{"a bad beginning", map[string]any{"nbf": "soon"}, "", nil, nil, "nbf"},
		{"a bad issue", map[string]any{"iat": "soon"}, "", nil, nil, "iat"},
	} {
		got, err := auth.TokenFromClaims(c.claims)
		if c.bad != "" {
			if got != nil || !errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), c.bad) {
				t.Errorf("%s: %v, %v, want ErrUnauthenticated with %q", c.name, got, err, c.bad)
			}
			continue
		}
		if err != nil || got.ClientID != c.client || !slices.Equal(got.Roles, c.roles) || !slices.Equal(got.Scopes, c.scopes) {
			t.Errorf("%s: %+v, %v, want client %q, roles %q, scopes %q", c.name, got, err, c.client, c.roles, c.scopes)
		}
	}
}

func TestWhatATokenSaysOfItself(t *testing.T) {
	var none *auth.Token
	bound := &auth.Token{Type: "Bearer", Claims: map[string]any{"cnf": map[string]any{}}}
	for _, c := range []struct {
		name  string
		token *auth.Token
		bound bool
		text  string
	}{
		{"none", none, false, "token(none)"},
		{"plain", &auth.Token{Type: "Bearer", Subject: "a", Scopes: []string{"s"}, Roles: []string{"r"}}, false, `token(subject="a" issuer="" id="")`},
		{"DPoP", &auth.Token{Type: "dpop"}, true, `token(subject="" issuer="" id="")`},
		{"with a key", bound, true, `token(subject="" issuer="" id="")`},
	} {
		has := c.name == "plain"
		if c.token.Bound() != c.bound || c.token.String() != c.text || c.token.HasScope("s") != has || c.token.HasRole("r") != has || c.token.HasScope("r") || c.token.HasRole("s") {
			t.Errorf("%s: bound %t, %s", c.name, c.token.Bound(), c.token)
		}
		var out lines
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "token", c.token)
		if got := strings.Join(out.take(), ""); strings.Contains(got, "token=none") != (c.token == nil) || strings.Contains(got, "token.subject=a") != has {
			t.Errorf("%s: written as %s", c.name, got)
		}
	}
	end := time.Now()
	for at, over := range map[time.Duration]bool{-1: false, 0: true, 1: true} {
		if (&auth.Token{ExpiresAt: end}).Expired(end.Add(at)) != over || (&auth.Token{}).Expired(end.Add(at)) {
			t.Errorf("%s after its end: want expired %t", at, over)
		}
	}
}

func TestIssueOfALocalAuthority(t *testing.T) {
	local := auth.NewAuthority()
	for _, c := range []struct {
		name, subject, audience string
		claims                  map[string]any
		bad                     string
	}{
		{"fine", "a", "orders", nil, ""},
		{"nobody", "", "orders", nil, "needs a subject"},
		{"for nobody", "a", "", nil, "needs a subject"},
		{"what is no JSON", "a", "orders", map[string]any{"x": func() {}}, "json"},
		{"roles of a wrong type", "a", "orders", map[string]any{"roles": 7}, "roles"},
	} {
		token, err := local.Issue(c.subject, c.audience, c.claims)
		if (err == nil) != (c.bad == "") || err != nil && (token != nil || !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), c.bad)) {
			t.Errorf("%s: %v, %v, want %q", c.name, token, err, c.bad)
		}
	}
	orders, frontend, _ := world(t)
	token, err := frontend.Token(t.Context(), auth.Audience("orders"), auth.Scopes("read", "write"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := orders.Verify(t.Context(), string(token.AccessToken)); err != nil || !slices.Equal(got.Scopes, []string{"read", "write"}) {
		t.Errorf("with scopes: %v, %v", got, err)
	}
	if token, err = frontend.Token(t.Context(), auth.Audience("orders")); err != nil || len(token.Scopes) > 0 || token.Claims["scope"] != nil {
		t.Errorf("without scopes: %+v, %v", token, err)
	}
	if a, err := auth.New(auth.Local(nil)); !errors.Is(err, auth.ErrInvalid) || a != nil {
		t.Errorf("Local(nil): %v, %v", a, err)
	}
}

// A token that is exchanged keeps the caller's roles, and gets none of the service.
func TestRolesOfAnExchangedToken(t *testing.T) {
	orders, frontend, local := world(t)
	for _, roles := range [][]string{nil, {"admin"}} {
		claims := map[string]any{}
		if roles != nil {
			claims["roles"] = roles
		}
		user, err := local.Issue("alice", "frontend", claims)
		if err != nil {
			t.Fatal(err)
		}
		token, err := frontend.Token(t.Context(), auth.Audience("orders"), auth.OnBehalfOf(user))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := orders.Verify(t.Context(), string(token.AccessToken)); err != nil || !slices.Equal(got.Roles, roles) || got.Subject != "alice" {
			t.Errorf("roles %q: %v with %q, %v", roles, got, got.Roles, err)
		}
	}
}

// Nonces are for callers of the scheme DPoP, and an Auth of somebody else's may
// have none.
func TestWhoGetsANonce(t *testing.T) {
	with, err := auth.New(auth.WithService("orders"), auth.WithNonces(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer with.Close()
	for _, c := range []struct {
		a      auth.Auth
		scheme string
		want   bool
	}{{with, "DPoP", true}, {with, "dpop", true}, {with, "Bearer", false}, {with, "", false}, {trusting{}, "DPoP", false}} {
		r := httptest.NewRequest("GET", "/", nil)
		if c.scheme != "" {
			r.Header.Set("Authorization", c.scheme+" x")
		}
		w := httptest.NewRecorder()
		auth.Handler(c.a, http.NotFoundHandler()).ServeHTTP(w, r)
		if got := w.Header().Get("DPoP-Nonce"); (got != "") != c.want {
			t.Errorf("%T, %q: nonce %q, want one %t", c.a, c.scheme, got, c.want)
		}
	}
	if shown, err := auth.NewPresenter(trusting{}).Present(&auth.Token{Type: "DPoP"}, "GET", "https://x"); !errors.Is(err, auth.ErrUnsupported) || shown.Authorization != "" {
		t.Errorf("Present without a key: %+v, %v, want ErrUnsupported", shown, err)
	}
}

// The token of a caller that is bound to the caller's key is of no use elsewhere.
func TestForwardingABoundToken(t *testing.T) {
	_, frontend, _ := world(t)
	plain := &auth.Token{AccessToken: "t", Type: "Bearer"}
	bound := &auth.Token{AccessToken: "t", Type: "Bearer", Claims: map[string]any{"cnf": map[string]any{"jkt": "x"}}}
	for _, c := range []struct {
		name   string
		scheme string
		caller *auth.Token
		ok     bool
	}{
		{"a bearer", "Bearer", plain, true}, {"a bearer, not verified", "Bearer", nil, true},
		{"DPoP", "dpop", plain, false}, {"DPoP, not verified", "DPoP", nil, false}, {"bound to a key", "Bearer", bound, false},
	} {
		ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Scheme: c.scheme, Value: "t"})
		if c.caller != nil {
			ctx = auth.ContextWithToken(ctx, c.caller)
		}
		got, err := auth.Outgoing(ctx, frontend, auth.Destination{Mode: auth.Forward})
		if (err == nil) != c.ok || c.ok && got.AccessToken != "t" || !c.ok && (got != nil || !errors.Is(err, auth.ErrUnsupported)) {
			t.Errorf("%s: %v, %v, want success %t", c.name, got, err, c.ok)
		}
	}
}

func TestNoncesThatAPresenterLearns(t *testing.T) {
	shop := authtest.NewBound(t).Auth(t, "shop")
	token, err := shop.Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	const wants = `DPoP error="use_dpop_nonce"`
	long := strings.Repeat("n", 1024)
	for _, c := range []struct {
		name, nonce, challenge string
		bearer                 bool
		again                  bool
	}{
		{"a nonce that is wanted", "n", wants, false, true},
		{"a nonce for the next time", "n", "", false, false},
		{"a nonce beside another refusal", "n", `DPoP error="invalid_token"`, false, false},
		{"none", "", wants, false, false},
		{"as long as may be", long, wants, false, true},
		{"too long", long + "n", wants, false, false},
		{"to who showed a bearer", "n", wants, true, false},
	} {
		p := auth.NewPresenter(shop)
		shown := token
		if c.bearer {
			shown = &auth.Token{AccessToken: "t"}
		}
		first, err := p.Present(shown, "GET", "https://orders/a")
		if err != nil {
			t.Fatal(err)
		}
		if again := p.Answered(first, c.nonce, c.challenge); again != c.again {
			t.Errorf("%s: again %t, want %t", c.name, again, c.again)
		}
		if !c.again {
			continue
		}
		second, err := p.Present(shown, "GET", "https://ORDERS/b")
		if err != nil {
			t.Fatal(err)
		}
		if p.Answered(second, c.nonce, c.challenge) {
			t.Errorf("%s: the nonce that was used is wanted again", c.name)
		}
		other, err := p.Present(shown, "GET", "https://stock/a")
		if err != nil {
			t.Fatal(err)
		}
		if !p.Answered(other, c.nonce, c.challenge) {
			t.Errorf("%s: another origin was shown the nonce", c.name)
		}
	}
}

// A request with a bound token is sent once more for a nonce, if it can be.
func TestTransportSendsAgainForANonce(t *testing.T) {
	authority := authtest.NewBound(t)
	orders := authority.Auth(t, "127.0.0.1", auth.WithRules(auth.AllowAuthenticated()), auth.WithNonces(nil))
	var got []string
	srv := httptest.NewServer(auth.Handler(orders, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, r.Method+" "+string(b))
	})))
	defer srv.Close()
	broken := func() (io.ReadCloser, error) { return nil, errors.New("gone") }
	for _, c := range []struct {
		name, method string
		body         io.ReadCloser
		again        func() (io.ReadCloser, error)
		status       int
		want         string
	}{
		{"no body", "GET", nil, nil, 200, "GET "},
		{"no method", "", nil, nil, 200, "GET "},
		{"NoBody", "POST", http.NoBody, nil, 200, "POST "},
		{"a body", "POST", io.NopCloser(strings.NewReader("x")), func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), nil }, 200, "POST x"},
		{"a body that can't be read again", "POST", io.NopCloser(strings.NewReader("x")), nil, 401, ""},
		{"a body that is gone", "POST", io.NopCloser(strings.NewReader("x")), broken, 401, ""},
	} {
		got = nil
		r, err := http.NewRequest("GET", srv.URL+"/a", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Method, r.Body, r.GetBody = c.method, c.body, c.again
		base := &http.Transport{}
		resp, err := auth.Transport(authority.Auth(t, "shop"), base).RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		resp.Body.Close()
		base.CloseIdleConnections()
		if resp.StatusCode != c.status || strings.Join(got, "|") != c.want {
			t.Errorf("%s: %d, the handler saw %q; want %d and %q", c.name, resp.StatusCode, got, c.status, c.want)
		}
	}
}

// idle is a base whose connections are closed.
type idle struct {
	roundTripper
	closed int
}

func (i *idle) CloseIdleConnections() { i.closed++ }

func TestTransportWithoutTheKeySendsNothing(t *testing.T) {
	f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) {
		return &auth.Token{AccessToken: "t", Type: "DPoP"}, nil
	}}
	base := &idle{roundTripper: func(*http.Request) (*http.Response, error) { return nil, errors.New("sent") }}
	body := &closing{Reader: strings.NewReader("x")}
	r, err := http.NewRequest("POST", "http://orders/", body)
	if err != nil {
		t.Fatal(err)
	}
	c := &http.Client{Transport: auth.Transport(f.open(t), base)}
	if _, err := c.Do(r); !errors.Is(err, auth.ErrUnsupported) || strings.Contains(err.Error(), "sent") || !body.closed {
		t.Errorf("%v, body closed %t; want ErrUnsupported and true", err, body.closed)
	}
	if c.CloseIdleConnections(); base.closed != 1 {
		t.Errorf("idle connections closed %d times, want once", base.closed)
	}
	(&http.Client{Transport: auth.Transport(f.open(t), base.roundTripper)}).CloseIdleConnections() // which has none
}
