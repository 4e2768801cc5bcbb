package issuer

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

const (
	grantExchange = "urn:ietf:params:oauth:grant-type:token-exchange"
	accessType    = "urn:ietf:params:oauth:token-type:access_token"
)

// exchange is RFC 8693: who holds a caller's token that was meant for it gets
// one for another service, in the caller's name, with no more scopes and no
// longer life.
func (i *Issuer) exchange(ctx context.Context, c stored, subject string, scopes []string, audience string) (tokens, error) {
	if c.Public {
		return tokens{}, bad("unauthorized_client", "a public client may not exchange")
	}
	t, err := i.check(ctx, subject)
	if errors.Is(err, fault.Unauthenticated) {
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
	if err := c.mayAsk(audience); err != nil {
		return tokens{}, err
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
		Subject: t.Subject, Client: c.ID, Audience: []string{audience}, Scope: strings.Join(scopes, " "), Roles: t.Roles, Actor: actor, Bound: c.bound, Grant: gid,
	}, min(i.accessLife, t.ExpiresAt.Sub(i.now())))
	out.Issued = accessType
	return out, err
}

// check verifies one of this issuer's access tokens: signature, times, and that
// neither it, its grant nor its account is gone.
func (i *Issuer) check(ctx context.Context, raw string) (*auth.Token, error) {
	v := jose.Verifier{Issuer: i.url, Algorithms: algorithms, Keys: keySource{i}, Now: i.now, Types: []string{"at+jwt"}}
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
	case !errors.Is(err, fault.NotFound):
		return nil, fault.Mark(auth.ErrUnavailable, err)
	}
	if id, _ := c["gid"].(string); id != "" {
		b, _, err := i.store.Get(ctx, "grant/"+id)
		var g grant
		if err == nil {
			err = json.Unmarshal(b, &g)
		}
		switch {
		case errors.Is(err, fault.NotFound), err == nil && g.Revoked:
			return nil, auth.ErrRevoked
		case err != nil:
			return nil, fault.Mark(auth.ErrUnavailable, err)
		}
	}
	switch a, err := i.account(ctx, t.Subject); {
	case errors.Is(err, fault.NotFound), err == nil && a.Disabled:
		return nil, auth.ErrRevoked
	case err != nil:
		return nil, fault.Mark(auth.ErrUnavailable, err)
	}
	return t, nil
}

func revokedKey(jti string) string { return "revoked/" + digest(jti) }
