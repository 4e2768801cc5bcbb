package mtls_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/mtls"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

// authority signs certificates for tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test root"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert, key}
}

func (a *authority) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(a.cert)
	return p
}

func (a *authority) issue(t testing.TB, change func(*x509.Certificate)) tls.Certificate {
	t.Helper()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	change(template)
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

func spiffe(id string) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		u, _ := url.Parse(id)
		c.URIs = []*url.URL{u}
	}
}

func TestCallersAreWhomTheirCertificatesName(t *testing.T) {
	ours, theirs := newAuthority(t), newAuthority(t)
	au, err := auth.New(mtls.Backend(ours.pool(), mtls.WithRoles(func(c *x509.Certificate) []string { return c.Subject.OrganizationalUnit })),
		auth.WithAnyAudience(), auth.WithRules(auth.AllowAuthenticated()), auth.WithLeeway(0))
	if err != nil {
		t.Fatal(err)
	}
	defer au.Close()
	srv := httptest.NewUnstartedServer(auth.Handler(au, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, _ := auth.FromContext(r.Context())
		fmt.Fprint(w, token.Subject, token.Roles, token.Type)
	})))
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert} // the server verifies nothing
	srv.StartTLS()
	defer srv.Close()
	for name, c := range map[string]struct {
		cert   tls.Certificate
		status int
		body   string
	}{
		"SPIFFE": {ours.issue(t, spiffe("spiffe://shop/orders")), 200, "spiffe://shop/orders[]mTLS"},
		"DNS":    {ours.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"orders.local"} }), 200, "orders.local[]mTLS"},
		"common name": {ours.issue(t, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "bob", OrganizationalUnit: []string{"ops"}}
		}), 200, "bob[ops]mTLS"},
		"none":    {tls.Certificate{}, 401, ""},
		"foreign": {theirs.issue(t, spiffe("spiffe://shop/orders")), 401, ""},
		"expired": {ours.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.NotAfter = "bob", time.Now().Add(-time.Minute)
		}), 401, ""},
		"of a server": {ours.issue(t, func(c *x509.Certificate) {
			c.Subject.CommonName, c.ExtKeyUsage = "bob", []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}), 401, ""},
		"of nobody": {ours.issue(t, func(c *x509.Certificate) {}), 401, ""},
		"of two":    {ours.issue(t, func(c *x509.Certificate) { c.DNSNames = []string{"a", "b"} }), 401, ""},
		"of two, with a common name": {ours.issue(t, func(c *x509.Certificate) {
			c.DNSNames, c.Subject.CommonName = []string{"a", "b"}, "bob"
		}), 401, ""},
		"another URI": {ours.issue(t, spiffe("https://shop/orders")), 401, ""},
		"another URI, with a common name": {ours.issue(t, func(c *x509.Certificate) {
			spiffe("https://shop/orders")(c)
			c.Subject.CommonName = "bob"
		}), 401, ""},
	} {
		base := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: srv.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, Certificates: []tls.Certificate{c.cert}}}
		if c.cert.Certificate == nil {
			base.TLSClientConfig.Certificates = nil
		}
		resp, err := (&http.Client{Transport: base}).Get(srv.URL)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != c.status || c.status == 200 && string(body) != c.body {
			t.Errorf("%s: %d %s, want %d %s", name, resp.StatusCode, body, c.status, c.body)
		}
	}
	if _, err := au.Verify(t.Context(), "a bearer token"); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("a bearer token: %v", err)
	}
	if _, err := au.Token(t.Context()); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("Token: %v, want ErrUnsupported", err)
	}
}

