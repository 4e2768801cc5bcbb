package oauth2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	xoauth2 "golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
	"github.com/micro/go-platform/internal/strictjson"
)

// Ping implements auth/driver's Pinger: the metadata must be there.
func (s *server) Ping(ctx context.Context) error {
	_, err := s.metadata.Get(ctx)
	return err
}

// Verify implements auth.Driver.
func (s *server) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	if c.Value == "" {
		return nil, auth.ErrNoCredential
	}
	if s.introspect || strings.Count(string(c.Value), ".") != 2 {
		return s.ask(ctx, c.Value)
	}
	claims, err := s.verifier.Verify(ctx, string(c.Value))
	if err != nil {
		return nil, err
	}
	t, err := auth.TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	t.AccessToken = c.Value
	return t, nil
}

// ask shows a token to the server (RFC 7662).
func (s *server) ask(ctx context.Context, raw auth.Secret) (*auth.Token, error) {
	m, err := s.metadata.Get(ctx)
	if err != nil {
		return nil, err
	}
	if m.Introspection == "" || s.secret == "" {
		return nil, fmt.Errorf("%w: not a JWT, and nobody to ask about it", auth.ErrUnauthenticated)
	}
	status, body, err := s.post(ctx, &m, m.Introspection, url.Values{"token": {string(raw)}, "token_type_hint": {"access_token"}})
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		err := refusal(status, body)
		if status == http.StatusBadRequest && errors.Is(err, fault.Unsupported) { // unsupported_token_type
			return nil, fmt.Errorf("%w: introspection: %v", auth.ErrUnauthenticated, err)
		}
		return nil, fault.Markf(auth.ErrUnavailable, "introspection: %s", err) // it is about this service, not about the token
	}
	claims, err := jose.ParseObject(body)
	if err != nil {
		return nil, fault.Markf(auth.ErrUnavailable, "introspection: %v", err)
	}
	if active, _ := claims["active"].(bool); !active {
		return nil, auth.ErrRevoked
	}
	if iss, there := claims["iss"]; there && iss != s.issuer {
		return nil, fmt.Errorf("%w: a token of another issuer", auth.ErrUnauthenticated)
	}
	if kind, there := claims["token_type"]; there { // of a refresh token, too, some servers say that it is active
		if s, _ := kind.(string); !strings.EqualFold(s, "Bearer") && !strings.EqualFold(s, "DPoP") && !strings.EqualFold(s, "access_token") {
			return nil, fmt.Errorf("%w: not an access token: token_type is %.32q", auth.ErrUnauthenticated, s)
		}
	}
	if err := jose.NotAccess(claims); err != nil {
		return nil, err
	}
	t, err := auth.TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	t.Issuer = cmp.Or(t.Issuer, s.issuer)
	t.Subject = cmp.Or(t.Subject, t.ClientID) // no person behind it: the client is whom it is about, as in a JWT (RFC 9068 section 2.2)
	t.AccessToken = raw
	return t, nil
}

// Obtain implements auth/driver's Source.
func (s *server) Obtain(ctx context.Context, r auth.TokenRequest) (*auth.Token, error) {
	m, err := s.metadata.Get(ctx)
	if err != nil {
		return nil, err
	}
	switch {
	case m.Token == "":
		return nil, fault.Markf(auth.ErrUnsupported, "the server has no token endpoint")
	case s.id == "" || s.secret == "":
		return nil, fault.Markf(auth.ErrUnsupported, "no credentials; see WithCredentials")
	case r.Subject != nil:
		return s.exchange(ctx, &m, r)
	case r.Previous != nil && r.Previous.RefreshToken != "":
		return s.refresh(ctx, &m, r)
	}
	params := url.Values{}
	s.audience(params, r.Audience)
	c := clientcredentials.Config{
		ClientID: s.id, ClientSecret: s.secret, TokenURL: m.Token, Scopes: r.Scopes, EndpointParams: params, AuthStyle: s.style(&m),
	}
	t, err := c.Token(context.WithValue(ctx, xoauth2.HTTPClient, s.tokenClient(&m)))
	if err != nil {
		return nil, kindOf(ctx, err)
	}
	return s.token(t, r.Scopes)
}

