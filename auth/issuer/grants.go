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

func grantKey(id string) string { return "grant/" + digest(id) }

// parts splits a code or refresh token.
func parts(s string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(s, ".")
	return id, secret, ok && id != "" && secret != "" && len(s) < 256
}

func matches(hash, secret string) bool {
	return hash != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(digest(secret))) == 1
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
