package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
)

// world is two services on one local authority.
func world(t *testing.T, opts ...auth.Option) (orders, frontend auth.Auth, local *auth.Authority) {
	t.Helper()
	local = auth.NewAuthority()
	open := func(name string, opts ...auth.Option) auth.Auth {
		a, err := auth.New(append([]auth.Option{auth.Local(local), auth.WithService(name)}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a
	}
	return open("orders", opts...), open("frontend"), local
}

func TestHandlerAnswers(t *testing.T) {
	orders, frontend, _ := world(t, auth.WithRules(auth.Rule{ID: "r", Effect: auth.Allow, Subjects: []string{"frontend"}, Actions: []string{"GET"}, Resources: []string{"/ok", "/ok/"}}))
	h := auth.Handler(orders, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := auth.FromContext(r.Context())
		fmt.Fprintf(w, "hello %v", token)
	}), auth.WithoutAuth(func(r *http.Request) bool { return r.URL.Path == "/healthz" }))
	token, err := frontend.Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	good := "Bearer " + string(token.AccessToken)
	const offer = `, DPoP algs="ES256 EdDSA PS256 RS256"`
	const badToken = `Bearer error="invalid_token", error_description="the token is not accepted"` + offer
	const mayNot = `Bearer error="insufficient_scope", error_description="the token does not allow this"` + offer
	for _, c := range []struct {
		name, method, path string
		authorization      []string
		status             int
		challenge          string
	}{
		{"good", "GET", "/ok", []string{good}, 200, ""},
		{"the scheme in any case", "GET", "/ok", []string{"bEARER " + string(token.AccessToken)}, 200, ""},
		{"public", "GET", "/healthz", nil, 200, ""},
		{"nothing", "GET", "/ok", nil, 401, "Bearer" + offer},
		{"nonsense", "GET", "/ok", []string{"Bearer x"}, 401, badToken},
		{"basic", "GET", "/ok", []string{"Basic YTpi"}, 401, badToken},
		{"scheme alone", "GET", "/ok", []string{"Bearer"}, 401, badToken},
		{"empty", "GET", "/ok", []string{""}, 401, badToken},
		{"two headers", "GET", "/ok", []string{good, good}, 401, badToken},
		{"two tokens", "GET", "/ok", []string{good + ", " + good}, 401, badToken},
		{"huge", "GET", "/ok", []string{"Bearer " + strings.Repeat("a", 1<<20)}, 401, badToken},
		{"not allowed", "PUT", "/ok", []string{good}, 403, mayNot},
		{"another path", "GET", "/no", []string{good}, 403, mayNot},
		{"into the rules", "GET", "/no/../ok", []string{good}, 400, ""},
		{"out of the rules", "GET", "/ok/../no", []string{good}, 400, ""},
		{"into what is public", "GET", "/no/%2e%2e/healthz", nil, 400, ""},
		{"doubled slash", "GET", "//ok", []string{good}, 400, ""},
		{"slash at the end", "GET", "/ok/", []string{good}, 200, ""},
	} {
		r := httptest.NewRequest(c.method, "http://orders"+c.path, nil)
		r.Header["Authorization"] = c.authorization
		if c.authorization == nil {
			r.Header.Del("Authorization")
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("WWW-Authenticate") != c.challenge {
			t.Errorf("%s: %d %q, want %d %q", c.name, w.Code, w.Header().Get("WWW-Authenticate"), c.status, c.challenge)
		}
		if strings.Contains(w.Body.String(), string(token.AccessToken)) {
			t.Errorf("%s: the answer shows the token", c.name)
		}
		if c.status == 200 && c.path != "/healthz" && !strings.Contains(w.Body.String(), "frontend") {
			t.Errorf("%s: the handler saw %q", c.name, w.Body)
		}
	}
}

func TestAuthorityAwayIs503(t *testing.T) {
	f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return nil, auth.ErrUnavailable }}
	refused := 0
	h := auth.Handler(f.open(t), http.NotFoundHandler(), auth.WithRefusal(func(w http.ResponseWriter, _ *http.Request, err error) {
		refused++
		auth.WriteError(w, err)
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Authorization", "Bearer x")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if w.Code != 503 || w.Header().Get("WWW-Authenticate") != "" || refused != 1 {
		t.Errorf("%d %v, refused %d times, want 503", w.Code, w.Header(), refused)
	}
}

// Two callers with one token over two connections are two callers.
func TestClientCertificateIsPartOfTheCredential(t *testing.T) {
	f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
		if c.TLS == nil {
			return &auth.Token{Subject: "none"}, nil
		}
		return &auth.Token{Subject: string(c.TLS.PeerCertificates[0].Raw)}, nil
	}}
	a := f.open(t, auth.WithRules(auth.AllowAuthenticated()))
	for range 2 { // the second time out of the cache
		for _, who := range []string{"", "one", "two"} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Header.Set("Authorization", "Bearer same")
			if who != "" {
				r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{Raw: []byte(who)}}}
			}
			ctx, err := auth.AuthorizeHTTP(a, r, auth.Request{Service: "s"})
			if err != nil {
				t.Fatal(err)
			}
			if token, _ := auth.FromContext(ctx); token.Subject != who && !(who == "" && token.Subject == "none") {
				t.Errorf("the caller over %q is taken for %q", who, token.Subject)
			}
		}
	}
	if n := f.asked.Load(); n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
}

