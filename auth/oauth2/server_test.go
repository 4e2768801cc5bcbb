package oauth2_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/auth/oauth2"
)

// stub is a server whose every answer a test decides.
type stub struct {
	*httptest.Server
	metadata   map[string]any
	introspect func(w http.ResponseWriter, r *http.Request)
	token      func(w http.ResponseWriter, r *http.Request)
	fetched    atomic.Int64
}

func newStub(t *testing.T) *stub {
	s := &stub{}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		s.fetched.Add(1)
		json.NewEncoder(w).Encode(s.metadata)
	})
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) { s.introspect(w, r) })
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) { s.token(w, r) })
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	s.metadata = map[string]any{
		"issuer": s.URL, "authorization_endpoint": s.URL + "/authorize", "token_endpoint": s.URL + "/token",
		"introspection_endpoint": s.URL + "/introspect", "jwks_uri": s.URL + "/jwks",
	}
	return s
}

func (s *stub) open(t *testing.T, opts ...auth.Option) (auth.Auth, error) {
	a, err := auth.New(append([]auth.Option{oauth2.Backend(s.URL, oauth2.WithCredentials("s6BhdRkqt3", "gX1fBat3bV")), auth.WithAnyAudience()}, opts...)...)
	if err == nil {
		t.Cleanup(func() { a.Close() })
	}
	return a, err
}

// The example of RFC 7662 section 2.2, but that it has not expired.
func TestIntrospectionExampleOfTheRFC(t *testing.T) {
	s := newStub(t)
	const then = 1419356238
	soon := time.Now().Add(time.Hour).Unix()
	var expires atomic.Int64
	expires.Store(soon)
	s.introspect = func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if r.ParseForm(); id != "s6BhdRkqt3" || secret != "gX1fBat3bV" || r.PostForm.Get("token") != "2YotnFZFEjr1zCsicMWpAA" {
			t.Errorf("asked by %s with %v", id, r.PostForm)
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{
      "active": true,
      "client_id": "l238j323ds-23ij4",
      "username": "jdoe",
      "scope": "read write dolphin",
      "sub": "Z5O3upPC88QrAjx00dis",
      "aud": "https://protected.example.net/resource",
      "iss": %q,
      "exp": %d,
      "iat": 1419350238,
      "extension_field": "twenty-seven"
     }`, s.URL, expires.Load())
	}
	a, err := s.open(t)
	if err != nil {
		t.Fatal(err)
	}
	got, err := a.Verify(t.Context(), "2YotnFZFEjr1zCsicMWpAA")
	if err != nil {
		t.Fatal(err)
	}
	if got.ClientID != "l238j323ds-23ij4" || got.Subject != "Z5O3upPC88QrAjx00dis" || fmt.Sprint(got.Scopes) != "[read write dolphin]" ||
		fmt.Sprint(got.Audience) != "[https://protected.example.net/resource]" || got.ExpiresAt.Unix() != soon || got.Claims["extension_field"] != "twenty-seven" {
		t.Errorf("got %+v", got)
	}
	expires.Store(then)
	now, err := s.open(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := now.Verify(t.Context(), "2YotnFZFEjr1zCsicMWpAA"); !errors.Is(err, auth.ErrExpired) {
		t.Errorf("years later: %v, want ErrExpired, whatever the server says", err)
	}
}

func TestIntrospectionFailsClosed(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		body   string
		want   error
	}{
		"inactive":             {200, `{"active":false}`, auth.ErrRevoked},
		"no answer":            {200, `{}`, auth.ErrRevoked},
		"active as a string":   {200, `{"active":"true","sub":"a"}`, auth.ErrRevoked},
		"another issuer":       {200, `{"active":true,"sub":"a","iss":"https://evil.example.com"}`, auth.ErrUnauthenticated},
		"about nobody":         {200, `{"active":true}`, auth.ErrUnauthenticated},
		"expiry of a bad type": {200, `{"active":true,"sub":"a","exp":"soon"}`, auth.ErrUnauthenticated},
		"a refresh token":      {200, `{"active":true,"sub":"a","token_type":"refresh_token"}`, auth.ErrUnauthenticated},
		"Keycloak's":           {200, `{"active":true,"sub":"a","typ":"Refresh"}`, auth.ErrUnauthenticated},
		"Hydra's":              {200, `{"active":true,"sub":"a","token_type":"Bearer","token_use":"refresh_token"}`, auth.ErrUnauthenticated},
		"an ID token":          {200, `{"active":true,"sub":"a","nonce":"n"}`, auth.ErrUnauthenticated},
		"unknown kind":         {400, `{"error":"unsupported_token_type"}`, auth.ErrUnauthenticated},
		"our own request":      {400, `{"error":"invalid_request"}`, auth.ErrUnavailable},
		"sub of a bad type":    {200, `{"active":true,"sub":["a"]}`, auth.ErrUnauthenticated},
		"twice":                {200, `{"active":false,"active":true,"sub":"a"}`, auth.ErrUnavailable},
		"no JSON":              {200, `active`, auth.ErrUnavailable},
		"our own secret":       {401, `{"error":"invalid_client"}`, auth.ErrUnavailable},
		"overloaded":           {503, ``, auth.ErrUnavailable},
	} {
		s := newStub(t)
		s.introspect = func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status); fmt.Fprint(w, c.body) }
		a, err := s.open(t)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Verify(t.Context(), "x"); !errors.Is(err, c.want) || got != nil || c.want == auth.ErrUnavailable && (errors.Is(err, auth.ErrUnauthenticated) || c.body != "" && !strings.Contains(err.Error(), "introspection")) {
			t.Errorf("%s: Verify = %v, %v, want %v", name, got, err, c.want)
		}
	}
}

func TestIntrospectedAccessTokens(t *testing.T) {
	for _, more := range []string{``, `,"token_type":"Bearer"`, `,"token_type":"bearer"`, `,"token_type":"access_token"`, `,"typ":"Bearer","nonce":"n"`, `,"token_use":"access_token"`} {
		s := newStub(t)
		s.introspect = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"active":true,"sub":"a"%s}`, more) }
		a, err := s.open(t)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Verify(t.Context(), "x"); err != nil || got.Subject != "a" {
			t.Errorf("%s: %v, %v", more, got, err)
		}
	}
}

