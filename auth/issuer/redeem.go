package issuer

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"slices"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/jose"
)

// exchangeCode is RFC 6749 section 4.1.3 with RFC 7636.
func (i *Issuer) exchangeCode(ctx context.Context, c stored, code, redirect, verifier string) (out tokens, err error) {
	line, turn := rand.Text(), rand.Text()
	var made *issuance
	err = i.redeem(ctx, code, &c, func(g *grant, secret string) error {
		switch {
		case g.Revoked || !matches(g.Code, secret):
			return unknown()
		case g.Redirect != redirect:
			return bad("invalid_grant", "another redirect_uri than the code was asked with")
		case len(verifier) < 43 || len(verifier) > 128,
			subtle.ConstantTimeCompare([]byte(jose.Digest(verifier)), []byte(g.Challenge)) != 1:
			return bad("invalid_grant", "code_verifier does not fit")
		case g.Key != "" && (c.bound == nil || c.bound.Key != g.Key):
			return bad("invalid_grant", "the code is bound to another key")
		case g.CodeUsed: // who has only the code, from a log or a history, ends nothing by it
			return errReused
		case !i.now().Before(g.CodeEnds):
			return unknown()
		}
		g.CodeUsed, g.Ends = true, i.now().Add(i.refreshLife).UTC()
		if c.Public {
			g.Bound = c.bound
		}
		g.Line, g.Turns = digest(line), []string{digest(turn)}
		made, err = i.prepare(ctx, &c, *g, g.Scopes)
		return err
	})
	if err != nil {
		return tokens{}, err
	}
	return made.tokens(code, line+turn)
}

// WithRefreshGrace sets how long after its use a refresh token is accepted
// again, for a client that never got the answer: it is sent another, and the
// first of both that is used ends the other. An older token ends the grant
// (RFC 9700 section 4.14.2). 0: none is accepted twice. Default 30 s, at most 5
// minutes.
func WithRefreshGrace(d time.Duration) Option {
	return func(i *Issuer) error {
		if d < 0 || d > 5*time.Minute {
			return fmt.Errorf("%w: refresh grace %s", auth.ErrInvalid, d)
		}
		i.refreshGrace = d
		return nil
	}
}

// refreshGrant is RFC 6749 section 6 with rotation.
func (i *Issuer) refreshGrant(ctx context.Context, c stored, raw string, scopes []string) (out tokens, err error) {
	var line, next string
	var made *issuance
	err = i.redeem(ctx, raw, &c, func(g *grant, secret string) error {
		var turn string
		var ok bool
		line, turn, ok = g.holds(secret)
		if !ok || g.Revoked || !g.CodeUsed {
			return unknown()
		}
		if g.Bound != nil && (c.bound == nil || *c.bound != *g.Bound) {
			return bad("invalid_grant", "bound to another key")
		}
		if c.Public {
			g.Bound = c.bound // also of one that shows its key only now
		}
		now := i.now()
		switch {
		case !now.Before(g.Ends):
			return unknown()
		case g.good(turn):
			g.Last, g.Used, g.Turns = digest(turn), now.UTC(), nil
		case !matches(g.Last, turn) || now.Sub(g.Used) >= i.refreshGrace:
			return errReused
		case len(g.Turns) > retries: // a client that repeats itself: its newest one stays good
			return bad("invalid_grant", "used before, too often")
		}
		next = rand.Text()
		g.Turns, g.Ends = append(g.Turns, digest(next)), now.Add(i.refreshLife).UTC()
		for _, s := range scopes {
			if !slices.Contains(g.Scopes, s) {
				return bad("invalid_scope", "more than was granted")
			}
		}
		asked := scopes
		if len(asked) == 0 {
			asked = g.Scopes
		}
		made, err = i.prepare(ctx, &c, *g, asked)
		return err
	})
	if err != nil {
		return tokens{}, err
	}
	return made.tokens(raw, line+next)
}
