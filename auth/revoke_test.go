package auth_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/micro/go-platform/auth"
)

func TestTokenWithoutAnIDIsRevokedByItsHash(t *testing.T) {
	f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
		return &auth.Token{Subject: "a", AccessToken: c.Value}, nil
	}}
	a := f.open(t)
	token, err := a.Verify(t.Context(), "one")
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke(t.Context(), token); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Verify(t.Context(), "one"); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("the revoked token: %v, want ErrRevoked", err)
	}
	if _, err := a.Verify(t.Context(), "two"); err != nil {
		t.Errorf("another token: %v", err)
	}
}

// revoking is a fake whose authority answers Revoke.
type revoking struct {
	fake
	answer error
}

func (r *revoking) Revoke(context.Context, *auth.Token) error { return r.answer }

// deaf is a feed that nobody hears.
type deaf struct{ err error }

func (d deaf) Publish(context.Context, auth.Revocation) error { return d.err }

func (deaf) Subscribe(ctx context.Context, _ func(auth.Revocation)) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestRevokeSaysWhoDoesNotKnow(t *testing.T) {
	away := fmt.Errorf("%w: feed", auth.ErrUnavailable)
	for name, c := range map[string]struct {
		authority error
		feed      auth.RevocationFeed
		want      error
	}{
		"told the authority":            {nil, nil, nil},
		"told the authority and a feed": {nil, deaf{}, nil},
		"told a feed alone":             {auth.ErrUnsupported, deaf{}, nil},
		"told nobody":                   {auth.ErrUnsupported, nil, auth.ErrUnsupported},
		"the authority refused":         {auth.ErrDenied, deaf{}, auth.ErrDenied},
		"the feed is away":              {nil, deaf{away}, auth.ErrUnavailable},
		"neither could":                 {auth.ErrUnsupported, deaf{away}, auth.ErrUnsupported},
	} {
		r := &revoking{answer: c.authority}
		r.verify = func(context.Context, auth.Credential) (*auth.Token, error) {
			return &auth.Token{Subject: "a", ID: "i"}, nil
		}
		opts := []auth.Option{auth.WithDriver("fake", func(context.Context) (auth.Driver, error) { return r, nil }), auth.WithAnyAudience()}
		if c.feed != nil {
			opts = append(opts, auth.WithRevocations(c.feed))
		}
		a, err := auth.New(opts...)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Revoke(t.Context(), &auth.Token{ID: "i"}); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: Revoke = %v, want %v", name, err, c.want)
		}
		if _, err := a.Verify(t.Context(), "x"); !errors.Is(err, auth.ErrRevoked) {
			t.Errorf("%s: Verify here = %v, want ErrRevoked", name, err)
		}
		a.Close()
	}
}
