package auth_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/auth/jwt"
	"github.com/micro/go-platform/internal/jose"
)

// binding is a service over a real socket, and an authority that binds tokens.
type binding struct {
	t      *testing.T
	srv    *httptest.Server
	auth   auth.Auth
	issuer *jose.Signer
	holder *jose.Signer // whose key the tokens are bound to
	thief  *jose.Signer
	ran    atomic.Int64
}

func newBinding(t *testing.T, opts ...auth.Option) *binding {
	t.Helper()
	b := &binding{t: t}
	_, ed, _ := ed25519.GenerateKey(nil)
	var err error
	for _, s := range []struct {
		to  **jose.Signer
		key any
	}{{&b.issuer, ed}, {&b.holder, ecKey(t)}, {&b.thief, ecKey(t)}} {
		if *s.to, err = jose.NewSigner("", "", s.key); err != nil {
			t.Fatal(err)
		}
	}
	b.auth, err = auth.New(append([]auth.Option{
		jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.Public("", ed.Public())}), auth.WithService("orders"), auth.WithRules(auth.AllowAuthenticated()),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	b.srv = httptest.NewUnstartedServer(auth.Handler(b.auth, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { b.ran.Add(1) })))
	b.srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	b.srv.StartTLS()
	t.Cleanup(func() { b.srv.Close(); b.auth.Close() })
	return b
}