// Who asks for an ID token must not take an answer without one for a login.
func TestLoginNeedsTheIDTokenItAskedFor(t *testing.T) {
	s := newStub(t)
	s.token = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"access_token":"at","token_type":"Bearer","expires_in":60}`)
	}
	l, err := oauth2.NewLogin(s.URL, "https://shop.example.com/cb", oauth2.WithCredentials("web", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, c := range []struct {
		scopes []string
		ok     bool
	}{
		{nil, true}, {[]string{"read"}, true}, {[]string{"openidx"}, true},
		{[]string{"openid"}, false}, {[]string{"read", "openid"}, false}, {[]string{"read openid"}, false},
	} {
		p, err := l.Begin(t.Context(), c.scopes...)
		if err != nil {
			t.Fatal(err)
		}
		token, err := l.Finish(t.Context(), p, url.Values{"code": {"c"}, "state": {p.State}})
		if (err == nil) != c.ok || (token != nil) != c.ok || err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("scopes %q: Finish = %v, %v, want a login %t", c.scopes, token, err, c.ok)
		}
	}
}

// RFC 9207: an answer names its issuer where the metadata promises it.
func TestLoginIssuerIsRequiredWherePromised(t *testing.T) {
	for _, promised := range []any{nil, false, true} {
		s := newStub(t)
		s.metadata["authorization_response_iss_parameter_supported"] = promised
		s.token = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"at","token_type":"Bearer","expires_in":60}`)
		}
		l, err := oauth2.NewLogin(s.URL, "https://shop.example.com/cb", oauth2.WithCredentials("web", "secret"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		for name, c := range map[string]struct {
			query url.Values
			ok    bool
		}{
			"named":            {url.Values{"code": {"c"}, "iss": {s.URL}}, true},
			"not named":        {url.Values{"code": {"c"}}, promised != true},
			"empty":            {url.Values{"code": {"c"}, "iss": {""}}, false},
			"another":          {url.Values{"code": {"c"}, "iss": {"https://evil.example.com"}}, false},
			"an error of none": {url.Values{"error": {"access_denied"}}, false},
		} {
			p, err := l.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.query.Set("state", p.State)
			_, err = l.Finish(t.Context(), p, c.query)
			if (err == nil) != c.ok {
				t.Errorf("promised %v, %s: %v", promised, name, err)
			}
			if denied := errors.Is(err, auth.ErrDenied); name == "an error of none" && denied != (promised != true) {
				t.Errorf("promised %v, %s: %v", promised, name, err)
			}
		}
	}
}