func TestTransportSendsTheRightToken(t *testing.T) {
	orders, frontend, local := world(t, auth.WithRules(auth.AllowAuthenticated()))
	user, err := local.Issue("alice", "frontend", nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx := auth.ContextWithToken(auth.ContextWithCredential(t.Context(), auth.Credential{Value: user.AccessToken}), user)
	var got string
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r.Header.Get("Authorization")
		if _, there := r.Header["Dpop"]; there {
			t.Error("a bearer token went with a proof")
		}
		return &http.Response{StatusCode: 200, Body: http.NoBody, Request: r}, nil
	})
	whose := func(ctx context.Context, opts ...auth.TransportOption) (subject, actor string) {
		t.Helper()
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://orders:8080/x", nil)
		if _, err := auth.Transport(frontend, base, opts...).RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if r.Header.Get("Authorization") != "" {
			t.Error("the caller's request was changed")
		}
		token, err := orders.Verify(t.Context(), strings.TrimPrefix(got, "Bearer "))
		if err != nil {
			return "refused", ""
		}
		act, _ := token.Claims["act"].(map[string]any)
		actor, _ = act["sub"].(string)
		return token.Subject, actor
	}
	to := func(d auth.Destination, ok bool) auth.TransportOption {
		return auth.WithDestination(func(*http.Request) (auth.Destination, bool) { return d, ok })
	}
	if s, _ := whose(ctx); s != "frontend" {
		t.Errorf("by default %q is seen, want the service itself", s)
	}
	if s, a := whose(ctx, to(auth.Destination{Audience: "orders", Mode: auth.Exchange}, true)); s != "alice" || a != "frontend" {
		t.Errorf("exchange: %q through %q is seen, want alice through frontend", s, a)
	}
	if s, _ := whose(t.Context(), to(auth.Destination{Audience: "orders", Mode: auth.Exchange}, true)); s != "frontend" {
		t.Errorf("exchange without a caller: %q is seen, want the service itself", s)
	}
	whose(ctx, to(auth.Destination{Mode: auth.Forward}, true))
	if got != "Bearer "+string(user.AccessToken) {
		t.Error("forward: the caller's token was not passed on")
	}
	if whose(ctx, to(auth.Destination{}, false)); got != "" {
		t.Error("a token was sent to a destination that gets none")
	}
	r, _ := http.NewRequest("GET", "http://orders/", nil)
	r.Header.Set("Authorization", "Bearer mine")
	auth.Transport(frontend, base).RoundTrip(r)
	if got != "Bearer mine" {
		t.Errorf("the caller's own header became %q", got)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRedirectToAnotherHostGetsNoToken(t *testing.T) {
	_, frontend, _ := world(t)
	var seen []string
	log := func(next http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			seen = append(seen, fmt.Sprintf("%s %t", r.URL.Path, r.Header.Get("Authorization") != ""))
			next(w, r)
		}
	}
	var other *httptest.Server
	other = httptest.NewServer(log(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" { // and on within the other host
			http.Redirect(w, r, other.URL+"/further", http.StatusFound)
		}
	}))
	defer other.Close()
	home := httptest.NewServer(log(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/start" {
			http.Redirect(w, r, "/within", http.StatusFound)
			return
		}
		http.Redirect(w, r, other.URL+"/other", http.StatusFound)
	}))
	defer home.Close()
	base := http.DefaultTransport.(*http.Transport).Clone()
	defer base.CloseIdleConnections()
	c := &http.Client{Transport: auth.Transport(frontend, base)}
	resp, err := c.Get(home.URL + "/start")
	if err != nil {
		t.Fatal(err)
	}
	io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	c.CloseIdleConnections()
	if got, want := fmt.Sprint(seen), "[/start true /within true /other false /further false]"; got != want {
		t.Errorf("tokens sent: %s, want %s", got, want)
	}
}

