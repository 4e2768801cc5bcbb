package authtest

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/internal/dpop"
	"github.com/micro/go-platform/internal/jose"
)

// Bound is an authority in memory whose tokens are bound to keys (RFC 9449): for
// tests of what sends and verifies them.
type Bound struct {
	signer *jose.Signer
	keys   jose.Keys
}

// NewBound returns an authority.
func NewBound(t testing.TB) *Bound {
	t.Helper()
	s := newSigner(t)
	return &Bound{s, jose.Keys{s.Key()}}
}

func newSigner(t testing.TB) *jose.Signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, err := jose.NewSigner("", "", key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Auth returns the auth of a service with a key of its own. It is closed when
// the test ends.
func (b *Bound) Auth(t testing.TB, service string, opts ...auth.Option) auth.Auth {
	t.Helper()
	d := &boundDriver{b, newSigner(t)}
	a, err := auth.New(append([]auth.Option{
		auth.WithDriver("bound", func(context.Context) (auth.Driver, error) { return d, nil }), auth.WithService(service),
	}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

type boundDriver struct {
	*Bound
	own *jose.Signer
}

func (d *boundDriver) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	v := jose.Verifier{Issuer: "bound", Algorithms: []string{jose.EdDSA}, Keys: d.keys}
	claims, err := v.Verify(ctx, string(c.Value))
	if err != nil {
		return nil, err
	}
	token, err := auth.TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	token.AccessToken = c.Value
	return token, nil
}

func (d *boundDriver) Obtain(_ context.Context, r auth.TokenRequest) (*auth.Token, error) {
	audience := r.Audience
	if audience == "" {
		audience = r.Service
	}
	claims, err := json.Marshal(map[string]any{
		"iss": "bound", "sub": r.Service, "aud": audience, "jti": rand.Text(), "exp": time.Now().Add(time.Hour).Unix(),
		"cnf": map[string]string{"jkt": jose.Thumbprint(d.own.Key().Public())},
	})
	if err != nil {
		return nil, err
	}
	raw, err := d.signer.Sign("at+jwt", claims)
	return &auth.Token{AccessToken: auth.Secret(raw), Type: "DPoP", Subject: r.Service, Audience: []string{audience}, ExpiresAt: time.Now().Add(time.Hour)}, err
}

// Prove implements auth/driver's Prover.
func (d *boundDriver) Prove(method, url string, token auth.Secret, nonce string) (auth.Secret, error) {
	proof, err := dpop.Sign(d.own, method, url, string(token), nonce, time.Now())
	return auth.Secret(proof), err
}

func (d *boundDriver) Close() error { return nil }
