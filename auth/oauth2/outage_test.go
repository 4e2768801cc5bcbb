package oauth2_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/oauth2"
)

// A server that gives no answer, or half of one, is unavailable: no token is
// refused for that.
func TestAServerWithoutAnAnswer(t *testing.T) {
	dead := newStub(t)
	dead.Close()
	cut := newStub(t)
	cut.metadata["revocation_endpoint"] = cut.URL + "/introspect"
	hang := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "1000")
		fmt.Fprint(w, `{"active":`)
	}
	cut.token, cut.introspect = hang, hang
	gone := newStub(t)
	gone.metadata["revocation_endpoint"] = gone.URL + "/introspect"
	gone.token = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	gone.introspect = gone.token
	jwt := plainJWT(t, fmt.Sprintf(`{"iss":%q,"sub":"a","exp":9999999999}`, dead.URL))
	for name, s := range map[string]*stub{"dead": dead, "cut off": cut, "gone": gone} {
		a, err := auth.New(oauth2.Backend(s.URL, oauth2.WithCredentials("id", "secret")), auth.WithAnyAudience(), auth.WithLazy())
		if err != nil {
			t.Fatal(err)
		}
		l, err := oauth2.NewLogin(s.URL, "https://shop.example.com/cb", oauth2.WithCredentials("web", "secret"))
		if err != nil {
			t.Fatal(err)
		}
		for what, do := range map[string]func() error{
			"Verify": func() error { _, err := a.Verify(t.Context(), "opaque"); return err },
			"Token":  func() error { _, err := a.Token(t.Context()); return err },
			"exchange": func() error {
				_, err := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "x"}))
				return err
			},
			"Revoke":  func() error { return a.Revoke(t.Context(), &auth.Token{AccessToken: "x"}) },
			"Refresh": func() error { _, err := l.Refresh(t.Context(), &auth.Token{RefreshToken: "x"}); return err },
			"Finish": func() error {
				_, err := l.Finish(t.Context(), &oauth2.Pending{State: "s"}, url.Values{"state": {"s"}, "code": {"c"}})
				return err
			},
			"a JWT": func() error {
				if s != dead {
					return auth.ErrUnavailable
				}
				_, err := a.Verify(t.Context(), jwt)
				return err
			},
			"Begin": func() error {
				if s != dead {
					return auth.ErrUnavailable
				}
				_, err := l.Begin(t.Context())
				return err
			},
		} {
			err := do()
			if !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) || errors.Is(err, auth.ErrUnsupported) || strings.Contains(err.Error(), "gave n") || strings.Contains(err.Error(), "status 0") {
				t.Errorf("%s, %s: %v, want ErrUnavailable", name, what, err)
			}
		}
		if _, err := a.Authorized(auth.ContextWithCredential(t.Context(), auth.Credential{TLS: &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}}), auth.Request{}); !errors.Is(err, auth.ErrNoCredential) {
			t.Errorf("%s, a certificate alone: %v, want ErrNoCredential", name, err)
		}
		a.Close()
		l.Close()
	}
}

