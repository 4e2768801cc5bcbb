package issuer_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/servertest"
)

// A relying party that nobody here wrote goes through every flow.
func TestACertifiedRelyingParty(t *testing.T) {
	var is *issuer.Issuer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { is.ServeHTTP(w, r) }))
	defer srv.Close()
	is = newIssuer(t, issuer.WithURL(srv.URL))
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner("", jose.ES256, key)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	web := issuer.Account{Type: issuer.Service, RedirectURIs: []string{callback}, Scopes: []string{"email"}, Audiences: []string{"https://api.example.com"}}
	for _, a := range []issuer.Account{
		{ID: "web"}, {ID: "es", IDAlgorithm: issuer.ES256}, {ID: "ed", IDAlgorithm: issuer.EdDSA},
		{ID: "robot", Type: issuer.Service, Keys: jose.MarshalSet(signer.Key())},
		{ID: "app", Type: issuer.Service, Public: true, RedirectURIs: []string{"http://127.0.0.1/cb"}},
		{ID: "alice", Type: issuer.User, Metadata: map[string]string{"email": "alice@example.com", "email_verified": "true"}},
	} {
		secret := a.ID + "-secret"
		if a.Type == "" {
			a.Type, a.RedirectURIs, a.Scopes, a.Audiences = web.Type, web.RedirectURIs, web.Scopes, web.Audiences
		}
		if a.Public || a.Keys != nil {
			secret = ""
		}
		if err := is.Create(t.Context(), a, secret); err != nil {
			t.Fatal(err)
		}
	}
	in, err := json.Marshal(map[string]any{
		"issuer": srv.URL, "key": pkcs8, "user": "alice", "password": "alice-secret", "audience": "https://api.example.com",
	})
	if err != nil {
		t.Fatal(err)
	}
	cmd := servertest.Node(t.Context(), t, "relying-party.mjs")
	cmd.Stdin = bytes.NewReader(in)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	// An older script that is still installed knows fewer flows.
	if n := strings.Count("\n"+string(out), "\nok "); err != nil || n < 13 || n != strings.Count(string(out), "\n") {
		t.Errorf("%d flows went well: %v\n%s%s", n, err, out, stderr.String())
	}
}
