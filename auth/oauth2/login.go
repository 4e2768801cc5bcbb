package oauth2

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"net/url"
	"slices"
	"strings"

	xoauth2 "golang.org/x/oauth2"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/jose"
)

// Login logs people in at a server by the authorization code flow with PKCE
// (RFC 6749 section 4.1, RFC 7636).
type Login struct {
	s        *server
	redirect string
	ids      *jose.Verifier
}

// NewLogin returns a Login. redirect is the address of this program that the
// server sends people back to, as it is registered there. The issuer and
// options are those of Backend.
func NewLogin(issuer, redirect string, opts ...Option) (*Login, error) {
	s, err := newServer(issuer, opts)
	if err == nil {
		if u, perr := url.Parse(redirect); perr != nil || !u.IsAbs() {
			err = fmt.Errorf("%w: redirect %q is not an absolute URL", auth.ErrInvalid, redirect)
		} else if s.id == "" {
			err = fmt.Errorf("%w: no client; see WithCredentials", auth.ErrInvalid)
		}
	}
	if err != nil {
		return nil, fault.Wrap("auth/oauth2", "login", "", err)
	}
	ids := *s.verifier
	ids.Types = []string{"", "jwt"}
	return &Login{s: s, redirect: redirect, ids: &ids}, nil
}

// Pending is a login that somebody has begun. Keep it with the browser's
// session: whoever brings the code back must be who went away.
type Pending struct {
	URL      string      // where to send the browser
	State    string      // comes back with it
	Verifier auth.Secret // of PKCE: proves that the code is this program's
	Nonce    string      // comes back in the ID token
	OpenID   bool        // an ID token was asked for: without one nobody is logged in
}

// Begin starts a login. Scopes beyond the usual are added to it: "openid" asks
// for an ID token, "offline_access" for a refresh token at many servers.
func (l *Login) Begin(ctx context.Context, scopes ...string) (*Pending, error) {
	c, _, err := l.config(ctx)
	if err != nil {
		return nil, fault.Wrap("auth/oauth2", "login", "", err)
	}
	c.Scopes = scopes
	p := &Pending{
		State: rand.Text(), Nonce: rand.Text(), Verifier: auth.Secret(xoauth2.GenerateVerifier()),
		OpenID: slices.Contains(strings.Fields(strings.Join(scopes, " ")), "openid"),
	}
	p.URL = c.AuthCodeURL(p.State, xoauth2.S256ChallengeOption(string(p.Verifier)), xoauth2.SetAuthURLParam("nonce", p.Nonce))
	return p, nil
}

// Finish takes what the server sent the browser back with, the query of the
// redirect, and exchanges its code for tokens. If there is an ID token it is
// verified and tells who it is: Subject and Claims are its; if "openid" was
// asked for and there is none, that is an ErrUnauthenticated. So is a query that
// is not the answer to p, or that lacks the issuer where the server's metadata
// promises it (RFC 9207).
func (l *Login) Finish(ctx context.Context, p *Pending, query url.Values) (*auth.Token, error) {
	t, err := l.finish(ctx, p, query)
	return t, fault.Wrap("auth/oauth2", "login", "", err)
}

