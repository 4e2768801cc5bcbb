package jwt_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"sync"
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
	shared := `{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`
	signer, err := jose.NewSigner("", "", ed)
	if err != nil {
		t.Fatal(err)
	}
	mixed := bytes.Replace(jose.MarshalSet(signer.Key()), []byte(`[`), []byte(`[`+shared+`,`), 1)
	with := func(k jwt.Keys) auth.Option { return jwt.Backend(jwt.Issuer{Name: "i", Keys: k}) }
	for name, c := range map[string]struct {
		b    auth.Option
		want string
	}{
		"no name":                  {jwt.Backend(jwt.Issuer{Keys: good.Keys}), "without a name"},
		"no keys":                  {jwt.Backend(jwt.Issuer{Name: "i"}), "has no keys"},
		"twice":                    {jwt.Backend(good, jwt.WithIssuer(good)), "given twice"},
		"nil option":               {jwt.Backend(good, nil), "option"},
		"nil key":                  {with(jwt.Public("", nil)), "key"},
		"weak RSA":                 {with(jwt.Public("", weak)), "2048"},
		"short secret":             {with(jwt.Shared("", "HS256", []byte("short"))), "32"},
		"secret for RSA":           {with(jwt.Shared("", "RS256", make([]byte, 64))), "not one of shared secrets"},
		"secret for nothing":       {with(jwt.Shared("", "", make([]byte, 64))), "not one of shared secrets"},
		"unknown algorithm":        {jwt.Backend(jwt.Issuer{Name: "i", Keys: good.Keys, Algorithms: []string{"none"}}), `algorithm "none"`},
		"HMAC from a URL":          {jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL("https://example.com/jwks", nil), Algorithms: []string{"HS256"}}), `algorithm "HS256"`},
		"http":                     {with(jwt.JWKSURL("http://example.com/jwks", nil)), "want https://"},
		"no host":                  {with(jwt.JWKSURL("https:///jwks", nil)), "want https://"},
		"no URL":                   {with(jwt.JWKSURL("https://exa mple/jwks", nil)), "want https://"},
		"a secret in a set":        {with(jwt.JWKS([]byte(`{"keys":[` + shared + `]}`))), "shared"},
		"a secret beside a key":    {with(jwt.JWKS(mixed)), "shared"},
		"an empty set":             {with(jwt.JWKS([]byte(`{"keys":[]}`))), "empty key set"},
		"no set":                   {with(jwt.JWKS([]byte(`x`))), "JSON"},
		"signer without name":      {jwt.Backend(good, jwt.WithSigner("", "", ed, time.Hour)), "needs an issuer"},
		"signer without life":      {jwt.Backend(good, jwt.WithSigner("i", "", ed, 0)), "needs an issuer"},
		"signer with a short life": {jwt.Backend(good, jwt.WithSigner("i", "", ed, time.Second-1)), "needs an issuer"},
		"signer of a second":       {jwt.Backend(good, jwt.WithSigner("i", "", ed, time.Second)), ""},
		"a public signer":          {jwt.Backend(good, jwt.WithSigner("i", "", ed.Public(), time.Hour)), "key"},
	} {
		a, err := auth.New(c.b, auth.WithService("s"))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want == "":
			a.Close()
		case !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), c.want) || a != nil:
			t.Errorf("%s: New = %v, %v, want ErrInvalid with %q", name, a, err, c.want)
		}
	}
}

// A service's own token says what was asked for, and nothing else.
func TestOwnTokens(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	is := jwt.Issuer{Name: "us", Keys: jwt.Public("", key.Public())}
	signing := open(t, jwt.Backend(is, jwt.WithSigner("us", "", key, time.Hour)))
	for _, c := range []struct {
		opts     []auth.TokenOption
		audience string
		scope    any
	}{
		{nil, "orders", nil},
		{[]auth.TokenOption{auth.Audience("stock")}, "stock", nil},
		{[]auth.TokenOption{auth.Scopes("b", "a")}, "orders", "a b"},
	} {
		token, err := signing.Token(t.Context(), c.opts...)
		if err != nil {
			t.Fatal(err)
		}
		m, err := jose.Parse(string(token.AccessToken))
		if err != nil {
			t.Fatal(err)
		}
		claims, err := jose.ParseObject(m.Payload)
		if err != nil {
			t.Fatal(err)
		}
		if claims["aud"] != c.audience || claims["scope"] != c.scope || claims["sub"] != "orders" || !slices.Equal(token.Audience, []string{c.audience}) {
			t.Errorf("got %v, want audience %q and scope %v", claims, c.audience, c.scope)
		}
	}
	caller, err := signing.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if token, err := signing.Token(t.Context(), auth.OnBehalfOf(caller)); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("on behalf of a caller: %v, %v, want ErrUnsupported", token, err)
	}
	if token, err := open(t, jwt.Backend(is)).Token(t.Context()); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("without a signer: %v, %v, want ErrUnsupported", token, err)
	}
	nameless, err := auth.New(jwt.Backend(is, jwt.WithSigner("us", "", key, time.Hour)), auth.WithAnyAudience())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nameless.Close() })
	if token, err := nameless.Token(t.Context()); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("without a service: %v, %v, want ErrInvalid", token, err)
	}
}