// refresh uses the refresh token of the previous token. A server that refuses
// it is asked for a fresh grant next, by the front.
func (s *server) refresh(ctx context.Context, m *metadata, r auth.TokenRequest) (*auth.Token, error) {
	c := xoauth2.Config{ClientID: s.id, ClientSecret: s.secret, Endpoint: xoauth2.Endpoint{TokenURL: m.Token, AuthStyle: s.style(m)}}
	ctx = context.WithValue(ctx, xoauth2.HTTPClient, s.tokenClient(m))
	t, err := c.TokenSource(ctx, &xoauth2.Token{RefreshToken: string(r.Previous.RefreshToken), Expiry: time.Unix(1, 0)}).Token()
	if err != nil {
		return nil, kindOf(ctx, err)
	}
	return s.token(t, r.Scopes)
}

// exchange is RFC 8693.
func (s *server) exchange(ctx context.Context, m *metadata, r auth.TokenRequest) (*auth.Token, error) {
	const access = "urn:ietf:params:oauth:token-type:access_token"
	f := url.Values{
		"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "requested_token_type": {access},
		"subject_token": {string(r.Subject.AccessToken)}, "subject_token_type": {access},
	}
	s.audience(f, r.Audience)
	if len(r.Scopes) > 0 {
		f.Set("scope", strings.Join(r.Scopes, " "))
	}
	status, body, err := s.post(ctx, m, m.Token, f)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		return nil, refusal(status, body)
	}
	var a struct {
		Access  string `json:"access_token"`
		Type    string `json:"token_type"`
		Expires int64  `json:"expires_in"`
		Scope   string `json:"scope"`
	}
	if err := strictjson.Unmarshal(body, maxDepth, &a); err != nil {
		return nil, fault.Mark(auth.ErrUnavailable, err)
	}
	t := &xoauth2.Token{AccessToken: a.Access, TokenType: a.Type}
	if a.Expires > 0 { // no more than x/oauth2 believes: a longer time does not fit
		t.Expiry = time.Now().Add(time.Duration(min(a.Expires, math.MaxInt32)) * time.Second)
	}
	return s.token(t.WithExtra(map[string]any{"scope": a.Scope}), r.Scopes)
}

func (s *server) audience(f url.Values, audience string) {
	switch {
	case audience == "":
	case s.parameter != "":
		f.Set(s.parameter, audience)
	case strings.Contains(audience, "://") || strings.HasPrefix(audience, "urn:"):
		f.Set("resource", audience)
	default:
		f.Set("audience", audience)
	}
}

// token makes a Token of an answer. What a JWT says inside is read without
// being verified: it came from the server itself, and nobody decides by it.
func (s *server) token(t *xoauth2.Token, asked []string) (*auth.Token, error) {
	kind := "Bearer"
	if s.prover != nil && strings.EqualFold(t.Type(), "DPoP") {
		kind = "DPoP"
	} else if !strings.EqualFold(t.Type(), "Bearer") {
		return nil, fault.Markf(auth.ErrUnsupported, "a token of the type %.40q", t.Type())
	}
	out := &auth.Token{}
	if m, err := jose.Parse(t.AccessToken); err == nil {
		if claims, err := jose.ParseObject(m.Payload); err == nil {
			if inside, err := auth.TokenFromClaims(claims); err == nil {
				out = inside
			}
		}
	}
	out.Type, out.AccessToken, out.RefreshToken = kind, auth.Secret(t.AccessToken), auth.Secret(t.RefreshToken)
	if id, ok := t.Extra("id_token").(string); ok {
		out.IDToken = auth.Secret(id)
	}
	out.Issuer, out.ClientID = cmp.Or(out.Issuer, s.issuer), cmp.Or(out.ClientID, s.id)
	if !t.Expiry.IsZero() {
		out.ExpiresAt = t.Expiry
	}
	if scope, ok := t.Extra("scope").(string); ok && scope != "" {
		out.Scopes = strings.Fields(scope)
	} else if len(out.Scopes) == 0 {
		out.Scopes = asked // RFC 6749 section 5.1: not said means as asked
	}
	return out, nil
}

// Revoke implements auth/driver's Revoker (RFC 7009). With a refresh token that one is
// revoked, which ends the access tokens that came of it too.
func (s *server) Revoke(ctx context.Context, t *auth.Token) error {
	m, err := s.metadata.Get(ctx)
	if err != nil {
		return err
	}
	if m.Revocation == "" {
		return fault.Markf(auth.ErrUnsupported, "the server has no revocation endpoint")
	}
	f := url.Values{"token": {string(t.AccessToken)}, "token_type_hint": {"access_token"}}
	if t.RefreshToken != "" {
		f = url.Values{"token": {string(t.RefreshToken)}, "token_type_hint": {"refresh_token"}}
	}
	status, body, err := s.post(ctx, &m, m.Revocation, f)
	if err == nil && status != http.StatusOK {
		err = refusal(status, body)
	}
	return err
}
