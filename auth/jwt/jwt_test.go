package jwt_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/auth/jwt"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

func TestConformance(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(nil)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	secret := make([]byte, 32)
	rand.Read(secret)
	for name, c := range map[string]struct {
		private any
		keys    jwt.Keys
	}{
		"EdDSA": {ed, jwt.Public("", ed.Public())},
		"ES256": {ec, jwt.Public("", &ec.PublicKey)},
		"HS256": {secret, jwt.Shared("", "HS256", secret)},
	} {
		t.Run(name, func(t *testing.T) {
			leak.Check(t)
			authtest.Run(t, authtest.Harness{
				Auth: func(_ *testing.T, service string, opts ...auth.Option) (auth.Auth, error) {
					b := jwt.Backend(jwt.Issuer{Name: "us", Keys: c.keys}, jwt.WithSigner("us", "", c.private, time.Hour))
					return auth.New(append([]auth.Option{b, auth.WithService(service)}, opts...)...)
				},
				Features: authtest.Features{Token: true, Audience: true},
			})
		})
	}
}

func open(t *testing.T, b auth.Option) auth.Auth {
	t.Helper()
	a, err := auth.New(b, auth.WithService("orders"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestEachIssuerHasItsOwnKeysAndAlgorithms(t *testing.T) {
	_, a, _ := ed25519.GenerateKey(nil)
	b, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	au := open(t, jwt.Backend(jwt.Issuer{Name: "a", Keys: jwt.Public("k", a.Public()), Algorithms: []string{"EdDSA"}},
		jwt.WithIssuer(jwt.Issuer{Name: "b", Keys: jwt.Public("k", &b.PublicKey), Algorithms: []string{"ES256"}})))
	for _, c := range []struct {
		issuer string
		key    any
		ok     bool
	}{{"a", a, true}, {"b", b, true}, {"a", b, false}, {"b", a, false}, {"c", a, false}, {"", a, false}} {
		s, err := jose.NewSigner("k", "", c.key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":%q,"sub":"x","aud":"orders","exp":%d}`, c.issuer, time.Now().Add(time.Hour).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		if token, err := au.Verify(t.Context(), raw); (err == nil) != c.ok || err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
			t.Errorf("issuer %q with %T: %v, %v", c.issuer, c.key, token, err)
		}
	}
}

func TestKeySetAtAURL(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	s, err := jose.NewSigner("", "", key)
	if err != nil {
		t.Fatal(err)
	}
	up := true
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up {
			w.WriteHeader(500)
			return
		}
		w.Write(jose.MarshalSet(s.Key()))
	}))
	defer srv.Close()
	raw, err := s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"i","sub":"x","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	au := open(t, jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL(srv.URL, nil)}))
	if _, err := au.Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
	up = false
	if _, err := open(t, jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL(srv.URL, nil)})).Verify(t.Context(), raw); !errors.Is(err, auth.ErrUnavailable) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("keys that can't be fetched: %v, want ErrUnavailable", err)
	}
	if _, err := open(t, jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKS(jose.MarshalSet(s.Key()))})).Verify(t.Context(), raw); err != nil {
		t.Errorf("the same set in memory: %v", err)
	}
}

// A provider's key set has a key for each of its algorithms.
func TestKeySetOfSeveralAlgorithms(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(nil)
	ec, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ec384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	rs, _ := rsa.GenerateKey(rand.Reader, 2048)
	stranger, _ := rsa.GenerateKey(rand.Reader, 2048)
	sign := func(id, alg string, key any) (*jose.Signer, string) {
		s, err := jose.NewSigner(id, alg, key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"i","sub":"x","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		return s, raw
	}
	var keys []*jose.Key
	var tokens []string
	for _, c := range []struct {
		id, alg string
		key     any
	}{{"a", "RS256", rs}, {"b", "ES256", ec}, {"c", "EdDSA", ed}, {"d", "ES384", ec384}} {
		s, raw := sign(c.id, c.alg, c.key)
		keys, tokens = append(keys, s.Key()), append(tokens, raw)
	}
	for name, set := range map[string][]byte{
		"with alg":    jose.MarshalSet(keys...),
		"without alg": regexp.MustCompile(`"alg":"[^"]*",`).ReplaceAll(jose.MarshalSet(keys...), nil),
	} {
		au := open(t, jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKS(set)}))
		for i, raw := range tokens {
			if _, err := au.Verify(t.Context(), raw); err != nil {
				t.Errorf("%s: the token of key %d: %v", name, i, err)
			}
		}
		for what, s := range map[string]struct {
			id, alg string
			key     any
		}{"another algorithm of the key": {"a", "PS256", rs}, "another key": {"a", "RS256", stranger}} {
			if _, raw := sign(s.id, s.alg, s.key); raw != "" {
				if _, err := au.Verify(t.Context(), raw); !errors.Is(err, auth.ErrUnauthenticated) {
					t.Errorf("%s: %s: %v", name, what, err)
				}
			}
		}
	}
	// Algorithms, if given, still decide.
	only := open(t, jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKS(jose.MarshalSet(keys...)), Algorithms: []string{"ES256"}}))
	for i, raw := range tokens {
		if _, err := only.Verify(t.Context(), raw); (err == nil) != (i == 1) {
			t.Errorf("ES256 alone: the token of key %d: %v", i, err)
		}
	}
}