func TestMetadataIsNotBelievedBlindly(t *testing.T) {
	for name, change := range map[string]func(m map[string]any){
		"another issuer":   func(m map[string]any) { m["issuer"] = "https://evil.example.com" },
		"no issuer":        func(m map[string]any) { delete(m, "issuer") },
		"issuer and slash": func(m map[string]any) { m["issuer"] = m["issuer"].(string) + "/" },
		"http elsewhere":   func(m map[string]any) { m["token_endpoint"] = "http://evil.example.com/token" },
		"a file":           func(m map[string]any) { m["jwks_uri"] = "file:///etc/passwd" },
		"no URL":           func(m map[string]any) { m["jwks_uri"] = "x" },
		"no host":          func(m map[string]any) { m["token_endpoint"] = "https:///token" },
		"malformed":        func(m map[string]any) { m["token_endpoint"] = "https://a b/token" },
		"two issuers":      func(m map[string]any) { m["ISSUER"] = "https://evil.example.com" },
		"a bad type":       func(m map[string]any) { m["jwks_uri"] = 7 },
	} {
		s := newStub(t)
		change(s.metadata)
		if a, err := s.open(t); !errors.Is(err, auth.ErrUnavailable) || a != nil {
			t.Errorf("%s: New = %v, %v, want ErrUnavailable", name, a, err)
		}
	}
	// The metadata may name https elsewhere, but not an address of this network.
	s := newStub(t)
	private := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a private address was asked") }))
	defer private.Close()
	s.metadata["token_endpoint"] = private.URL + "/token"
	a, err := s.open(t)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), "not a public address") {
		t.Errorf("Token = %v, want a refusal to dial", err)
	}
}

func TestSecretsStayOutOfErrors(t *testing.T) {
	s := newStub(t)
	for name, answer := range map[string]func(w http.ResponseWriter, _ *http.Request){
		"echo": func(w http.ResponseWriter, r *http.Request) {
			r.ParseForm()
			w.WriteHeader(400)
			fmt.Fprint(w, r.Form, r.Header)
		},
		"no JSON": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":SECRET-TOKEN`)
		},
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/?gX1fBat3bV", http.StatusTemporaryRedirect)
		},
		"not bearer": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"access_token":"SECRET-TOKEN","token_type":"mac"}`)
		},
	} {
		s.token = answer
		a, err := s.open(t)
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Token(t.Context())
		if err == nil || strings.Contains(err.Error(), "gX1fBat3bV") || strings.Contains(err.Error(), "SECRET-TOKEN") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The metadata is fetched once, not for every token.
func TestMetadataIsCached(t *testing.T) {
	s := newStub(t)
	s.introspect = func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"active":true,"sub":"a"}`) }
	a, err := s.open(t)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		if _, err := a.Verify(t.Context(), fmt.Sprint("t", i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := s.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times, want 1", n)
	}
}

// A server that is overloaded is left alone for as long as it says, whichever
// grant it was asked for.
func TestRetryAfterOfTheServerIsHonoured(t *testing.T) {
	for _, status := range []int{503, 429} {
		for name, opts := range map[string][]auth.TokenOption{
			"client credentials": nil, "exchange": {auth.Audience("x"), auth.OnBehalfOf(&auth.Token{AccessToken: "a"})},
		} {
			for form, after := range map[string]func() string{
				"seconds": func() string { return "2" }, "a date": func() string { return time.Now().Add(3 * time.Second).UTC().Format(http.TimeFormat) },
			} {
				t.Run(fmt.Sprintf("%d, %s, %s", status, name, form), func(t *testing.T) {
					t.Parallel()
					s := newStub(t)
					asked := make(chan time.Time, 10)
					s.token = func(w http.ResponseWriter, _ *http.Request) {
						asked <- time.Now()
						w.Header().Set("Retry-After", after())
						w.WriteHeader(status)
					}
					a, err := s.open(t)
					if err != nil {
						t.Fatal(err)
					}
					for deadline := time.Now().Add(30 * time.Second); len(asked) < 2 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
						if _, err := a.Token(t.Context(), opts...); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
							t.Fatalf("Token = %v, want ErrUnavailable", err)
						}
					}
					if first, second := <-asked, <-asked; second.Sub(first) < 1900*time.Millisecond {
						t.Errorf("asked again after %s", second.Sub(first))
					}
				})
			}
		}
	}
}

