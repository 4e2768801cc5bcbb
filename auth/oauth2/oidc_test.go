package oauth2_test

import (
	"errors"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
)

// These tests run against oidc-provider, a certified OpenID Connect server.

const (
	jwtResource    = "urn:api:jwt"
	opaqueResource = "urn:api:opaque"
)

func openOIDC(t *testing.T, s *servertest.Server, id, secret string, opts ...auth.Option) auth.Auth {
	t.Helper()
	a, err := auth.New(append([]auth.Option{oauth2.Backend(s.DSN(), oauth2.WithCredentials(id, secret)), auth.WithAudience("api")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestOIDCConformance(t *testing.T) {
	for name, resource := range map[string]string{"JWT": jwtResource, "opaque": opaqueResource} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			s := servertest.SharedOIDC(t)
			authtest.Run(t, authtest.Harness{
				Auth: func(_ *testing.T, _ string, opts ...auth.Option) (auth.Auth, error) {
					return auth.New(append([]auth.Option{oauth2.Backend(s.DSN(), oauth2.WithCredentials("svc", "secret")), auth.WithAudience("api")}, opts...)...)
				},
				Issue: func(t *testing.T, _, _ string) *auth.Token {
					t.Helper()
					token, err := openOIDC(t, s, "svc", "secret").Token(t.Context(), auth.Audience(resource), auth.Scopes("read"))
					if err != nil {
						t.Fatal(err)
					}
					return token
				},
				Caller:   "svc",
				Features: authtest.Features{Token: true},
			})
		})
	}
}

func TestOIDCClientCredentials(t *testing.T) {
	s := servertest.SharedOIDC(t)
	for _, client := range []string{"svc", "svc-post"} { // in the header and in the form: the metadata allows both
		a := openOIDC(t, s, client, "secret")
		for _, resource := range []string{jwtResource, opaqueResource} {
			token, err := a.Token(t.Context(), auth.Audience(resource), auth.Scopes("read"))
			if err != nil {
				t.Errorf("%s, %s: %v", client, resource, err)
				continue
			}
			if life := time.Until(token.ExpiresAt); life < 30*time.Second || life > 61*time.Second || !token.HasScope("read") {
				t.Errorf("%s, %s: %v lives %s with scopes %q", client, resource, token, life, token.Scopes)
			}
		}
	}
	_, err := openOIDC(t, s, "svc", "wrong").Token(t.Context())
	if !errors.Is(err, auth.ErrUnauthenticated) || errors.Is(err, auth.ErrUnavailable) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("a wrong secret: %v, want ErrUnauthenticated without it", err)
	}
	if _, err := openOIDC(t, s, "svc", "secret").Token(t.Context(), auth.Audience("urn:nothing")); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("an unknown resource: %v, want ErrInvalid", err)
	}
	token, err := openOIDC(t, s, "svc", "secret").Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := openOIDC(t, s, "svc", "secret").Token(t.Context(), auth.OnBehalfOf(token)); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("token exchange at a server without it: %v, want ErrUnsupported", err)
	}
}

func TestOIDCIntrospectionAndRevocation(t *testing.T) {
	s := servertest.SharedOIDC(t)
	client, resource := openOIDC(t, s, "svc", "secret"), openOIDC(t, s, "rs", "rs-secret", auth.WithCacheTTL(0))
	token, err := client.Token(t.Context(), auth.Audience(opaqueResource), auth.Scopes("read"))
	if err != nil {
		t.Fatal(err)
	}
	seen, err := resource.Verify(t.Context(), string(token.AccessToken))
	if err != nil {
		t.Fatal(err)
	}
	if seen.ClientID != "svc" || !seen.HasScope("read") || seen.Issuer != s.DSN() || seen.ExpiresAt.IsZero() {
		t.Errorf("introspected: %v %+v", seen, seen.Claims)
	}
	if err := client.Revoke(t.Context(), token); err != nil {
		t.Fatalf("Revoke: %v", err)
	}
	if _, err := resource.Verify(t.Context(), string(token.AccessToken)); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("Verify at another service after Revoke: %v, want ErrRevoked", err)
	}
}