// Only access tokens are taken, unless Untyped says otherwise.
func TestKindsOfTokens(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	s, err := jose.NewSigner("", "", key)
	if err != nil {
		t.Fatal(err)
	}
	is := jwt.Issuer{Name: "i", Keys: jwt.Public("", key.Public())}
	strict := open(t, jwt.Backend(is))
	is.Untyped = true
	untyped := open(t, jwt.Backend(is))
	for _, c := range []struct {
		typ, claims     string
		strict, untyped bool
	}{
		{"at+jwt", ``, true, true}, {"JWT", ``, false, true}, {"", ``, false, true},
		{"JWT", `,"nonce":"n"`, false, false}, {"JWT", `,"at_hash":"n"`, false, false}, {"logout+jwt", ``, false, false},
	} {
		raw, err := s.Sign(c.typ, fmt.Appendf(nil, `{"iss":"i","sub":"x","aud":"orders","exp":%d%s}`, time.Now().Add(time.Hour).Unix(), c.claims))
		if err != nil {
			t.Fatal(err)
		}
		for a, want := range map[auth.Auth]bool{strict: c.strict, untyped: c.untyped} {
			if _, err := a.Verify(t.Context(), raw); (err == nil) != want || err != nil && !errors.Is(err, auth.ErrUnauthenticated) {
				t.Errorf("typ %q%s, untyped %t: %v, want accepted %t", c.typ, c.claims, a == untyped, err, want)
			}
		}
	}
}

func TestBadKeysAreErrors(t *testing.T) {
	_, ed, _ := ed25519.GenerateKey(nil)
	weak := &rsa.PublicKey{N: new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 1023), big.NewInt(1)), E: 65537}
	good := jwt.Issuer{Name: "i", Keys: jwt.Public("", ed.Public())}
	for name, b := range map[string]auth.Option{
		"no name":             jwt.Backend(jwt.Issuer{Keys: good.Keys}),
		"no keys":             jwt.Backend(jwt.Issuer{Name: "i"}),
		"twice":               jwt.Backend(good, jwt.WithIssuer(good)),
		"nil option":          jwt.Backend(good, nil),
		"nil key":             jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.Public("", nil)}),
		"weak RSA":            jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.Public("", weak)}),
		"short secret":        jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.Shared("", "HS256", []byte("short"))}),
		"secret for RSA":      jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.Shared("", "RS256", make([]byte, 64))}),
		"unknown algorithm":   jwt.Backend(jwt.Issuer{Name: "i", Keys: good.Keys, Algorithms: []string{"none"}}),
		"HMAC from a URL":     jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL("https://example.com/jwks", nil), Algorithms: []string{"HS256"}}),
		"http":                jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL("http://example.com/jwks", nil)}),
		"a secret in a set":   jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKS([]byte(`{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}`))}),
		"an empty set":        jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKS([]byte(`{"keys":[]}`))}),
		"no set":              jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKS([]byte(`x`))}),
		"signer without name": jwt.Backend(good, jwt.WithSigner("", "", ed, time.Hour)),
		"signer without life": jwt.Backend(good, jwt.WithSigner("i", "", ed, 0)),
		"a public signer":     jwt.Backend(good, jwt.WithSigner("i", "", ed.Public(), time.Hour)),
	} {
		if a, err := auth.New(b, auth.WithService("s")); !errors.Is(err, auth.ErrInvalid) || a != nil {
			t.Errorf("%s: New = %v, %v, want ErrInvalid", name, a, err)
		}
	}
}
