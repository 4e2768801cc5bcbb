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
		raw, err := s.Sign("", fmt.Appendf(nil, `{"iss":%q,"sub":"x","aud":"orders","exp":%d}`, c.issuer, time.Now().Add(time.Hour).Unix()))
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
	raw, err := s.Sign("", fmt.Appendf(nil, `{"iss":"i","sub":"x","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
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