// A resource server ends a token that was given to another client. The issuer
// leaves that to the client and to whom the token is for; a feed is enough.
func TestRevokeAtAResourceServer(t *testing.T) {
	_, srv := serve(t)
	open := func(service string, opts ...auth.Option) auth.Auth {
		a, err := auth.New(append([]auth.Option{oauth2.Backend(srv.URL, oauth2.WithCredentials(service, service+"-secret")), auth.WithAudience("orders")}, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a
	}
	for name, c := range map[string]struct {
		who  string
		feed bool
		want error
	}{
		"whom it is for":               {"orders", false, nil},
		"whom it is for, with a feed":  {"orders", true, nil},
		"another service":              {"billing", false, auth.ErrDenied},
		"another service, with a feed": {"billing", true, nil},
		"the client that it was for":   {"frontend", false, nil},
		"the client that has it, feed": {"frontend", true, nil},
		"its own error is on one line": {"billing", false, auth.ErrDenied},
	} {
		token, err := open("frontend").Token(t.Context(), auth.Audience("orders"))
		if err != nil {
			t.Fatal(err)
		}
		feed := &authtest.Feed{}
		var opts []auth.Option
		if c.feed {
			opts = append(opts, auth.WithRevocations(feed))
		}
		other, a := open("orders", auth.WithRevocations(feed)), open(c.who, opts...)
		listeners := 1
		if c.feed {
			listeners++
		}
		for deadline := time.Now().Add(30 * time.Second); feed.Subscribers() < listeners && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		}
		for _, who := range []auth.Auth{a, other} {
			if _, err := who.Verify(t.Context(), string(token.AccessToken)); err != nil {
				t.Fatal(err)
			}
		}
		err = a.Revoke(t.Context(), token)
		if !errors.Is(err, c.want) || c.want == nil && err != nil || err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: Revoke = %v, want %v", name, err, c.want)
		}
		if _, err := other.Verify(t.Context(), string(token.AccessToken)); (err == nil) == c.feed {
			t.Errorf("%s: at another instance that listens: %v", name, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for name, opt := range map[string]auth.Option{
		"no URL":       oauth2.Backend("x"),
		"http":         oauth2.Backend("http://example.com"),
		"query":        oauth2.Backend("https://example.com?x"),
		"password":     oauth2.Backend("https://u:hunter2@example.com"),
		"nil":          oauth2.Backend("https://example.com", nil),
		"no id":        oauth2.Backend("https://example.com", oauth2.WithCredentials("", "x")),
		"HMAC":         oauth2.Backend("https://example.com", oauth2.WithAlgorithms("HS256")),
		"none":         oauth2.Backend("https://example.com", oauth2.WithAlgorithms("none")),
		"no algorithm": oauth2.Backend("https://example.com", oauth2.WithAlgorithms()),
		"nil client":   oauth2.Backend("https://example.com", oauth2.WithClient(nil)),
		"parameter":    oauth2.Backend("https://example.com", oauth2.WithAudienceParameter("")),
	} {
		if a, err := auth.New(opt, auth.WithAnyAudience()); !errors.Is(err, auth.ErrInvalid) || a != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: New = %v, %v, want ErrInvalid", name, a, err)
		}
	}
	for _, c := range []struct{ redirect, id string }{{"/cb", "web"}, {"https://example.com/cb", ""}} {
		var opts []oauth2.Option
		if c.id != "" {
			opts = append(opts, oauth2.WithCredentials(c.id, ""))
		}
		if l, err := oauth2.NewLogin("https://example.com", c.redirect, opts...); !errors.Is(err, auth.ErrInvalid) || l != nil {
			t.Errorf("NewLogin(%q) as %q = %v, %v", c.redirect, c.id, l, err)
		}
	}
}

// Keys that rotate at the issuer are followed; revocation there is seen where
// tokens are introspected.
func TestAgainstTheEmbeddedIssuer(t *testing.T) {
	is, srv := serve(t)
	open := func(service string, opts ...oauth2.Option) auth.Auth {
		opts = append(opts, oauth2.WithCredentials(service, service+"-secret"))
		a, err := auth.New(oauth2.Backend(srv.URL, opts...), auth.WithService(service), auth.WithCacheTTL(0))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a
	}
	orders, asking := open("orders"), open("orders", oauth2.WithIntrospection())
	for range 3 {
		token, err := open("frontend").Token(t.Context(), auth.Audience("orders"), auth.Scopes("read"))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range []auth.Auth{orders, asking} {
			got, err := a.Verify(t.Context(), string(token.AccessToken))
			if err != nil || got.Subject != "frontend" || !got.HasRole("service") || !got.HasScope("read") {
				t.Errorf("Verify = %v, %v", got, err)
			}
		}
		if err := is.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	token, err := open("frontend").Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	if err := is.Update(t.Context(), "frontend", func(a *issuer.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := asking.Verify(t.Context(), string(token.AccessToken)); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("the token of a disabled account: %v, want ErrRevoked", err)
	}
}