func TestRevokedCertificate(t *testing.T) {
	ours := newAuthority(t)
	au, err := auth.New(mtls.Backend(ours.pool()), auth.WithAnyAudience(), auth.WithRules(auth.AllowAuthenticated()))
	if err != nil {
		t.Fatal(err)
	}
	defer au.Close()
	leaf, err := x509.ParseCertificate(ours.issue(t, spiffe("spiffe://shop/orders")).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	ctx := auth.ContextWithCredential(t.Context(), auth.Credential{TLS: &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: []*x509.Certificate{leaf}}})
	token, err := au.Authorized(ctx, auth.Request{Action: "GET"})
	if err != nil {
		t.Fatal(err)
	}
	if err := au.Revoke(ctx, token); err != nil {
		t.Fatal(err)
	}
	if _, err := au.Authorized(ctx, auth.Request{Action: "GET"}); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("after Revoke: %v, want ErrRevoked", err)
	}
}

// What a connection or its certificate has not proved counts for nothing, and
// each refusal says its own reason.
func TestCertificatesThatAreRefused(t *testing.T) {
	ours := newAuthority(t)
	leaf, err := x509.ParseCertificate(ours.issue(t, spiffe("spiffe://shop/orders")).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	shown := []*x509.Certificate{leaf}
	for _, c := range []struct {
		name    string
		subject func(*x509.Certificate) (string, error)
		state   *tls.ConnectionState
		want    string
	}{
		{"as it should be", mtls.Subject, &tls.ConnectionState{HandshakeComplete: true, PeerCertificates: shown}, ""},
		{"before the end of the handshake", mtls.Subject, &tls.ConnectionState{PeerCertificates: shown}, "no client certificate"},
		{"a subject that fails", func(*x509.Certificate) (string, error) { return "orders", errors.New("left the company") },
			&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: shown}, "left the company"},
		{"a subject without a name", func(*x509.Certificate) (string, error) { return "", nil },
			&tls.ConnectionState{HandshakeComplete: true, PeerCertificates: shown}, "certificate: it names nobody"},
	} {
		au, err := auth.New(mtls.Backend(ours.pool(), mtls.WithSubject(c.subject)), auth.WithAnyAudience(), auth.WithRules(auth.AllowAuthenticated()))
		if err != nil {
			t.Fatal(err)
		}
		_, err = au.Authorized(auth.ContextWithCredential(t.Context(), auth.Credential{TLS: c.state}), auth.Request{})
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, auth.ErrUnauthenticated) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		au.Close()
	}
}

func TestBadOptions(t *testing.T) {
	pool := x509.NewCertPool()
	for want, b := range map[string]auth.Option{
		"no roots": mtls.Backend(nil), "option 1 is nil": mtls.Backend(pool, nil), "nil subject": mtls.Backend(pool, mtls.WithSubject(nil)),
		"nil roles": mtls.Backend(pool, mtls.WithRoles(nil)),
	} {
		if a, err := auth.New(b, auth.WithAnyAudience()); !errors.Is(err, auth.ErrInvalid) || a != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("New = %v, %v, want ErrInvalid with %q", a, err, want)
		}
	}
}

func ExampleSubject() {
	u, err := url.Parse("spiffe://shop/orders")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(mtls.Subject(&x509.Certificate{URIs: []*url.URL{u}}))
	fmt.Println(mtls.Subject(&x509.Certificate{URIs: []*url.URL{u, u}}))
	fmt.Println(mtls.Subject(&x509.Certificate{DNSNames: []string{"a", "b"}}))
	// Output:
	// spiffe://shop/orders <nil>
	//  its URIs are not one SPIFFE ID
	//  it names nobody in particular
}

func ExampleBackend() {
	roots := x509.NewCertPool() // of the authority that issues your services' certificates
	au, err := auth.New(mtls.Backend(roots), auth.WithAnyAudience(),
		auth.WithRules(auth.Rule{ID: "shop", Effect: auth.Allow, Subjects: []string{"spiffe://shop/*"}}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer au.Close()
	r := httptest.NewRequest("GET", "/", nil) // without a certificate
	w := httptest.NewRecorder()
	auth.Handler(au, http.NotFoundHandler()).ServeHTTP(w, r)
	fmt.Println(w.Code)
	// Output: 401
}
