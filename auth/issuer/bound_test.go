package issuer_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/issuer"
)

// certificate makes one that signs itself, as RFC 8705 section 2.2 allows.
func certificate(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, base64.RawURLEncoding.EncodeToString(sum[:])
}

func TestCertificateBoundTokens(t *testing.T) {
	is := browser(t, newIssuer(t))
	for _, id := range []string{"web", "app"} {
		if err := is.Update(t.Context(), id, func(a *issuer.Account) error { a.CertificateBound = true; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewUnstartedServer(is)
	srv.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	srv.StartTLS()
	defer srv.Close()
	client := func(certs ...tls.Certificate) *http.Client {
		tr := &http.Transport{TLSClientConfig: &tls.Config{Certificates: certs, InsecureSkipVerify: true}} // the server's, of httptest
		t.Cleanup(tr.CloseIdleConnections)
		return &http.Client{Transport: tr}
	}
	cert, print := certificate(t)
	stolen, _ := certificate(t)
	mine, thief, bare := client(cert), client(stolen), client()
	call := func(c *http.Client, method, path, bearer string, f url.Values) (int, map[string]any) {
		t.Helper()
		r, err := http.NewRequest(method, srv.URL+path, strings.NewReader(f.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if bearer != "" {
			r.Header.Set("Authorization", "Bearer "+bearer)
		}
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var out map[string]any
		json.NewDecoder(resp.Body).Decode(&out)
		return resp.StatusCode, out
	}
	as := func(id string, f url.Values) url.Values {
		f.Set("client_id", id)
		if id == "web" {
			f.Set("client_secret", "web-secret")
		}
		return f
	}
	for _, id := range []string{"web", "app"} {
		c := code(t, is, id)
		if status, got := call(bare, "POST", "/token", "", as(id, exchangeForm(c))); status != 400 || got["access_token"] != nil {
			t.Errorf("%s without a certificate: %d %v", id, status, got)
		}
		status, got := call(mine, "POST", "/token", "", as(id, exchangeForm(c)))
		if status != 200 {
			t.Fatalf("%s with one: %d %v", id, status, got)
		}
		access := fmt.Sprint(got["access_token"])
		if cnf := fmt.Sprint(part(t, access, 1)["cnf"]); cnf != "map[x5t#S256:"+print+"]" {
			t.Errorf("%s: cnf %s, want %s", id, cnf, print)
		}
		_, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {access}})
		if id == "web" && fmt.Sprint(in["cnf"]) != "map[x5t#S256:"+print+"]" {
			t.Errorf("introspection: %v", in)
		}
		for name, c := range map[string]struct {
			c    *http.Client
			want int
		}{"its owner": {mine, 200}, "a thief": {thief, 401}, "a thief without one": {bare, 401}} {
			if status, _ := call(c.c, "GET", "/userinfo", access, nil); status != c.want {
				t.Errorf("%s: userinfo for %s: %d, want %d", id, name, status, c.want)
			}
		}
		// A public client's refresh token is bound as well; a confidential one proves
		// itself, and may have a new certificate.
		want := map[string]int{"web": 200, "app": 400}[id]
		status, next := call(thief, "POST", "/token", "", as(id, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}}))
		if status != want {
			t.Errorf("%s refreshes with another certificate: %d %v, want %d", id, status, next, want)
		}
		if want == 400 {
			next = got
		}
		if status, got := call(mine, "POST", "/token", "", as(id, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(next["refresh_token"])}})); status != 200 {
			t.Errorf("%s refreshes with its own: %d %v", id, status, got)
		}
	}
	// A token that was bound stays so, whatever becomes of the account.
	status, got := call(mine, "POST", "/token", "", as("app", exchangeForm(code(t, is, "app"))))
	if status != 200 {
		t.Fatalf("%d %v", status, got)
	}
	if err := is.Update(t.Context(), "app", func(a *issuer.Account) error { a.CertificateBound = false; return nil }); err != nil {
		t.Fatal(err)
	}
	if status, got := call(bare, "POST", "/token", "", as("app", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(got["refresh_token"])}})); status != 400 {
		t.Errorf("a bound refresh token of a client that is bound no more: %d %v, want 400", status, got)
	}
	// Who isn't bound isn't bound by accident.
	status, got = call(mine, "POST", "/token", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_secret": {"orders-secret"}})
	if _, there := part(t, got["access_token"], 1)["cnf"]; status != 200 || there {
		t.Errorf("a client that isn't bound: %d, cnf %t", status, there)
	}
}
