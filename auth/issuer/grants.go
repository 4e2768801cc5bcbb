package issuer

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
	idLife        = time.Hour
)

// grant is what a user gave a client: first a code, then a line of refresh
// tokens, each good once. It is one record changed only by compare-and-set, so
// of many who show the same code or token, one wins; and whoever shows a used
// one ends the whole line, because one of the two holds a stolen copy.
//
// A code and a refresh token are "<id>.<secret>"; the record has their hashes.
type grant struct {
	ID       string    `json:"id"`
	Client   string    `json:"client"`
	Subject  string    `json:"subject"`
	Scopes   []string  `json:"scopes"`
	Audience string    `json:"audience"`
	Nonce    string    `json:"nonce,omitempty"`
	LoggedIn time.Time `json:"logged_in"`

	Redirect  string    `json:"redirect"`
	Challenge string    `json:"challenge"`
	Code      string    `json:"code"`                // hash
	CodeUsed  bool      `json:"code_used,omitempty"` //
	CodeEnds  time.Time `json:"code_ends"`           //
	Refresh   string    `json:"refresh,omitempty"`   // hash of the one that is good
	Ends      time.Time `json:"ends"`                // when the line ends if nobody refreshes
	Revoked   bool      `json:"revoked,omitempty"`   //
}

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

func grantKey(id string) string { return "grant/" + digest(id) }

// parts splits a code or refresh token.
func parts(s string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(s, ".")
	return id, secret, ok && id != "" && secret != "" && len(s) < 256
}

func matches(hash, secret string) bool {
	return hash != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(digest(secret))) == 1
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

// newGrant records what a user gave and returns the code.
func (i *Issuer) newGrant(ctx context.Context, g grant) (code string, err error) {
	secret := rand.Text()
	g.ID, g.Code, g.LoggedIn = rand.Text(), digest(secret), i.now().UTC()
	g.CodeEnds = g.LoggedIn.Add(i.codeLife)
	g.Ends = g.CodeEnds
	b, err := json.Marshal(g)
	if err != nil {
		return "", err
	}
	// The record outlives the code, so that a second use is seen as one.
	if err := i.store.Put(ctx, grantKey(g.ID), b, 0, i.codeLife+i.accessLife); err != nil {
		return "", err
	}
	return g.ID + "." + secret, nil
}

// alterGrant changes a grant. An error of change leaves it.
func (i *Issuer) alterGrant(ctx context.Context, id string, change func(g *grant) error) error {
	return update(ctx, i.store, grantKey(id), i.refreshLife+i.accessLife, func(old []byte) ([]byte, error) {
		if old == nil {
			return nil, ErrNotFound
		}
		var g grant
		if err := json.Unmarshal(old, &g); err != nil {
			return nil, err
		}
		if err := change(&g); err != nil {
			return nil, err
		}
		return json.Marshal(g)
	})
}

// errReused marks what makes a grant end.
var errReused = errors.New("used before")

// redeem turns a code or a refresh token into the next refresh token. check
// looks at the grant before anything is changed.
func (i *Issuer) redeem(ctx context.Context, raw string, c *stored, check func(g *grant, secret string) error) (g grant, refresh string, err error) {
	id, secret, ok := parts(raw)
	if !ok {
		return g, "", bad("invalid_grant", "unknown or expired")
	}
	next := rand.Text()
	err = i.alterGrant(ctx, id, func(old *grant) error {
		if old.Client != c.ID {
			return bad("invalid_grant", "it was given to another client")
		}
		if err := check(old, secret); err != nil {
			return err
		}
		old.Ends = i.now().Add(i.refreshLife).UTC()
		old.Refresh = digest(next)
		g = *old
		return nil
	})
	switch {
	case errors.Is(err, ErrNotFound):
		return g, "", bad("invalid_grant", "unknown or expired")
	case errors.Is(err, errReused):
		i.log.Warn("auth/issuer: a code or refresh token was used twice; its grant is revoked", "client", c.ID, "grant", id)
		if err := i.alterGrant(ctx, id, func(g *grant) error { g.Revoked = true; return nil }); err != nil {
			return g, "", err
		}
		return g, "", bad("invalid_grant", "used before; everything that came of it is revoked")
	}
	return g, id + "." + next, err
}

// exchangeCode is RFC 6749 section 4.1.3 with RFC 7636.
func (i *Issuer) exchangeCode(ctx context.Context, c stored, code, redirect, verifier string) (tokens, error) {
	g, refresh, err := i.redeem(ctx, code, &c, func(g *grant, secret string) error {
		sum := sha256.Sum256([]byte(verifier))
		switch {
		case g.Revoked || !matches(g.Code, secret):
			return bad("invalid_grant", "unknown or expired")
		case g.CodeUsed:
			return errReused
		case !i.now().Before(g.CodeEnds):
			return bad("invalid_grant", "unknown or expired")
		case g.Redirect != redirect:
			return bad("invalid_grant", "another redirect_uri than the code was asked with")
		case len(verifier) < 43 || len(verifier) > 128,
			subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(g.Challenge)) != 1:
			return bad("invalid_grant", "code_verifier does not fit")
		}
		g.CodeUsed = true
		return nil
	})
	if err != nil {
		return tokens{}, err
	}
	return i.issue(ctx, g, g.Scopes, refresh)
}