type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestTransportClosesTheBodyWhenThereIsNoToken(t *testing.T) {
	f := &fake{obtain: func(context.Context, auth.TokenRequest) (*auth.Token, error) { return nil, auth.ErrUnavailable }}
	body := &closing{Reader: strings.NewReader("x")}
	r, _ := http.NewRequest("POST", "http://orders/", body)
	_, err := auth.Transport(f.open(t), roundTripper(func(*http.Request) (*http.Response, error) {
		t.Error("sent without a token")
		return nil, nil
	})).RoundTrip(r)
	if !errors.Is(err, auth.ErrUnavailable) || !body.closed {
		t.Errorf("%v, body closed %t; want ErrUnavailable and true", err, body.closed)
	}
}

func TestFrontIsCarefulWithCredentials(t *testing.T) {
	f := &fake{verify: func(context.Context, auth.Credential) (*auth.Token, error) { return &auth.Token{Subject: "a"}, nil }}
	a := f.open(t, auth.WithRules(auth.AllowAuthenticated()))
	for name, c := range map[string]struct {
		cred auth.Credential
		want error
	}{
		"basic":               {auth.Credential{Scheme: "Basic", Value: "YTpi"}, auth.ErrUnauthenticated},
		"nothing":             {auth.Credential{}, auth.ErrNoCredential},
		"TLS, no certificate": {auth.Credential{TLS: &tls.ConnectionState{}}, auth.ErrNoCredential},
		"bearer over TLS":     {auth.Credential{Value: "x", TLS: &tls.ConnectionState{}}, nil},
	} {
		if _, err := a.Authorized(auth.ContextWithCredential(t.Context(), c.cred), auth.Request{}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func FuzzParseAuthorization(f *testing.F) {
	for _, s := range []string{"Bearer abc", "bearer  a.b-c_d~e+f/g=", "Basic YTpi", "Bearer", "Bearer a b", "Bearer a,b", "Bearer \x00", "Bearer é"} {
		f.Add(s)
	}
	f.Add("dpop abc")
	f.Fuzz(func(t *testing.T, in string) {
		scheme, token, err := auth.ParseAuthorization(in)
		switch {
		case err != nil && (!errors.Is(err, auth.ErrUnauthenticated) || token != "" || scheme != ""):
			t.Fatalf("%q: %q, %v", in, scheme, err)
		case err == nil && (scheme != "Bearer" && scheme != "DPoP" || token == "" || strings.ContainsAny(string(token), " ,;\"\r\n\t\x00") || !strings.HasSuffix(in, string(token))):
			t.Fatalf("%q: %q %q", in, scheme, string(token))
		}
	})
}

func TestANilOptionLetsNothingThrough(t *testing.T) {
	var told []error
	orders, frontend, _ := world(t, auth.WithRules(auth.AllowAuthenticated()), auth.WithRefusals(func(_ context.Context, r auth.Refusal) { told = append(told, r.Err) }))
	token, err := frontend.Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		opt  auth.HandlerOption
		want int
	}{
		"nil":            {nil, 500},
		"WithRequest":    {auth.WithRequest(nil), 500},
		"WithoutAuth":    {auth.WithoutAuth(nil), 500},
		"WithRefusal":    {auth.WithRefusal(nil), 500},
		"a usable one":   {auth.WithoutAuth(func(*http.Request) bool { return false }), 204},
		"EncodedSlashes": {auth.WithEncodedSlashes(), 204},
	} {
		told = nil
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Authorization", "Bearer "+string(token.AccessToken))
		w, called := httptest.NewRecorder(), false
		auth.Handler(orders, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { called = true; w.WriteHeader(204) }), c.opt).ServeHTTP(w, r)
		if w.Code != c.want || called != (c.want == 204) {
			t.Errorf("Handler, %s: %d, the handler was called: %v", name, w.Code, called)
		}
		if c.want == 500 && (len(told) != 1 || !errors.Is(told[0], auth.ErrInvalid) || !strings.Contains(told[0].Error(), "auth: handler")) {
			t.Errorf("Handler, %s: told %v", name, told)
		}
	}
	sent := 0
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: 204, Body: http.NoBody, Request: r}, nil
	})
	for name, opt := range map[string]auth.TransportOption{"nil": nil, "WithDestination": auth.WithDestination(nil)} {
		_, err := (&http.Client{Transport: auth.Transport(frontend, base, opt)}).Get("http://orders/")
		if !errors.Is(err, auth.ErrInvalid) || sent != 0 {
			t.Errorf("Transport, %s: %v, %d sent", name, err, sent)
		}
	}
	if _, err := orders.Token(t.Context(), nil); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("Token with a nil option: %v, want ErrInvalid", err)
	}
}