func ecKey(t *testing.T) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (b *binding) token(cnf string) string {
	b.t.Helper()
	raw, err := b.issuer.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"i","sub":"shop","aud":"orders","jti":%q,"exp":%d%s}`, rand.Text(), time.Now().Add(time.Hour).Unix(), cnf))
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

func (b *binding) proof(by *jose.Signer, method, to, token string, at time.Time) string {
	b.t.Helper()
	p, err := dpop.Sign(by, method, to, token, "", at)
	if err != nil {
		b.t.Fatal(err)
	}
	return p
}

func (b *binding) send(c *http.Client, method, path, authorization string, proofs ...string) *http.Response {
	b.t.Helper()
	r, err := http.NewRequest(method, b.srv.URL+path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	r.Header.Set("Authorization", authorization)
	for _, p := range proofs {
		r.Header.Add("DPoP", p)
	}
	resp, err := c.Do(r)
	if err != nil {
		b.t.Fatal(err)
	}
	resp.Body.Close()
	return resp
}

// A token that is bound to a key is of no use to who has the token alone.
func TestTokenBoundToAKey(t *testing.T) {
	b := newBinding(t)
	jkt := jose.Thumbprint(b.holder.Key().Public())
	bound, other, plain := b.token(`,"cnf":{"jkt":"`+jkt+`"}`), b.token(`,"cnf":{"jkt":"`+jkt+`"}`), b.token("")
	now := time.Now()
	good := func(path string) string { return b.proof(b.holder, "GET", b.srv.URL+path, bound, now) }
	used := good("/a")
	for _, c := range []struct {
		name, path, authorization string
		proofs                    []string
		status                    int
	}{
		{"as it should be", "/a", "DPoP " + bound, []string{used}, 200},
		{"the scheme in small", "/a", "dpop " + bound, []string{good("/a")}, 200},
		{"with a query", "/a?x=1", "DPoP " + bound, []string{good("/a?x=1")}, 200},
		{"an escaped path", "/caf%c3%a9", "DPoP " + bound, []string{good("/caf%c3%a9")}, 200},
		{"a plain token", "/a", "Bearer " + plain, nil, 200},
		{"a plain token, with a proof", "/a", "Bearer " + plain, []string{good("/a")}, 200},
		{"the proof again", "/a", "DPoP " + bound, []string{used}, 401},
		{"no proof", "/a", "DPoP " + bound, nil, 401},
		{"two proofs", "/a", "DPoP " + bound, []string{good("/a"), good("/a")}, 401},
		{"as a bearer token", "/a", "Bearer " + bound, nil, 401},
		{"as a bearer token, with a proof", "/a", "Bearer " + bound, []string{good("/a")}, 401},
		{"a plain token as if it were bound", "/a", "DPoP " + plain, []string{b.proof(b.holder, "GET", b.srv.URL+"/a", plain, now)}, 401},
		{"another's key", "/a", "DPoP " + bound, []string{b.proof(b.thief, "GET", b.srv.URL+"/a", bound, now)}, 401},
		{"for another token", "/a", "DPoP " + bound, []string{b.proof(b.holder, "GET", b.srv.URL+"/a", other, now)}, 401},
		{"for no token", "/a", "DPoP " + bound, []string{b.proof(b.holder, "GET", b.srv.URL+"/a", "", now)}, 401},
		{"for another path", "/a", "DPoP " + bound, []string{good("/b")}, 401},
		{"for another host", "/a", "DPoP " + bound, []string{b.proof(b.holder, "GET", "https://example.com/a", bound, now)}, 401},
		{"for another scheme", "/a", "DPoP " + bound, []string{b.proof(b.holder, "GET", strings.Replace(b.srv.URL, "https", "http", 1)+"/a", bound, now)}, 401},
		{"for another method", "/a", "DPoP " + bound, []string{b.proof(b.holder, "PUT", b.srv.URL+"/a", bound, now)}, 401},
		{"of yesterday", "/a", "DPoP " + bound, []string{b.proof(b.holder, "GET", b.srv.URL+"/a", bound, now.Add(-24*time.Hour))}, 401},
		{"of tomorrow", "/a", "DPoP " + bound, []string{b.proof(b.holder, "GET", b.srv.URL+"/a", bound, now.Add(24*time.Hour))}, 401},
		{"nonsense", "/a", "DPoP " + bound, []string{"x.y.z"}, 401},
		{"huge", "/a", "DPoP " + bound, []string{strings.Repeat("x", 20_000)}, 401},
		{"and still", "/a", "DPoP " + bound, []string{good("/a")}, 200},
	} {
		before := b.ran.Load()
		resp := b.send(b.srv.Client(), "GET", c.path, c.authorization, c.proofs...)
		if resp.StatusCode != c.status || (b.ran.Load() > before) != (c.status == 200) {
			t.Errorf("%s: %d, want %d", c.name, resp.StatusCode, c.status)
		}
		if says := resp.Header.Get("WWW-Authenticate"); c.status == 401 && !strings.HasPrefix(says, "DPoP error=") {
			t.Errorf("%s: WWW-Authenticate %q", c.name, says)
		}
	}
	// Who asks about the token alone can't see a proof.
	if got, err := b.auth.Verify(t.Context(), bound); !errors.Is(err, auth.ErrProof) || got != nil {
		t.Errorf("Verify = %v, %v, want ErrProof", got, err)
	}
}

// Behind a proxy the service has other names than its connections say.
func TestProofsAreForTheOriginsGiven(t *testing.T) {
	b := newBinding(t, auth.WithOrigins("https://api.example.com", "https://api.example.org:8443"))
	bound := b.token(`,"cnf":{"jkt":"` + jose.Thumbprint(b.holder.Key().Public()) + `"}`)
	for to, status := range map[string]int{
		"https://api.example.com": 200, "https://api.example.org:8443": 200, "HTTPS://API.example.com:443": 200,
		"https://api.example.org": 401, "http://api.example.com": 401, b.srv.URL: 401,
	} {
		if resp := b.send(b.srv.Client(), "GET", "/a", "DPoP "+bound, b.proof(b.holder, "GET", to+"/a", bound, time.Now())); resp.StatusCode != status {
			t.Errorf("%s: %d, want %d", to, resp.StatusCode, status)
		}
	}
	if _, err := auth.New(auth.WithOrigins()); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("no origins: %v, want ErrInvalid", err)
	}
	nowhere := auth.Credential{Scheme: "DPoP", Value: auth.Secret(bound), Proof: &auth.Proof{JWT: "x", Method: "GET", URL: ":"}}
	if _, err := b.auth.Authorized(auth.ContextWithCredential(t.Context(), nowhere), auth.Request{}); !errors.Is(err, auth.ErrProof) {
		t.Errorf("a proof for no URL: %v, want ErrProof", err)
	}
	for _, bad := range []string{"", "api.example.com", "ftp://x", "https://", "https://x/path", "https://u@x", "https://x?y"} {
		if _, err := auth.New(auth.WithOrigins(bad)); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("WithOrigins(%q): %v, want ErrInvalid", bad, err)
		}
	}
}

// RFC 8705: only over the connection of the certificate.
func TestTokenBoundToACertificate(t *testing.T) {
	b := newBinding(t)
	client := func(cert *tls.Certificate) (*http.Client, string) {
		tr := b.srv.Client().Transport.(*http.Transport).Clone()
		t.Cleanup(tr.CloseIdleConnections)
		if cert == nil {
			return &http.Client{Transport: tr}, ""
		}
		tr.TLSClientConfig.Certificates = []tls.Certificate{*cert}
		sum := sha256.Sum256(cert.Certificate[0])
		return &http.Client{Transport: tr}, base64.RawURLEncoding.EncodeToString(sum[:])
	}
	one, mine := client(selfSigned(t))
	two, _ := client(selfSigned(t))
	nobody, _ := client(nil)
	jkt := jose.Thumbprint(b.holder.Key().Public())
	for _, c := range []struct {
		name, cnf string
		c         *http.Client
		status    int
	}{
		{"its certificate", `,"cnf":{"x5t#S256":"` + mine + `"}`, one, 200},
		{"another's certificate", `,"cnf":{"x5t#S256":"` + mine + `"}`, two, 401},
		{"no certificate", `,"cnf":{"x5t#S256":"` + mine + `"}`, nobody, 401},
		{"a plain token", "", one, 200},
		{"an unknown way of binding", `,"cnf":{"kid":"x"}`, one, 401},
		{"an unknown way besides", `,"cnf":{"x5t#S256":"` + mine + `","kid":"x"}`, one, 401},
		{"a key besides", `,"cnf":{"x5t#S256":"` + mine + `","jkt":"` + jkt + `"}`, one, 401},
		{"nothing", `,"cnf":{}`, one, 401},
		{"an empty hash", `,"cnf":{"x5t#S256":""}`, nobody, 401},
		{"a list", `,"cnf":[]`, one, 401},
		{"null", `,"cnf":null`, one, 401},
	} {
		raw := b.token(c.cnf)
		for range 2 { // the second time out of the cache
			if resp := b.send(c.c, "GET", "/a", "Bearer "+raw); resp.StatusCode != c.status {
				t.Errorf("%s: %d, want %d", c.name, resp.StatusCode, c.status)
			}
		}
	}
	// The scheme DPoP is for tokens that a proof goes with.
	if resp := b.send(one, "GET", "/a", "DPoP "+b.token(`,"cnf":{"x5t#S256":"`+mine+`"}`)); resp.StatusCode != 401 {
		t.Errorf("its certificate, as DPoP: %d, want 401", resp.StatusCode)
	}
	// A verdict that was cached for its owner is none for a thief.
	raw := b.token(`,"cnf":{"x5t#S256":"` + mine + `"}`)
	for i, who := range []*http.Client{one, two, nobody, one} {
		if resp := b.send(who, "GET", "/a", "Bearer "+raw); (resp.StatusCode == 200) != (who == one) {
			t.Errorf("request %d: %d", i, resp.StatusCode)
		}
	}
}

func selfSigned(t *testing.T) *tls.Certificate {
	t.Helper()
	key := ecKey(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}