// walk follows the redirects of a login, as a browser would, up to the
// program's own address.
func walk(t *testing.T, from, to string) url.Values {
	t.Helper()
	jar, _ := cookiejar.New(nil)
	base := &http.Transport{DisableKeepAlives: true}
	var back *url.URL
	c := &http.Client{Jar: jar, Transport: base, CheckRedirect: func(r *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(r.URL.String(), to) {
			back = r.URL
			return http.ErrUseLastResponse
		}
		return nil
	}}
	resp, err := c.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if back == nil {
		t.Fatalf("not sent back: status %d at %s", resp.StatusCode, resp.Request.URL)
	}
	return back.Query()
}

const back = "http://127.0.0.1:9/cb"

func TestOIDCLogin(t *testing.T) {
	s := servertest.SharedOIDC(t)
	for client, secret := range map[string]string{"web": "secret", "app": ""} {
		t.Run(client, func(t *testing.T) {
			l, err := oauth2.NewLogin(s.DSN(), back, oauth2.WithCredentials(client, secret))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			begin := func() (*oauth2.Pending, url.Values) {
				p, err := l.Begin(t.Context(), "openid", "offline_access")
				if err != nil {
					t.Fatal(err)
				}
				return p, walk(t, p.URL+"&prompt=consent", back)
			}
			p, q := begin()
			token, err := l.Finish(t.Context(), p, q)
			if err != nil {
				t.Fatalf("Finish: %v", err)
			}
			if token.Subject != "alice" || token.RefreshToken == "" || token.AccessToken == "" || token.IDToken == "" || token.Issuer != s.DSN() {
				t.Errorf("got %v, refresh %t, id %t", token, token.RefreshToken != "", token.IDToken != "")
			}
			if _, err := l.Finish(t.Context(), p, q); !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("the code again: %v, want ErrUnauthenticated", err)
			}
			p, q = begin()
			if token, err = l.Finish(t.Context(), p, q); err != nil {
				t.Fatal(err)
			}
			next, err := l.Refresh(t.Context(), token)
			if err != nil || next.AccessToken == token.AccessToken || next.Subject != "alice" {
				t.Errorf("Refresh = %v, %v", next, err)
			}
			for name, change := range map[string]func(*oauth2.Pending, url.Values){
				"another state":    func(_ *oauth2.Pending, q url.Values) { q.Set("state", "x") },
				"no state":         func(p *oauth2.Pending, q url.Values) { q.Del("state"); p.State = "" },
				"another issuer":   func(_ *oauth2.Pending, q url.Values) { q.Set("iss", "https://evil.example.com") },
				"another verifier": func(p *oauth2.Pending, _ url.Values) { p.Verifier = auth.Secret(strings.Repeat("x", 43)) },
				"another nonce":    func(p *oauth2.Pending, _ url.Values) { p.Nonce = "x" },
				"no issuer":        func(_ *oauth2.Pending, q url.Values) { q.Del("iss") }, // this server promises one (RFC 9207)
				"two issuers":      func(_ *oauth2.Pending, q url.Values) { q.Add("iss", "https://evil.example.com") },
				"two codes":        func(_ *oauth2.Pending, q url.Values) { q.Add("code", "x") },
				"no code":          func(_ *oauth2.Pending, q url.Values) { q.Del("code") },
			} {
				p, q := begin()
				change(p, q)
				if got, err := l.Finish(t.Context(), p, q); !errors.Is(err, auth.ErrUnauthenticated) || got != nil {
					t.Errorf("%s: Finish = %v, %v, want ErrUnauthenticated", name, got, err)
				}
			}
			p, q = begin()
			q = url.Values{"error": {"access_denied"}, "state": q["state"], "iss": q["iss"]}
			if _, err := l.Finish(t.Context(), p, q); !errors.Is(err, auth.ErrDenied) {
				t.Errorf("a refused login: %v, want ErrDenied", err)
			}
		})
	}
}

