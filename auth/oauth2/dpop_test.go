package oauth2_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
	authdriver "github.com/micro/go-platform/auth/driver"
	"github.com/micro/go-platform/auth/oauth2"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/servertest"
)

func TestOIDCTokensBoundToAKey(t *testing.T) {
	s := servertest.SharedOIDC(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, _ := ed25519.GenerateKey(nil)
	for name, c := range map[string]struct {
		opts []oauth2.Option
		jkt  string
		kind string
	}{
		"a given key":   {[]oauth2.Option{oauth2.WithDPoP(ec)}, jose.Thumbprint(&ec.PublicKey), "DPoP"},
		"an Ed25519":    {[]oauth2.Option{oauth2.WithDPoP(ed)}, jose.Thumbprint(ed.Public()), "DPoP"},
		"a made key":    {[]oauth2.Option{oauth2.WithDPoP(nil)}, "", "DPoP"},
		"bearer tokens": {nil, "", "Bearer"},
	} {
		a, err := auth.New(oauth2.Backend(s.DSN(), append(c.opts, oauth2.WithCredentials("svc", "secret"))...), auth.WithAudience("api"))
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		token, err := a.Token(t.Context(), auth.Audience(jwtResource), auth.Scopes("read"))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		cnf, _ := token.Claims["cnf"].(map[string]any)
		jkt, _ := cnf["jkt"].(string)
		if token.Type != c.kind || (jkt != "") != (c.kind == "DPoP") || c.jkt != "" && jkt != c.jkt {
			t.Errorf("%s: a token of the type %s, bound to %q, want %q", name, token.Type, jkt, c.jkt)
		}
		// As a bearer token it is of no use, verified here or introspected.
		rs := openOIDC(t, s, "rs", "rs-secret")
		if _, err := rs.Verify(t.Context(), string(token.AccessToken)); (err == nil) != (c.kind == "Bearer") || err != nil && !errors.Is(err, auth.ErrProof) {
			t.Errorf("%s: as a bearer token: %v", name, err)
		}
		opaque, err := a.Token(t.Context(), auth.Audience(opaqueResource), auth.Scopes("read"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := rs.Verify(t.Context(), string(opaque.AccessToken)); (err == nil) != (c.kind == "Bearer") || err != nil && !errors.Is(err, auth.ErrProof) {
			t.Errorf("%s: an opaque one as a bearer token: %v", name, err)
		}
	}
}

// From our issuer over a client's transport to a service, over real sockets.
func TestBoundTokensFromEndToEnd(t *testing.T) {
	_, srv := serve(t)
	open := func(service string, opts ...oauth2.Option) auth.Auth {
		a, err := auth.New(oauth2.Backend(srv.URL, append(opts, oauth2.WithCredentials(service, service+"-secret"))...), auth.WithService(service), auth.WithRules(auth.AllowAuthenticated()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { a.Close() })
		return a
	}
	var seen []string
	service := httptest.NewServer(auth.Handler(open("orders"), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		caller, _ := auth.FromContext(r.Context())
		body, _ := io.ReadAll(r.Body)
		seen = append(seen, caller.Subject+" "+string(body))
	})))
	defer service.Close()
	frontend := open("frontend", oauth2.WithDPoP(nil))
	to := auth.WithDestination(func(*http.Request) (auth.Destination, bool) { return auth.Destination{Audience: "orders"}, true })
	base := &http.Transport{}
	defer base.CloseIdleConnections()
	client := &http.Client{Transport: auth.Transport(frontend, base, to)}
	for i := range 3 { // one token, a proof each
		resp, err := client.Post(service.URL+"/caf%c3%a9?x=1", "text/plain", strings.NewReader(fmt.Sprint("body", i)))
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 200 {
			t.Errorf("call %d: %d", i, resp.StatusCode)
		}
	}
	if got := fmt.Sprint(seen); got != "[frontend body0 frontend body1 frontend body2]" {
		t.Errorf("the service saw %s", got)
	}
	token, err := frontend.Token(t.Context(), auth.Audience("orders"))
	if err != nil || token.Type != "DPoP" {
		t.Fatalf("Token = %v of the type %s, %v", token, token.Type, err)
	}
	thief := open("billing", oauth2.WithDPoP(nil)).(authdriver.Prover)
	for name, scheme := range map[string]string{"as a bearer token": "Bearer ", "with the thief's proof": "DPoP "} {
		r, _ := http.NewRequest("GET", service.URL+"/", nil)
		r.Header.Set("Authorization", scheme+string(token.AccessToken))
		proof, err := thief.Prove("GET", service.URL+"/", token.AccessToken, "")
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("DPoP", string(proof))
		resp, err := base.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if resp.Body.Close(); resp.StatusCode != 401 {
			t.Errorf("a stolen token %s: %d, want 401", name, resp.StatusCode)
		}
	}
	// What came bound is not passed on.
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{Scheme: "DPoP", Value: token.AccessToken})
	if got, err := auth.Outgoing(ctx, frontend, auth.Destination{Mode: auth.Forward}); !errors.Is(err, auth.ErrUnsupported) || got != nil {
		t.Errorf("Forward = %v, %v, want ErrUnsupported", got, err)
	}
	if _, err := open("billing").(authdriver.Prover).Prove("GET", service.URL, "x", ""); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("Prove without a key: %v, want ErrUnsupported", err)
	}
}

