// Package auth compares package auth with its peers: policy decisions with
// casbin and cedar-go, tokens with golang-jwt and go-oidc, own tokens with
// x/oauth2.
//
//	go test -bench . ./auth
package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/casbin/casbin/v2"
	"github.com/casbin/casbin/v2/model"
	"github.com/cedar-policy/cedar-go"
	"github.com/coreos/go-oidc/v3/oidc"
	gojwt "github.com/golang-jwt/jwt/v5"
	xoauth2 "golang.org/x/oauth2"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/jwt"
	"github.com/micro/go-platform/internal/jose"
)

// A thousand roles, each with one rule, and a user in each: who may is looked
// up in the middle.
const many = 1000

func BenchmarkDecision(b *testing.B) {
	for _, c := range []struct {
		name, resource string
		allow          bool
	}{{"allow", "/data/500", true}, {"deny", "/data/501", false}} {
		b.Run(c.name+"/ours", func(b *testing.B) {
			s := auth.RuleSet{Members: map[string][]string{}}
			for i := range many {
				s.Rules = append(s.Rules, auth.Rule{ID: fmt.Sprint(i), Effect: auth.Allow, Roles: []string{fmt.Sprint("role", i)}, Resources: []string{fmt.Sprint("/data/", i)}, Actions: []string{"read"}})
				s.Members[fmt.Sprint("user", i)] = []string{fmt.Sprint("role", i)}
			}
			p, err := auth.NewPolicies(s)
			if err != nil {
				b.Fatal(err)
			}
			token, r := &auth.Token{Subject: "user500"}, auth.Request{Action: "read", Resource: c.resource}
			b.ReportAllocs()
			for b.Loop() {
				if d, _ := p.Decide(b.Context(), token, r); (d.Effect == auth.Allow) != c.allow {
					b.Fatal(d)
				}
			}
		})
		b.Run(c.name+"/casbin", func(b *testing.B) {
			m, err := model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow))
[matchers]
m = g(r.sub, p.sub) && r.obj == p.obj && r.act == p.act
`)
			if err != nil {
				b.Fatal(err)
			}
			e, err := casbin.NewEnforcer(m)
			if err != nil {
				b.Fatal(err)
			}
			for i := range many {
				e.AddPolicy(fmt.Sprint("role", i), fmt.Sprint("/data/", i), "read")
				e.AddGroupingPolicy(fmt.Sprint("user", i), fmt.Sprint("role", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				if ok, err := e.Enforce("user500", c.resource, "read"); ok != c.allow || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run(c.name+"/cedar-go", func(b *testing.B) {
			ps := cedar.NewPolicySet()
			entities := cedar.EntityMap{}
			for i := range many {
				var p cedar.Policy
				if err := p.UnmarshalCedar(fmt.Appendf(nil, `permit (principal in Role::"role%d", action == Action::"read", resource == Data::"/data/%d");`, i, i)); err != nil {
					b.Fatal(err)
				}
				ps.Add(cedar.PolicyID(fmt.Sprint(i)), &p)
				user := cedar.NewEntityUID("User", cedar.String(fmt.Sprint("user", i)))
				entities[user] = cedar.Entity{UID: user, Parents: cedar.NewEntityUIDSet(cedar.NewEntityUID("Role", cedar.String(fmt.Sprint("role", i))))}
			}
			r := cedar.Request{Principal: cedar.NewEntityUID("User", "user500"), Action: cedar.NewEntityUID("Action", "read"), Resource: cedar.NewEntityUID("Data", cedar.String(c.resource))}
			b.ReportAllocs()
			for b.Loop() {
				if ok, _ := cedar.Authorize(ps, entities, r); bool(ok) != c.allow {
					b.Fatal(ok)
				}
			}
		})
	}
}

// signed returns a token and the public key that verifies it.
func signed(b *testing.B, alg string) (raw string, public any) {
	b.Helper()
	var private any
	switch alg {
	case "EdDSA":
		_, k, _ := ed25519.GenerateKey(nil)
		private, public = k, k.Public()
	case "ES256":
		k, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		private, public = k, &k.PublicKey
	case "RS256":
		k, _ := rsa.GenerateKey(rand.Reader, 2048)
		private, public = k, &k.PublicKey
	}
	s, err := jose.NewSigner("k1", alg, private)
	if err != nil {
		b.Fatal(err)
	}
	raw, err = s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"https://issuer","sub":"alice","aud":["orders"],"exp":%d,"iat":1700000000,"jti":"abc","client_id":"web","scope":"read write"}`, time.Now().Add(time.Hour).Unix()))
	if err != nil {
		b.Fatal(err)
	}
	return raw, public
}

