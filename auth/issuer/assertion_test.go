package issuer_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/internal/jose"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// signer returns a key and the JWK set with its public part.
func signer(t *testing.T) (*jose.Signer, json.RawMessage) {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner("", jose.EdDSA, private)
	if err != nil {
		t.Fatal(err)
	}
	return s, jose.MarshalSet(s.Key())
}

func TestPrivateKeyJWT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t, issuer.WithURL("https://login.example.com/auth")))
		key, set := signer(t)
		other, _ := signer(t)
		if err := is.Create(t.Context(), issuer.Account{ID: "robot", Type: issuer.Service, Keys: set}, ""); err != nil {
			t.Fatal(err)
		}
		n := 0
		assert := func(s *jose.Signer, typ string, change map[string]any) string {
			n++
			claims := map[string]any{
				"iss": "robot", "sub": "robot", "aud": is.URL(), "jti": fmt.Sprint("j", n), "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
			}
			maps.Copy(claims, change)
			maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
			b, err := json.Marshal(claims)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := s.Sign(typ, b)
			if err != nil {
				t.Fatal(err)
			}
			return raw
		}
		try := func(raw string, more ...string) (int, map[string]any) {
			f := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {raw}}
			for i := 0; i < len(more); i += 2 {
				f.Set(more[i], more[i+1])
			}
			return post(is, "/auth/token", "", "", f)
		}
		now := time.Now().Unix()
		for name, c := range map[string]struct {
			status int
			key    *jose.Signer
			typ    string
			change map[string]any
			more   []string
		}{
			"as it should be":            {200, key, "", nil, nil},
			"with its type":              {200, key, "client-authentication+jwt", nil, nil},
			"for the token endpoint":     {200, key, "JWT", map[string]any{"aud": is.URL() + "/token"}, nil},
			"for a list of one":          {200, key, "", map[string]any{"aud": []string{is.URL()}}, nil},
			"the client is named too":    {200, key, "", nil, []string{"client_id", "robot"}},
			"another is named":           {401, key, "", nil, []string{"client_id", "orders"}},
			"another key":                {401, other, "", nil, nil},
			"about another":              {401, key, "", map[string]any{"sub": "orders", "iss": "orders"}, nil},
			"about an unknown one":       {401, key, "", map[string]any{"sub": "x", "iss": "x"}, nil},
			"about a user":               {401, key, "", map[string]any{"sub": "alice", "iss": "alice"}, nil},
			"by another":                 {401, key, "", map[string]any{"iss": "orders"}, nil},
			"about nobody":               {401, key, "", map[string]any{"sub": nil}, nil},
			"for another server":         {401, key, "", map[string]any{"aud": "https://evil.example.com"}, nil},
			"for another server as well": {401, key, "", map[string]any{"aud": []string{is.URL(), "https://evil.example.com"}}, nil},
			"for nobody":                 {401, key, "", map[string]any{"aud": nil}, nil},
			"for another endpoint":       {401, key, "", map[string]any{"aud": is.URL() + "/introspect"}, nil},
			"without an id":              {401, key, "", map[string]any{"jti": nil}, nil},
			"without an end":             {401, key, "", map[string]any{"exp": nil}, nil},
			"over":                       {401, key, "", map[string]any{"exp": now - 30}, nil},
			"just over, by other clocks": {200, key, "", map[string]any{"exp": now - 29}, nil},
			"good for an hour":           {200, key, "", map[string]any{"exp": now + 3600}, nil},
			"good for longer":            {401, key, "", map[string]any{"exp": now + 3601}, nil},
			"of tomorrow":                {401, key, "", map[string]any{"iat": now + 86400}, nil},
			"an access token":            {401, key, "at+jwt", nil, nil},
			"of another type":            {401, key, "", nil, []string{"client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"}},
			"of no type":                 {401, key, "", nil, []string{"client_assertion_type", ""}},
			"with a secret as well":      {400, key, "", nil, []string{"client_secret", "x"}},
		} {
			status, got := try(assert(c.key, c.typ, c.change), c.more...)
			if status != c.status || (status == 200) != (got["access_token"] != nil) || status == 401 && got["error"] != "invalid_client" {
				t.Errorf("%s: %d %v, want %d", name, status, got, c.status)
			}
		}
		for name, raw := range map[string]string{"empty": "", "nonsense": "x.y.z"} {
			if status, _ := try(raw); status != 401 {
				t.Errorf("%s: %d, want 401", name, status)
			}
		}
		if status, _ := post(is, "/auth/token", "robot", "", url.Values{"grant_type": {"client_credentials"}}); status != 401 {
			t.Errorf("without an assertion: %d, want 401", status)
		}

		once := assert(key, "", map[string]any{"exp": time.Now().Add(time.Hour).Unix()})
		again := func(what string, want int) {
			t.Helper()
			if status, got := try(once); status != want {
				t.Errorf("%s: %d %v, want %d", what, status, got, want)
			}
		}
		again("the first time", 200)
		again("the second time", 401)
		time.Sleep(time.Hour + 29*time.Second)
		again("in its last second, by clocks that differ", 401)

		if status, in := post(is, "/auth/introspect", "", "", url.Values{
			"client_assertion_type": {assertionType}, "client_assertion": {assert(key, "", map[string]any{"aud": is.URL() + "/introspect"})}, "token": {"x"},
		}); status != 200 || in["active"] != false {
			t.Errorf("introspection: %d %v", status, in)
		}
		if err := is.Update(t.Context(), "robot", func(a *issuer.Account) error { a.Disabled = true; return nil }); err != nil {
			t.Fatal(err)
		}
		if status, _ := try(assert(key, "", nil)); status != 401 {
			t.Errorf("a disabled client: %d, want 401", status)
		}
	})
}

func TestKeysOfClientsAreChecked(t *testing.T) {
	is := newIssuer(t)
	_, set := signer(t)
	for name, c := range map[string]struct {
		a      issuer.Account
		secret string
		ok     bool
	}{
		"keys alone":       {issuer.Account{Type: issuer.Service, Keys: set}, "", true},
		"keys and secret":  {issuer.Account{Type: issuer.Service, Keys: set}, "secret", true},
		"neither":          {issuer.Account{Type: issuer.Service}, "", false},
		"no set":           {issuer.Account{Type: issuer.Service, Keys: json.RawMessage(`{}`)}, "secret", false},
		"an empty set":     {issuer.Account{Type: issuer.Service, Keys: json.RawMessage(`{"keys":[]}`)}, "secret", false},
		"a shared secret":  {issuer.Account{Type: issuer.Service, Keys: json.RawMessage(`{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE"}]}`)}, "secret", false},
		"a public client":  {issuer.Account{Type: issuer.Service, Keys: set, Public: true}, "", false},
		"a user":           {issuer.Account{Type: issuer.User, Keys: set}, "secret", false},
		"a bound user":     {issuer.Account{Type: issuer.User, CertificateBound: true}, "secret", false},
		"no JSON at all":   {issuer.Account{Type: issuer.Service, Keys: json.RawMessage(`x`)}, "secret", false},
		"empty, not given": {issuer.Account{Type: issuer.Service, Keys: json.RawMessage{}}, "secret", false},
	} {
		c.a.ID = name
		if err := is.Create(t.Context(), c.a, c.secret); (err == nil) != c.ok || err != nil && !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: Create = %v, want success %t", name, err, c.ok)
		}
	}
	if err := is.Update(t.Context(), "keys alone", func(a *issuer.Account) error { a.Keys = nil; return nil }); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a client left with nothing: %v, want ErrInvalid", err)
	}
}
