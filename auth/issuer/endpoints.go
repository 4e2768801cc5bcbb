package issuer

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
)

func (i *Issuer) serveToken(w http.ResponseWriter, r *http.Request) error {
	f, c, err := i.caller(w, r)
	if err == nil {
		err = i.bind(r, &c)
	}
	if err != nil {
		return err
	}
	scopes, err := words(f.Get("scope"))
	if err != nil {
		return err
	}
	audience := audienceOf(f)
	var t tokens
	switch ctx := r.Context(); f.Get("grant_type") {
	case "client_credentials":
		t, err = i.clientCredentials(ctx, c, scopes, audience)
	case "authorization_code":
		t, err = i.exchangeCode(ctx, c, f.Get("code"), f.Get("redirect_uri"), f.Get("code_verifier"))
	case "refresh_token":
		t, err = i.refreshGrant(ctx, c, f.Get("refresh_token"), scopes)
	case grantExchange:
		if f.Get("subject_token_type") != accessType || f.Get("actor_token") != "" {
			err = bad("invalid_request", "only access tokens, and no actor token")
			break
		}
		t, err = i.exchange(ctx, c, f.Get("subject_token"), scopes, audience)
	case "":
		err = bad("invalid_request", "no grant_type")
	default:
		err = bad("unsupported_grant_type", "")
	}
	if err == nil {
		answer(w, http.StatusOK, t)
	}
	return err
}

// serveIntrospect is RFC 7662. A client hears of tokens that are for it or that
// were given to it; of others only if its account says so.
func (i *Issuer) serveIntrospect(w http.ResponseWriter, r *http.Request) error {
	f, c, err := i.caller(w, r)
	if err == nil && c.Public {
		err = bad("unauthorized_client", "a public client may not introspect")
	}
	if err != nil {
		return err
	}
	t, err := i.check(r.Context(), f.Get("token"))
	switch {
	case err == nil && (c.Introspects || t.ClientID == c.ID || slices.Contains(t.Audience, c.ID)):
		out := map[string]any{"active": true, "token_type": "Bearer"}
		if cnf, _ := t.Claims["cnf"].(map[string]any); cnf["jkt"] != nil {
			out["token_type"] = "DPoP"
		}
		for _, name := range []string{"iss", "sub", "aud", "exp", "iat", "jti", "client_id", "scope", "roles", "act", "cnf"} {
			if v, there := t.Claims[name]; there {
				out[name] = v
			}
		}
		out["username"] = t.Subject
		answer(w, http.StatusOK, out)
	case err == nil, errors.Is(err, fault.Unauthenticated):
		answer(w, http.StatusOK, map[string]any{"active": false})
	default:
		return err
	}
	return nil
}

// serveRevoke is RFC 7009.
func (i *Issuer) serveRevoke(w http.ResponseWriter, r *http.Request) error {
	f, c, err := i.caller(w, r)
	if err == nil {
		err = i.revoke(r.Context(), c.ID, f.Get("token"))
	}
	if err == nil {
		answer(w, http.StatusOK, struct{}{})
	}
	return err
}

// revoke ends an access token, or a refresh token's grant with all that came of
// it. A token that is no good any more is no error (RFC 7009 section 2.2).
func (i *Issuer) revoke(ctx context.Context, client, raw string) error {
	if raw == "" {
		return bad("invalid_request", "no token")
	}
	other := bad("unauthorized_client", "the token was given to another client")
	if strings.Count(raw, ".") == 1 {
		id, secret, ok := parts(raw)
		if !ok {
			return nil
		}
		err := i.alterGrant(ctx, id, func(g *grant) error {
			if g.Client != client {
				return other
			}
			if _, _, ok := g.holds(secret); !ok {
				return ErrNotFound
			}
			g.Revoked = true
			return nil
		})
		if errors.Is(err, fault.NotFound) {
			return nil
		}
		return err
	}
	t, err := i.check(ctx, raw)
	switch {
	case errors.Is(err, fault.Unauthenticated):
		return nil
	case err != nil:
		return err
	case t.ClientID != client && !slices.Contains(t.Audience, client): // whoever it is for may say that it was stolen
		return other
	}
	life := t.ExpiresAt.Sub(i.now()) + auth.MaxLeeway
	if err := i.store.Put(ctx, revokedKey(t.ID), []byte("1"), 0, life); err != nil && !errors.Is(err, fault.Conflict) {
		return fault.Mark(auth.ErrUnavailable, err)
	}
	return nil
}
