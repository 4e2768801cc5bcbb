package issuer

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

const idLife = 10 * time.Minute // of ID tokens: whoever gets one looks at it right away

// claims are of an access token (RFC 9068).
type claims struct {
	Issuer   string         `json:"iss"`
	Subject  string         `json:"sub"`
	Audience []string       `json:"aud"`
	Expires  int64          `json:"exp"`
	Issued   int64          `json:"iat"`
	ID       string         `json:"jti"`
	Client   string         `json:"client_id"`
	Scope    string         `json:"scope,omitempty"`
	Roles    []string       `json:"roles,omitempty"`
	Actor    map[string]any `json:"act,omitempty"`
	Bound    *confirmation  `json:"cnf,omitempty"`
	Grant    string         `json:"gid,omitempty"` // digest of the grant that it comes from: the id itself is half of a refresh token
}

// tokens is an answer of the token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Type    string `json:"token_type"`
	Expires int64  `json:"expires_in"`
	Scope   string `json:"scope,omitempty"`
	Refresh string `json:"refresh_token,omitempty"`
	ID      string `json:"id_token,omitempty"`
	Issued  string `json:"issued_token_type,omitempty"`
}

// stamp completes claims of a token that is made now.
func (i *Issuer) stamp(c claims, life time.Duration) claims {
	now := i.now()
	c.Issuer, c.Issued, c.Expires, c.ID = i.url, now.Unix(), now.Add(life).Unix(), rand.Text()
	return c
}

// access signs an access token (RFC 9068).
func access(signer *jose.Signer, c claims) (tokens, error) {
	raw, err := signer.Sign("at+jwt", encode(c))
	return tokens{Access: raw, Type: c.Bound.tokenType(), Expires: c.Expires - c.Issued, Scope: c.Scope}, err
}

// sign makes an access token.
func (i *Issuer) sign(ctx context.Context, c claims, life time.Duration) (tokens, error) {
	signer, err := i.signer(ctx, i.algorithm)
	if err != nil {
		return tokens{}, err
	}
	return access(signer, i.stamp(c, life))
}

// AnyAudience among an account's Audiences lets it ask for every audience.
const AnyAudience = "*"

// mayAsk checks the audience that a client asks for. Its own it always may.
func (a *Account) mayAsk(audience string) error {
	if audience == a.ID || slices.Contains(a.Audiences, audience) || slices.Contains(a.Audiences, AnyAudience) {
		return nil
	}
	return bad("invalid_target", "the client may not ask for this audience")
}

// allowed checks what a client asks for.
func allowed(c *Account, scopes []string, audience string) error {
	for _, s := range scopes {
		if s != "openid" && s != "offline_access" && !slices.Contains(c.Scopes, s) {
			return bad("invalid_scope", "the client may not ask for %.40q", s)
		}
	}
	return c.mayAsk(audience)
}

// clientCredentials is RFC 6749 section 4.4.
func (i *Issuer) clientCredentials(ctx context.Context, c stored, scopes []string, audience string) (tokens, error) {
	if c.Public {
		return tokens{}, bad("unauthorized_client", "a public client has no credentials")
	}
	if audience == "" {
		audience = c.ID
	}
	if err := allowed(&c.Account, scopes, audience); err != nil {
		return tokens{}, err
	}
	return i.sign(ctx, claims{Subject: c.ID, Client: c.ID, Audience: []string{audience}, Scope: strings.Join(scopes, " "), Roles: c.Roles, Bound: c.bound}, i.accessLife)
}

// issuance is the tokens of a grant, ready to be signed: nothing of the store is
// needed any more, so a grant that was changed for it gives its tokens.
type issuance struct {
	claims     claims
	identity   map[string]any // of the ID token; nil: none
	access, id *jose.Signer
}

// prepare makes an issuance of a grant. What the client's account no longer
// allows is refused.
func (i *Issuer) prepare(ctx context.Context, c *stored, g grant, scopes []string) (*issuance, error) {
	user, err := i.account(ctx, g.Subject)
	switch {
	case errors.Is(err, fault.NotFound), err == nil && user.Disabled:
		return nil, unknown()
	case err != nil:
		return nil, err
	}
	if err := allowed(&c.Account, scopes, g.Audience); err != nil {
		return nil, err
	}
	out := &issuance{claims: i.stamp(claims{
		Subject: g.Subject, Client: g.Client, Audience: []string{g.Audience}, Scope: strings.Join(scopes, " "), Roles: user.Roles, Bound: c.bound, Grant: digest(g.ID),
	}, i.accessLife)}
	out.access, err = i.signer(ctx, i.algorithm)
	if err != nil {
		return nil, err
	}
	if slices.Contains(scopes, "openid") {
		out.identity = i.identity(&g)
		out.id, err = i.signer(ctx, cmp.Or(c.IDAlgorithm, RS256))
	}
	return out, err
}

// identity is the claims of an ID token (OpenID Connect Core section 2).
func (i *Issuer) identity(g *grant) map[string]any {
	now := i.now()
	c := map[string]any{
		"iss": i.url, "sub": g.Subject, "aud": g.Client, "azp": g.Client, "iat": now.Unix(), "exp": now.Add(idLife).Unix(), "auth_time": g.LoggedIn.Unix(),
	}
	if g.Nonce != "" {
		c["nonce"] = g.Nonce
	}
	return c
}

// tokens signs. shown is the code or refresh token that they are for, secret the
// next refresh token's.
func (s *issuance) tokens(shown, secret string) (tokens, error) {
	t, err := access(s.access, s.claims)
	if err != nil {
		return tokens{}, err
	}
	id, _, _ := parts(shown)
	t.Refresh = id + "." + secret
	if s.identity == nil {
		return t, nil
	}
	t.ID, err = s.id.Sign("JWT", encode(s.identity))
	return t, err
}
