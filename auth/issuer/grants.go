package issuer

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
)

// grant is what a user gave a client: first a code, then a line of refresh
// tokens, each good once. It is one record changed only by compare-and-set, so
// of many who show the same code or token, one wins; and whoever shows a used
// one ends the whole line, because one of the two holds a stolen copy.
//
// A code is "<id>.<secret>", a refresh token "<id>.<line><turn>": line is the
// same for all of the grant's, turn is of this one. Whoever knows the line has
// held one of them; whoever doesn't is guessing, and ends nothing. The record
// has hashes of all of them.
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
	Code      string    `json:"code"` // hash
	CodeUsed  bool      `json:"code_used,omitempty"`
	CodeEnds  time.Time `json:"code_ends"`

	Bound *confirmation `json:"bound,omitempty"` // of a public client: its refresh tokens are bound too
	Key   string        `json:"key,omitempty"`   // the code is bound to this key (RFC 9449 section 10)

	Line    string    `json:"line,omitempty"`    // hash
	Turns   []string  `json:"turns,omitempty"`   // hashes of those that are good: several if answers were lost
	Last    string    `json:"last,omitempty"`    // hash of the one that was used last
	Used    time.Time `json:"used"`              // when
	Ends    time.Time `json:"ends"`              // when the line ends if nobody refreshes
	Revoked bool      `json:"revoked,omitempty"` //
}

const (
	turnSize = 26 // of rand.Text

	// retries bounds how often a refresh token may be shown again within the
	// grace period.
	retries = 4
)

func grantKey(id string) string { return "grant/" + digest(id) }

// parts splits a code or refresh token.
func parts(s string) (id, secret string, ok bool) {
	id, secret, ok = strings.Cut(s, ".")
	return id, secret, ok && id != "" && secret != "" && len(s) < 256
}

func matches(hash, secret string) bool {
	return hash != "" && subtle.ConstantTimeCompare([]byte(hash), []byte(digest(secret))) == 1
}

// holds splits the secret of a refresh token of the grant. ok is false if it
// never was one.
func (g *grant) holds(secret string) (line, turn string, ok bool) {
	if len(secret) != 2*turnSize || !matches(g.Line, secret[:turnSize]) {
		return "", "", false
	}
	return secret[:turnSize], secret[turnSize:], true
}

func (g *grant) good(turn string) (ok bool) {
	for _, hash := range g.Turns {
		ok = matches(hash, turn) || ok
	}
	return ok
}

// newGrant records what a user gave and returns the code.
func (i *Issuer) newGrant(ctx context.Context, g grant) (code string, err error) {
	secret := rand.Text()
	g.ID, g.Code, g.LoggedIn = rand.Text(), digest(secret), i.now().UTC()
	g.CodeEnds = g.LoggedIn.Add(codeLife)
	g.Ends = g.CodeEnds
	// The record outlives the code, so that a second use is seen as one.
	err = i.store.Put(ctx, grantKey(g.ID), encode(g), 0, codeLife+i.accessLife)
	if err != nil {
		return "", fault.Mark(auth.ErrUnavailable, err)
	}
	return g.ID + "." + secret, nil
}

// alterGrant changes a grant. An error of change leaves it.
func (i *Issuer) alterGrant(ctx context.Context, id string, change func(g *grant) error) error {
	return update(ctx, i.store, grantKey(id), i.refreshLife+i.accessLife, change)
}

// errReused marks what makes a grant end.
var errReused = errors.New("used before")

func unknown() error { return bad("invalid_grant", "unknown or expired") }

// redeem turns a code or a refresh token into the next refresh token. use looks
// at the grant and changes it; nothing is written if it fails.
func (i *Issuer) redeem(ctx context.Context, raw string, c *stored, use func(g *grant, secret string) error) error {
	id, secret, ok := parts(raw)
	if !ok {
		return unknown()
	}
	err := i.alterGrant(ctx, id, func(g *grant) error {
		if g.Client != c.ID {
			return bad("invalid_grant", "it was given to another client")
		}
		return use(g, secret)
	})
	switch {
	case errors.Is(err, fault.NotFound):
		return unknown()
	case errors.Is(err, errReused):
		i.warn("auth/issuer: a code or refresh token was used twice; its grant is revoked", "client", c.ID, "grant", digest(id))
		if err := i.alterGrant(ctx, id, func(g *grant) error { g.Revoked = true; return nil }); err != nil {
			return err
		}
		return bad("invalid_grant", "used before; everything that came of it is revoked")
	}
	return err
}