// A service that also logs people in must not take the ID tokens that it gets
// for access tokens: they are for its own client id.
func TestOIDCIDTokenIsNoAccessToken(t *testing.T) {
	s := servertest.SharedOIDC(t)
	l, err := oauth2.NewLogin(s.DSN(), back, oauth2.WithCredentials("web", "secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Begin(t.Context(), "openid", "offline_access")
	if err != nil {
		t.Fatal(err)
	}
	person, err := l.Finish(t.Context(), p, walk(t, p.URL+"&prompt=consent", back))
	if err != nil {
		t.Fatal(err)
	}
	access, err := openOIDC(t, s, "svc", "secret").Token(t.Context(), auth.Audience(jwtResource), auth.Scopes("read"))
	if err != nil {
		t.Fatal(err)
	}
	for name, opts := range map[string][]oauth2.Option{
		"default": nil, "untyped": {oauth2.WithUntypedTokens()}, "introspection": {oauth2.WithIntrospection()},
	} {
		a, err := auth.New(oauth2.Backend(s.DSN(), append(opts, oauth2.WithCredentials("web", "secret"))...), auth.WithAudience("web", "api"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		if got, err := a.Verify(t.Context(), string(person.IDToken)); !errors.Is(err, auth.ErrUnauthenticated) || got != nil {
			t.Errorf("%s: an ID token: %v, %v, want ErrUnauthenticated", name, got, err)
		}
		if name == "introspection" {
			continue // this server introspects no JWT
		}
		if _, err := a.Verify(t.Context(), string(access.AccessToken)); err != nil {
			t.Errorf("%s: an access token: %v", name, err)
		}
	}
}

func TestOIDCStoppedAndRestartedWithNewKeys(t *testing.T) {
	s := servertest.OIDC(t)
	caller := openOIDC(t, s, "svc", "secret")
	a := openOIDC(t, s, "svc", "secret", auth.WithCacheTTL(0), auth.WithTimeout(2*time.Second))
	old, err := caller.Token(t.Context(), auth.Audience(jwtResource), auth.Scopes("read"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context(), string(old.AccessToken)); err != nil {
		t.Fatal(err)
	}
	s.Stop()
	if _, err := a.Verify(t.Context(), string(old.AccessToken)); err != nil {
		t.Errorf("a JWT while the server is unavailable: %v", err)
	}
	if _, err := a.Verify(t.Context(), "opaque"); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("an opaque token while the server is unavailable: %v, want ErrUnavailable", err)
	}
	if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("Token while the server is unavailable: %v, want ErrUnavailable", err)
	}
	if _, err := auth.New(oauth2.Backend(s.DSN()), auth.WithAudience("api")); !errors.Is(err, auth.ErrUnavailable) || !strings.Contains(err.Error(), s.DSN()) {
		t.Errorf("New while the server is unavailable: %v, want ErrUnavailable with the address", err)
	}
	lazy := openOIDC(t, s, "svc", "secret", auth.WithLazy())
	s.Restart() // with new keys
	deadline := time.Now().Add(30 * time.Second)
	for _, who := range []auth.Auth{lazy, a} {
		var fresh *auth.Token
		for err = auth.ErrUnavailable; err != nil; {
			fresh, err = who.Token(t.Context(), auth.Audience(jwtResource), auth.Scopes("read"))
			if time.Now().After(deadline) {
				t.Fatalf("Token after the restart: %v", err)
			}
		}
		if _, err := a.Verify(t.Context(), string(fresh.AccessToken)); err != nil {
			t.Errorf("a token of the new key: %v", err)
		}
	}
	if _, err := a.Verify(t.Context(), string(old.AccessToken)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a token of the key that is gone: %v, want ErrUnauthenticated", err)
	}
}

func TestOIDCPausedServerTimesOut(t *testing.T) {
	s := servertest.OIDC(t)
	a := openOIDC(t, s, "svc", "secret", auth.WithTimeout(300*time.Millisecond))
	s.Pause()
	defer s.Resume()
	began := time.Now()
	_, err := a.Verify(t.Context(), "opaque")
	if took := time.Since(began); !errors.Is(err, auth.ErrUnavailable) || took > 30*time.Second {
		t.Errorf("Verify = %v after %s, want ErrUnavailable at the timeout", err, took)
	}
}