// A public client says its name, and that it has no secret.
func TestAPublicClientLogsIn(t *testing.T) {
	s := newStub(t)
	var got asked
	s.token = func(w http.ResponseWriter, r *http.Request) {
		got = see(r)
		answer(w, 200, `{"access_token":"at","token_type":"Bearer","expires_in":60}`)
	}
	l, err := oauth2.NewLogin(s.URL, "https://shop.example.com/cb", oauth2.WithCredentials("web", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	p, err := l.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Finish(t.Context(), p, url.Values{"state": {p.State}, "code": {"c"}}); err != nil || got.basic || got.form.Get("client_id") != "web" || got.form.Has("client_secret") {
		t.Errorf("%v, %+v", err, got)
	}
	if proof, err := l.Prove("GET", "https://x", "t", ""); proof != "" || !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("Prove without a key: %v, %v", proof, err)
	}
}

// A token request is sent once more for a nonce and for no other reason, and the
// newest nonce goes with the next.
func TestNoncesOfATokenEndpoint(t *testing.T) {
	type reply struct {
		status      int
		nonce, code string
	}
	long := strings.Repeat("n", 1024)
	for name, c := range map[string]struct {
		replies []reply
		shown   []string // the nonces of the first call's proofs
		ok      bool
		next    string
	}{
		"none wanted":             {[]reply{{200, "", ""}}, []string{""}, true, ""},
		"given for the next time": {[]reply{{200, "a", "use_dpop_nonce"}}, []string{""}, true, "a"},
		"wanted":                  {[]reply{{400, "a", "use_dpop_nonce"}, {200, "", ""}}, []string{"", "a"}, true, "a"},
		"wanted, and a newer one": {[]reply{{401, "a", "use_dpop_nonce"}, {200, "b", ""}}, []string{"", "a"}, true, "b"},
		"wanted indefinitely":     {[]reply{{400, "a", "use_dpop_nonce"}, {400, "b", "use_dpop_nonce"}}, []string{"", "a"}, false, "b"},
		"wanted, and not given":   {[]reply{{400, "", "use_dpop_nonce"}}, []string{""}, false, ""},
		"refused":                 {[]reply{{400, "a", "invalid_grant"}}, []string{""}, false, "a"},
		"out of order":            {[]reply{{500, "a", "use_dpop_nonce"}}, []string{""}, false, "a"},
		"as long as may be":       {[]reply{{400, long, "use_dpop_nonce"}, {200, "", ""}}, []string{"", long}, true, long},
		"too long to remember":    {[]reply{{200, long + "n", ""}}, []string{""}, true, ""},
	} {
		s := newStub(t)
		var shown []string
		replies := c.replies
		s.token = func(w http.ResponseWriter, r *http.Request) {
			payload, err := base64.RawURLEncoding.DecodeString(strings.Split(r.Header.Get("DPoP"), ".")[1])
			var claims struct{ Nonce string }
			if err == nil {
				err = json.Unmarshal(payload, &claims)
			}
			if r.ParseForm(); err != nil || r.PostForm.Get("grant_type") != "client_credentials" {
				t.Errorf("%s: a form of %v, %v", name, r.PostForm, err)
			}
			shown = append(shown, claims.Nonce)
			say := reply{200, "", ""}
			if len(replies) > 0 {
				say, replies = replies[0], replies[1:]
			}
			w.Header().Set("DPoP-Nonce", say.nonce)
			if say.status == 200 {
				answer(w, 200, `{"access_token":"at","token_type":"DPoP","expires_in":60,"error":"`+say.code+`"}`)
				return
			}
			answer(w, say.status, `{"error":"`+say.code+`"}`)
		}
		a, err := auth.New(oauth2.Backend(s.URL, oauth2.WithCredentials("id", "secret"), oauth2.WithDPoP(nil), oauth2.WithClient(&http.Client{})), auth.WithAnyAudience())
		if err != nil {
			t.Fatal(err)
		}
		token, err := a.Token(t.Context(), auth.Scopes("1"))
		if say := c.replies[0]; say.status == 200 && say.code != "" {
			err = nil // x/oauth2 reads an error in it
		} else if err == nil && token.Type != "DPoP" {
			t.Errorf("%s: a token of the type %s", name, token.Type)
		}
		if (err == nil) != c.ok || fmt.Sprint(shown) != fmt.Sprint(c.shown) {
			t.Errorf("%s: %v with the nonces %q, want success %t with %q", name, err, shown, c.ok, c.shown)
		}
		shown = nil
		if _, err := a.Token(t.Context(), auth.Scopes("2")); err != nil || fmt.Sprint(shown) != fmt.Sprint([]string{c.next}) {
			t.Errorf("%s: the next has %q, %v, want %q", name, shown, err, c.next)
		}
		a.Close()
	}
}

// A proof goes to the token endpoint, whatever the grant, and nowhere else.
func TestHowAKeyIsShown(t *testing.T) {
	s := newStub(t)
	var proofs []bool
	s.token = func(w http.ResponseWriter, r *http.Request) {
		proofs = append(proofs, r.Header.Get("DPoP") != "")
		answer(w, 200, `{"access_token":"at","token_type":"DPoP","expires_in":60}`)
	}
	s.introspect = func(w http.ResponseWriter, r *http.Request) {
		proofs = append(proofs, r.Header.Get("DPoP") != "")
		answer(w, 200, `{"active":true,"sub":"a"}`)
	}
	a, err := auth.New(oauth2.Backend(s.URL, oauth2.WithCredentials("id", "secret"), oauth2.WithDPoP(nil)), auth.WithAnyAudience())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = a.Token(t.Context())
	_, err2 := a.Token(t.Context(), auth.OnBehalfOf(&auth.Token{AccessToken: "x"}))
	_, err3 := a.Verify(t.Context(), "opaque")
	if want := "[true true false]"; errors.Join(err, err2, err3) != nil || fmt.Sprint(proofs) != want {
		t.Errorf("proofs %v, %v, want %s", proofs, errors.Join(err, err2, err3), want)
	}
}

func TestCloseClosesConnectionsToTheServer(t *testing.T) {
	closed := make(chan struct{})
	var s *httptest.Server
	s = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, `{"issuer":"`+s.URL+`"}`) }))
	once := sync.OnceFunc(func() { close(closed) })
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			once()
		}
	}
	s.Start()
	defer s.Close()
	a, err := auth.New(oauth2.Backend(s.URL), auth.WithAnyAudience())
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close left a connection open")
	}
	client := &http.Client{Transport: &idle{}}
	a, err = auth.New(oauth2.Backend("https://example.com", oauth2.WithClient(client)), auth.WithAnyAudience(), auth.WithLazy())
	if err != nil {
		t.Fatal(err)
	}
	if a.Close(); client.Transport.(*idle).closed {
		t.Error("Close closed the connections of a client that was given")
	}
}

// idle is a transport that notes whether its connections were closed.
type idle struct {
	http.RoundTripper
	closed bool
}

func (i *idle) CloseIdleConnections() { i.closed = true }