// refreshGrant is RFC 6749 section 6 with rotation (RFC 9700 section 4.14.2).
func (i *Issuer) refreshGrant(ctx context.Context, c stored, raw string, scopes []string) (tokens, error) {
	g, refresh, err := i.redeem(ctx, raw, &c, func(g *grant, secret string) error {
		switch {
		case g.Revoked || !g.CodeUsed || !i.now().Before(g.Ends):
			return bad("invalid_grant", "unknown or expired")
		case !matches(g.Refresh, secret):
			return errReused // of this grant, and not the one that is good
		}
		for _, s := range scopes {
			if !slices.Contains(g.Scopes, s) {
				return bad("invalid_scope", "more than was granted")
			}
		}
		return nil
	})
	if err != nil {
		return tokens{}, err
	}
	if len(scopes) == 0 {
		scopes = g.Scopes
	}
	return i.issue(ctx, g, scopes, refresh)
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

// exchange is RFC 8693: who holds a caller's token that was meant for it gets
// one for another service, in the caller's name, with no more scopes and no
// longer life.
func (i *Issuer) exchange(ctx context.Context, c stored, subject string, scopes []string, audience string) (tokens, error) {
	if c.Public {
		return tokens{}, bad("unauthorized_client", "a public client may not exchange")
	}
	t, err := i.check(ctx, subject)
	if errors.Is(err, auth.ErrUnauthenticated) {
		return tokens{}, bad("invalid_grant", "the subject token is not good")
	}
	if err != nil {
		return tokens{}, err
	}
	if !slices.Contains(t.Audience, c.ID) {
		return tokens{}, bad("invalid_grant", "the subject token is not for this client")
	}
	if audience == "" {
		return tokens{}, bad("invalid_request", "no audience")
	}
	if audience != c.ID && len(c.Audiences) > 0 && !slices.Contains(c.Audiences, audience) {
		return tokens{}, bad("invalid_target", "the client may not ask for this audience")
	}
	for _, s := range scopes {
		if !slices.Contains(t.Scopes, s) {
			return tokens{}, bad("invalid_scope", "more than the subject token has")
		}
	}
	if len(scopes) == 0 {
		scopes = t.Scopes
	}
	actor := map[string]any{"sub": c.ID}
	if before, ok := t.Claims["act"].(map[string]any); ok {
		actor["act"] = before
	}
	gid, _ := t.Claims["gid"].(string)
	out, err := i.sign(ctx, claims{
		Subject: t.Subject, Client: c.ID, Audience: []string{audience}, Scope: strings.Join(scopes, " "), Roles: t.Roles, Actor: actor, Grant: gid,
	}, min(i.accessLife, t.ExpiresAt.Sub(i.now())))
	out.Issued = accessType
	return out, err
}

// check verifies one of this issuer's access tokens: signature, times, and that
// neither it, its grant nor its account is gone.
func (i *Issuer) check(ctx context.Context, raw string) (*auth.Token, error) {
	v := jose.Verifier{Issuer: i.url, Algorithms: []string{jose.EdDSA}, Keys: keySource{i}, Now: i.now, Types: []string{"at+jwt"}}
	c, err := v.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	t, err := auth.TokenFromClaims(c)
	if err != nil {
		return nil, err
	}
	t.AccessToken = auth.Secret(raw)
	switch _, _, err := i.store.Get(ctx, revokedKey(t.ID)); {
	case err == nil:
		return nil, auth.ErrRevoked
	case !errors.Is(err, ErrNotFound):
		return nil, fault.Mark(auth.ErrUnavailable, err)
	}
	if id, _ := c["gid"].(string); id != "" {
		b, _, err := i.store.Get(ctx, "grant/"+id)
		var g grant
		if err == nil {
			err = json.Unmarshal(b, &g)
		}
		switch {
		case errors.Is(err, ErrNotFound), err == nil && g.Revoked:
			return nil, auth.ErrRevoked
		case err != nil:
			return nil, fault.Mark(auth.ErrUnavailable, err)
		}
	}
	switch a, err := i.account(ctx, t.Subject); {
	case errors.Is(err, ErrNotFound), err == nil && a.Disabled:
		return nil, auth.ErrRevoked
	case err != nil:
		return nil, fault.Mark(auth.ErrUnavailable, err)
	}
	return t, nil
}

func revokedKey(jti string) string { return "revoked/" + digest(jti) }
