// Package static authenticates callers by a list of tokens that the program is
// given: API keys, a token for a scraper, tests.
//
//	au, err := auth.New(static.Backend(static.Caller{Token: key, Subject: "scraper", Audience: []string{"orders"}}),
//		auth.WithService("orders"))
//
// # Semantics
//
// Tokens are found by their SHA-256 hash, so that the time a look-up takes says
// nothing about them. The service's own token is the one that WithToken gives,
// for one audience or for all. Nothing expires unless a Caller says so.
//
// # Errors
//
// A token that isn't in the list is auth.ErrUnauthenticated. One that is short
// enough to guess is an auth.ErrInvalid of auth.New.
//
// # Closing
//
// There is nothing to close.
package static

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// shortest is the least length of a token: 16 characters hold 80 random bits
// even in base32.
const shortest = 16

// Caller is somebody with a token.
type Caller struct {
	Token    auth.Secret // at least 16 characters; or give Hash
	Hash     string      // SHA-256 of the token in hexadecimal, for lists that people may see
	Subject  string
	Audience []string // the services that it is for; see also auth.WithAnyAudience
	Roles    []string
	Scopes   []string
	Expires  time.Time // zero: never
}

// issuer is what the tokens name as their issuer.
const issuer = "static"

// Option sets one thing of New.
type Option func(*driver) error

// WithToken sets the service's own token for an audience; an empty audience
// stands for every one that has none of its own.
func WithToken(audience string, token auth.Secret) Option {
	return func(d *driver) error {
		if len(token) < shortest {
			return fmt.Errorf("%w: own token of %d characters, want %d or more", auth.ErrInvalid, len(token), shortest)
		}
		d.own[audience] = token
		return nil
	}
}

// WithCaller adds a caller.
func WithCaller(c Caller) Option {
	return func(d *driver) error { return d.add(c) }
}

// Backend authenticates the callers of the list: c and those of WithCaller.
func Backend(c Caller, opts ...Option) auth.Option {
	return auth.WithDriver("static", func(context.Context) (auth.Driver, error) {
		d := &driver{callers: map[[sha256.Size]byte]Caller{}, own: map[string]auth.Secret{}}
		if err := d.add(c); err != nil {
			return nil, err
		}
		err := fronts.Apply(d, opts)
		if err != nil {
			return nil, err
		}
		return d, nil
	})
}

type driver struct {
	callers map[[sha256.Size]byte]Caller
	own     map[string]auth.Secret
}

func (d *driver) add(c Caller) error {
	var h [sha256.Size]byte
	switch {
	case c.Subject == "":
		return fmt.Errorf("%w: a token of nobody", auth.ErrInvalid)
	case (c.Token == "") == (c.Hash == ""):
		return fmt.Errorf("%w: %q: either a token or its hash", auth.ErrInvalid, c.Subject)
	case c.Token != "" && len(c.Token) < shortest:
		return fmt.Errorf("%w: %q: a token of %d characters, want %d or more", auth.ErrInvalid, c.Subject, len(c.Token), shortest)
	case c.Token != "":
		h = sha256.Sum256([]byte(c.Token))
	default:
		b, err := hex.DecodeString(c.Hash)
		if err != nil || len(b) != len(h) {
			return fmt.Errorf("%w: %q: the hash is not SHA-256 in hexadecimal", auth.ErrInvalid, c.Subject)
		}
		h = [sha256.Size]byte(b)
	}
	if _, there := d.callers[h]; there {
		return fmt.Errorf("%w: %q: its token occurs twice", auth.ErrInvalid, c.Subject)
	}
	c.Token = ""
	d.callers[h] = c
	return nil
}

func (d *driver) Verify(_ context.Context, c auth.Credential) (*auth.Token, error) {
	h := sha256.Sum256([]byte(c.Value))
	who, ok := d.callers[h]
	if !ok {
		return nil, fmt.Errorf("%w: unknown token", auth.ErrUnauthenticated)
	}
	return &auth.Token{
		AccessToken: c.Value, Type: "Bearer", ID: hex.EncodeToString(h[:8]), Issuer: issuer, Subject: who.Subject,
		Audience: who.Audience, Roles: who.Roles, Scopes: who.Scopes, ExpiresAt: who.Expires,
	}, nil
}

// Obtain implements auth/driver's Source.
func (d *driver) Obtain(_ context.Context, r auth.TokenRequest) (*auth.Token, error) {
	if r.Subject != nil {
		return nil, fault.Markf(auth.ErrUnsupported, "no authority to exchange a token")
	}
	t, ok := d.own[r.Audience]
	if !ok {
		t, ok = d.own[""]
	}
	if !ok {
		return nil, fault.Markf(auth.ErrUnsupported, "no own token; see WithToken")
	}
	return &auth.Token{AccessToken: t, Type: "Bearer", Issuer: issuer, Subject: r.Service}, nil
}

func (d *driver) Close() error { return nil }
