package issuer

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
)

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

// sign makes an access token.
func (i *Issuer) sign(ctx context.Context, c claims, life time.Duration) (tokens, error) {
	signer, _, err := i.keys(ctx)
	if err != nil {
		return tokens{}, err
	}
	now := i.now()
	c.Issuer, c.Issued, c.Expires, c.ID = i.url, now.Unix(), now.Add(life).Unix(), rand.Text()
	b, err := json.Marshal(c)
	if err != nil {
		return tokens{}, err
	}
	raw, err := signer.Sign("at+jwt", b)
	return tokens{Access: raw, Type: "Bearer", Expires: c.Expires - c.Issued, Scope: c.Scope}, err
}

// allowed checks what a client asks for.
func allowed(c *Account, scopes []string, audience string) error {
	for _, s := range scopes {
		if s != "openid" && s != "offline_access" && !slices.Contains(c.Scopes, s) {
			return bad("invalid_scope", "the client may not ask for %.40q", s)
		}
	}
	if audience != c.ID && len(c.Audiences) > 0 && !slices.Contains(c.Audiences, audience) {
		return bad("invalid_target", "the client may not ask for this audience")
	}
	return nil
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
	return i.sign(ctx, claims{Subject: c.ID, Client: c.ID, Audience: []string{audience}, Scope: strings.Join(scopes, " "), Roles: c.Roles}, i.accessLife)
}

// issue makes the tokens of a grant.
func (i *Issuer) issue(ctx context.Context, g grant, scopes []string, refresh string) (tokens, error) {
	user, err := i.account(ctx, g.Subject)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && user.Disabled:
		return tokens{}, bad("invalid_grant", "unknown or expired")
	case err != nil:
		return tokens{}, err
	}
	t, err := i.sign(ctx, claims{
		Subject: g.Subject, Client: g.Client, Audience: []string{g.Audience}, Scope: strings.Join(scopes, " "), Roles: user.Roles, Grant: digest(g.ID),
	}, i.accessLife)
	if err != nil {
		return t, err
	}
	t.Refresh = refresh
	if slices.Contains(scopes, "openid") {
		t.ID, err = i.idToken(ctx, g)
	}
	return t, err
}

// idToken is OpenID Connect Core section 2.
func (i *Issuer) idToken(ctx context.Context, g grant) (string, error) {
	signer, _, err := i.keys(ctx)
	if err != nil {
		return "", err
	}
	now := i.now()
	c := map[string]any{
		"iss": i.url, "sub": g.Subject, "aud": g.Client, "azp": g.Client, "iat": now.Unix(), "exp": now.Add(idLife).Unix(), "auth_time": g.LoggedIn.Unix(),
	}
	if g.Nonce != "" {
		c["nonce"] = g.Nonce
	}
	b, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	return signer.Sign("JWT", b)
}