func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"EdDSA", "ES256", "RS256"} {
		raw, public := signed(b, alg)
		open := func(b *testing.B, ttl time.Duration) auth.Auth {
			a, err := auth.New(jwt.Backend(jwt.Issuer{Name: "https://issuer", Keys: jwt.Public("k1", public), Algorithms: []string{alg}}), auth.WithService("orders"), auth.WithCacheTTL(ttl))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { a.Close() })
			return a
		}
		for name, ttl := range map[string]time.Duration{"ours": 0, "ours, cached": time.Hour} {
			b.Run(alg+"/"+name, func(b *testing.B) {
				a := open(b, ttl)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := a.Verify(b.Context(), raw); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(alg+"/golang-jwt", func(b *testing.B) {
			p := gojwt.NewParser(gojwt.WithValidMethods([]string{alg}), gojwt.WithIssuer("https://issuer"), gojwt.WithAudience("orders"), gojwt.WithExpirationRequired())
			b.ReportAllocs()
			for b.Loop() {
				c := gojwt.MapClaims{}
				if _, err := p.ParseWithClaims(raw, c, func(*gojwt.Token) (any, error) { return public, nil }); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/go-oidc", func(b *testing.B) {
			v := oidc.NewVerifier("https://issuer", &oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{public}}, &oidc.Config{ClientID: "orders", SupportedSigningAlgs: []string{alg}})
			b.ReportAllocs()
			for b.Loop() {
				t, err := v.Verify(b.Context(), raw)
				if err != nil {
					b.Fatal(err)
				}
				var c map[string]any
				if err := t.Claims(&c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOwnToken(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		a, err := auth.New()
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { a.Close() })
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := a.Token(b.Context()); err != nil {
					b.Error(err)
				}
			}
		})
	})
	b.Run("x-oauth2", func(b *testing.B) {
		s := xoauth2.ReuseTokenSource(&xoauth2.Token{AccessToken: "x", Expiry: time.Now().Add(time.Hour)}, nil)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := s.Token(); err != nil {
					b.Error(err)
				}
			}
		})
	})
}

// BenchmarkFlood counts how often the key set is fetched for 500 tokens with
// random key ids.
func BenchmarkFlood(b *testing.B) {
	var tokens []string
	for i := range 500 {
		_, k, _ := ed25519.GenerateKey(nil)
		s, err := jose.NewSigner(fmt.Sprint("random", i), "", k)
		if err != nil {
			b.Fatal(err)
		}
		raw, err := s.Sign("at+jwt", fmt.Appendf(nil, `{"iss":"i","aud":"orders","exp":%d}`, time.Now().Add(time.Hour).Unix()))
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, raw)
	}
	_, known, _ := ed25519.GenerateKey(nil)
	good, err := jose.NewSigner("good", "", known)
	if err != nil {
		b.Fatal(err)
	}
	for name, verify := range map[string]func(b *testing.B, url string) func(raw string) error{
		"ours": func(b *testing.B, url string) func(string) error {
			a, err := auth.New(jwt.Backend(jwt.Issuer{Name: "i", Keys: jwt.JWKSURL(url, nil)}), auth.WithService("orders"))
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(func() { a.Close() })
			return func(raw string) error { _, err := a.Verify(b.Context(), raw); return err }
		},
		"go-oidc": func(b *testing.B, url string) func(string) error {
			v := oidc.NewVerifier("i", oidc.NewRemoteKeySet(b.Context(), url), &oidc.Config{ClientID: "orders", SupportedSigningAlgs: []string{"EdDSA"}})
			return func(raw string) error { _, err := v.Verify(b.Context(), raw); return err }
		},
	} {
		b.Run(name, func(b *testing.B) {
			var fetches atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				fetches.Add(1)
				w.Write(jose.MarshalSet(good.Key()))
			}))
			defer srv.Close()
			for b.Loop() {
				f := verify(b, srv.URL)
				fetches.Store(0)
				for _, raw := range tokens {
					if f(raw) == nil {
						b.Fatal("accepted")
					}
				}
			}
			b.ReportMetric(float64(fetches.Load()), "fetches")
		})
	}
}