// Each token is refused for its own reason.
func TestRefusalsSayWhy(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	_, other, _ := ed25519.GenerateKey(nil)
	is := jwt.Issuer{Name: "us", Keys: jwt.Public("k", key.Public())}
	one := open(t, jwt.Backend(is))
	two := open(t, jwt.Backend(is, jwt.WithIssuer(jwt.Issuer{Name: "them", Keys: jwt.Public("k", other.Public())})))
	later := time.Now().Add(time.Hour).Unix()
	for _, c := range []struct {
		name    string
		au      auth.Auth
		key     any
		payload string
		want    error
		words   string
	}{
		{"signed by another", one, other, fmt.Sprintf(`{"iss":"us","sub":"x","aud":"orders","exp":%d}`, later), auth.ErrUnauthenticated, "signature"},
		{"another issuer", one, key, fmt.Sprintf(`{"iss":"x","sub":"x","aud":"orders","exp":%d}`, later), auth.ErrUnauthenticated, "iss"},
		{"expired", one, key, `{"iss":"us","sub":"x","aud":"orders","exp":1}`, auth.ErrExpired, ""},
		{"expired, of two issuers", two, key, `{"iss":"us","sub":"x","aud":"orders","exp":1}`, auth.ErrExpired, ""},
		{"no object", two, key, `[]`, auth.ErrUnauthenticated, "object"},
		{"roles of a wrong type", one, key, fmt.Sprintf(`{"iss":"us","sub":"x","aud":"orders","exp":%d,"roles":5}`, later), auth.ErrUnauthenticated, "roles"},
		{"unknown issuer", two, key, fmt.Sprintf(`{"iss":"x","sub":"x","aud":"orders","exp":%d}`, later), auth.ErrUnauthenticated, "unknown issuer"},
	} {
		s, err := jose.NewSigner("k", "", c.key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := s.Sign("at+jwt", []byte(c.payload))
		if err != nil {
			t.Fatal(err)
		}
		if token, err := c.au.Verify(t.Context(), raw); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v, %v, want %v with %q", c.name, token, err, c.want, c.words)
		}
	}
}

func TestCloseClosesConnectionsToKeySets(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	s, err := jose.NewSigner("", "", key)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{})
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(jose.MarshalSet(s.Key())) }))
	once := sync.OnceFunc(func() { close(closed) })
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			once()
		}
	}
	srv.Start()
	defer srv.Close()
	raw, err := s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"i","sub":"x","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	au := open(t, jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL(srv.URL, nil)}))
	if _, err := au.Verify(t.Context(), raw); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
		t.Fatal("the connection was not kept for the next request")
	default:
	}
	if err := au.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Error("Close left a connection open")
	}
}

// An option that is given to two Auths opens the connections of both.
func TestEachAuthClosesItsOwnConnections(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	s, err := jose.NewSigner("a", "", key)
	if err != nil {
		t.Fatal(err)
	}
	closed := make(chan struct{}, 2)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(jose.MarshalSet(s.Key())) }))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			closed <- struct{}{}
		}
	}
	srv.Start()
	defer srv.Close()
	raw, err := s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"i","sub":"x","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		t.Fatal(err)
	}
	backend := jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL(srv.URL, nil)})
	for n, au := range []auth.Auth{open(t, backend), open(t, backend)} {
		if _, err := au.Verify(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		if err := au.Close(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-closed:
		case <-time.After(30 * time.Second):
			t.Fatalf("Close of the Auth %d left a connection open", n+1)
		}
	}
}
