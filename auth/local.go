package auth

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"maps"
	"time"

	"github.com/micro/go-platform/internal/jose"
)

// Authority is an authority that lives in this process: a key made at its start,
// which signs tokens and is forgotten with the process. It is the default of
// New, and several Auth of one process can share one (Local). It has no
// accounts and asks for no secrets: whoever holds the value may issue. For
// accounts, OAuth2 grants and other processes there is package auth/issuer.
type Authority struct {
	signer   *jose.Signer
	verifier *jose.Verifier
	life     time.Duration
}

// localIssuer is what tokens of an Authority name as their issuer.
const localIssuer = "local"

// NewAuthority returns an authority with a fresh Ed25519 key. Its tokens live for
// an hour.
func NewAuthority() *Authority {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err) // crypto/rand doesn't fail
	}
	s, err := jose.NewSigner("", jose.EdDSA, key)
	if err != nil {
		panic(err) // a key just made is a key
	}
	return &Authority{
		signer: s, life: time.Hour,
		verifier: &jose.Verifier{Issuer: localIssuer, Algorithms: []string{jose.EdDSA}, Keys: jose.Keys{s.Key()}, Leeway: MaxLeeway},
	}
}

// Local makes l the backend: other Auths of this process may share it.
func Local(l *Authority) Option {
	if l == nil {
		return func(*options) error { return fmt.Errorf("%w: nil Authority", ErrInvalid) }
	}
	return WithDriver("local", func(context.Context) (Driver, error) { return localDriver{l}, nil })
}

// Issue returns a token about a subject for an audience: for tests, and for
// programs that find out by themselves who somebody is. claims may be nil; it
// may hold "roles", "scope", "exp" and whatever conditions of rules need.
func (l *Authority) Issue(subject, audience string, claims map[string]any) (*Token, error) {
	if subject == "" || audience == "" {
		return nil, fmt.Errorf("auth/local: issue: %w: a token needs a subject and an audience", ErrInvalid)
	}
	now := time.Now()
	all := map[string]any{"iat": now.Unix(), "exp": now.Add(l.life).Unix(), "jti": rand.Text()}
	maps.Copy(all, claims)
	all["iss"], all["sub"], all["aud"] = localIssuer, subject, audience
	payload, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("auth/local: issue: %w: %w", ErrInvalid, err)
	}
	parsed, err := jose.ParseObject(payload)
	if err != nil {
		return nil, fmt.Errorf("auth/local: issue: %w: %w", ErrInvalid, err)
	}
	t, err := TokenFromClaims(parsed)
	if err != nil {
		return nil, fmt.Errorf("auth/local: issue: %w: %w", ErrInvalid, err)
	}
	raw, err := l.signer.Sign("at+jwt", payload)
	if err != nil {
		return nil, fmt.Errorf("auth/local: issue: %w", err)
	}
	t.AccessToken = Secret(raw)
	return t, nil
}

type localDriver struct{ l *Authority }

func (d localDriver) Verify(ctx context.Context, c Credential) (*Token, error) {
	claims, err := d.l.verifier.Verify(ctx, string(c.Value))
	if err != nil {
		return nil, err
	}
	t, err := TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	t.AccessToken = c.Value
	return t, nil
}

// Obtain implements Source. A caller's token that is exchanged keeps its
// subject and roles; who acts for it is in "act" (RFC 8693 section 4.1).
func (d localDriver) Obtain(ctx context.Context, r TokenRequest) (*Token, error) {
	subject := cmp.Or(r.Service, localIssuer)
	audience := cmp.Or(r.Audience, subject)
	claims := map[string]any{"roles": []string{"service"}, "client_id": subject}
	if r.Subject != nil {
		from, err := d.Verify(ctx, Credential{Value: r.Subject.AccessToken})
		if err != nil {
			return nil, err
		}
		delete(claims, "roles")
		if len(from.Roles) > 0 {
			claims["roles"] = from.Roles
		}
		actor := map[string]any{"sub": subject}
		if before, ok := from.Claims["act"].(map[string]any); ok {
			actor["act"] = before
		}
		claims["act"] = actor
		if !from.ExpiresAt.IsZero() {
			claims["exp"] = from.ExpiresAt.Unix()
		}
		subject = from.Subject
	}
	if len(r.Scopes) > 0 {
		claims["scope"] = r.Scopes
	}
	return d.l.Issue(subject, audience, claims)
}

func (localDriver) Close() error { return nil }