// Servers of both kinds may want a nonce in the proof (RFC 9449 sections 8, 9):
// it is given, once, and kept for the next.
func TestNoncesOfProofs(t *testing.T) {
	nonceIn := func(r *http.Request) string {
		m, err := jose.Parse(r.Header.Get("DPoP"))
		if err != nil {
			t.Errorf("a proof: %v", err)
			return ""
		}
		claims, _ := jose.ParseObject(m.Payload)
		n, _ := claims["nonce"].(string)
		return n
	}
	for _, c := range []struct {
		name               string
		nonce              string // changes with each try if "?"
		getBody            bool
		tokens, calls      int // how often each was asked
		tokenFails, failed bool
	}{
		{"one nonce", "n1", true, 2, 3, false, false},
		{"a body that can't be sent twice", "n1", false, 2, 2, false, true},
		{"never content", "?", true, 2, 0, true, false},
	} {
		s := newStub(t)
		var tokens, calls int
		s.token = func(w http.ResponseWriter, r *http.Request) {
			tokens++
			want := c.nonce
			if want == "?" {
				want = fmt.Sprint("n", tokens)
			}
			w.Header().Set("DPoP-Nonce", want)
			w.Header().Set("Content-Type", "application/json")
			r.ParseForm()
			if nonceIn(r) != want || r.PostForm.Get("grant_type") == "" {
				w.WriteHeader(400)
				fmt.Fprint(w, `{"error":"use_dpop_nonce"}`)
				return
			}
			fmt.Fprint(w, `{"access_token":"at","token_type":"DPoP","expires_in":600}`)
		}
		var bodies []string
		service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			calls++
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("DPoP-Nonce", "rs")
			if nonceIn(r) != "rs" {
				w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
				w.WriteHeader(401)
				return
			}
			bodies = append(bodies, r.Header.Get("Authorization")+" "+string(body))
		}))
		defer service.Close()
		a, err := auth.New(oauth2.Backend(s.URL, oauth2.WithCredentials("id", "secret"), oauth2.WithDPoP(nil)), auth.WithAnyAudience())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		base := &http.Transport{}
		defer base.CloseIdleConnections()
		tr := auth.Transport(a, base)
		var failed, tokenFailed bool
		for i := range 2 {
			r, _ := http.NewRequest("POST", service.URL, strings.NewReader(fmt.Sprint("b", i)))
			if !c.getBody {
				r.GetBody = nil
			}
			resp, err := tr.RoundTrip(r)
			if err != nil {
				tokenFailed = true
				break
			}
			if resp.Body.Close(); resp.StatusCode != 200 {
				failed = true
			}
		}
		if tokens != c.tokens || calls != c.calls || failed != c.failed || tokenFailed != c.tokenFails {
			t.Errorf("%s: the token endpoint was asked %d times, the service %d; want %d and %d; failed %t %t", c.name, tokens, calls, c.tokens, c.calls, failed, tokenFailed)
		}
		if c.name == "one nonce" && fmt.Sprint(bodies) != "[DPoP at b0 DPoP at b1]" {
			t.Errorf("%s: the service saw %q", c.name, bodies)
		}
	}
}

func TestKeysOfProofs(t *testing.T) {
	for name, key := range map[string]any{"a secret": make([]byte, 32), "a text": "x", "a public key": ed25519.PublicKey(make([]byte, 32))} {
		if _, err := auth.New(oauth2.Backend("https://example.com", oauth2.WithDPoP(key)), auth.WithAnyAudience()); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

func ExampleWithDPoP() {
	server, err := exampleServer()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer server.Close()
	frontend, err := auth.New(oauth2.Backend(server.URL, oauth2.WithCredentials("frontend", "frontend secret"), oauth2.WithDPoP(nil)), auth.WithService("frontend"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer frontend.Close()
	client := &http.Client{Transport: auth.Transport(frontend, nil)} // sends token and proof
	defer client.CloseIdleConnections()
	token, err := frontend.Token(context.Background())
	fmt.Println(token.Type, err)
	// Output: DPoP <nil>
}