func (l *Login) finish(ctx context.Context, p *Pending, query url.Values) (*auth.Token, error) {
	switch {
	case p == nil || p.State == "":
		return nil, fmt.Errorf("%w: no login was begun", auth.ErrUnauthenticated)
	case subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(p.State)) != 1:
		return nil, fmt.Errorf("%w: the state is another", auth.ErrUnauthenticated)
	case slices.ContainsFunc([]string{"state", "iss", "code", "error"}, func(name string) bool { return len(query[name]) > 1 }):
		return nil, fmt.Errorf("%w: an answer that says two things", auth.ErrUnauthenticated)
	case query.Has("iss") && query.Get("iss") != l.s.issuer: // RFC 9207
		return nil, fmt.Errorf("%w: an answer of another issuer", auth.ErrUnauthenticated)
	}
	m, err := l.s.metadata.Get(ctx)
	switch {
	case err != nil:
		return nil, err
	case m.SaysIssuer && !query.Has("iss"):
		return nil, fmt.Errorf("%w: the answer does not say its issuer", auth.ErrUnauthenticated)
	case query.Has("error"):
		return nil, refused(400, query.Get("error"), query.Get("error_description"))
	case query.Get("code") == "":
		return nil, fmt.Errorf("%w: no code", auth.ErrUnauthenticated)
	}
	c, ctx, err := l.config(ctx)
	if err != nil {
		return nil, err
	}
	got, err := c.Exchange(ctx, query.Get("code"), xoauth2.VerifierOption(string(p.Verifier)))
	if err != nil {
		return nil, kindOf(ctx, err)
	}
	t, err := l.s.token(got, nil)
	switch {
	case err != nil:
		return nil, err
	case t.IDToken == "" && p.OpenID:
		return nil, fmt.Errorf("%w: no ID token, although openid was asked for", auth.ErrUnauthenticated)
	case t.IDToken == "":
		return t, nil
	}
	return l.identify(ctx, t, p.Nonce)
}

// identify verifies the ID token (OpenID Connect Core section 3.1.3.7).
func (l *Login) identify(ctx context.Context, t *auth.Token, nonce string) (*auth.Token, error) {
	claims, err := l.ids.Verify(ctx, string(t.IDToken))
	if err != nil {
		return nil, err
	}
	id, err := auth.TokenFromClaims(claims)
	if err != nil {
		return nil, err
	}
	azp, several := claims["azp"].(string)
	switch got, _ := claims["nonce"].(string); {
	case nonce != "" && got != nonce:
		return nil, fmt.Errorf("%w: the ID token has another nonce", auth.ErrUnauthenticated)
	case len(id.Audience) == 0, !slices.Contains(id.Audience, l.s.id), several && azp != l.s.id, len(id.Audience) > 1 && !several:
		return nil, fmt.Errorf("%w: the ID token is not for this client", auth.ErrUnauthenticated)
	case id.Subject == "":
		return nil, fmt.Errorf("%w: an ID token about nobody", auth.ErrUnauthenticated)
	}
	t.Subject, t.Issuer, t.Claims = id.Subject, id.Issuer, claims
	return t, nil
}

// Refresh exchanges a refresh token. The answer may hold the next one, and the
// old one is then no longer good. An ErrUnauthenticated means to log in again.
func (l *Login) Refresh(ctx context.Context, t *auth.Token) (*auth.Token, error) {
	if t == nil || t.RefreshToken == "" {
		return nil, fault.Wrap("auth/oauth2", "refresh", "", fmt.Errorf("%w: no refresh token", auth.ErrInvalid))
	}
	m, err := l.s.metadata.Get(ctx)
	if err == nil {
		var next *auth.Token
		next, err = l.s.refresh(ctx, &m, auth.TokenRequest{Previous: t})
		if err == nil {
			next.Subject, next.Claims = t.Subject, t.Claims
			return next, nil
		}
	}
	return nil, fault.Wrap("auth/oauth2", "refresh", "", err)
}

// Prove implements auth/driver's Prover for the tokens that Finish and Refresh return,
// with WithDPoP.
func (l *Login) Prove(method, url string, token auth.Secret, nonce string) (auth.Secret, error) {
	return l.s.Prove(method, url, token, nonce)
}

// Close waits for what runs.
func (l *Login) Close() error { return l.s.Close() }

func (l *Login) config(ctx context.Context) (*xoauth2.Config, context.Context, error) {
	m, err := l.s.metadata.Get(ctx)
	if err != nil {
		return nil, ctx, err
	}
	if m.Authorization == "" || m.Token == "" {
		return nil, ctx, fault.Markf(auth.ErrUnsupported, "the server has no authorization code flow")
	}
	return &xoauth2.Config{
		ClientID: l.s.id, ClientSecret: l.s.secret, RedirectURL: l.redirect,
		Endpoint: xoauth2.Endpoint{AuthURL: m.Authorization, TokenURL: m.Token, AuthStyle: l.s.style(&m)},
	}, context.WithValue(ctx, xoauth2.HTTPClient, l.s.tokenClient(&m)), nil
}
