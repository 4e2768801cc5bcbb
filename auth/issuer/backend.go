package issuer

import (
	"context"
	"fmt"

	"github.com/micro/go-platform/auth"
)

// Backend makes an issuer in this process the authority of an auth.Auth. The
// service is the client of that id and secret: its own tokens are asked for
// in that name, without going over the network. Give auth.WithService the same
// name, or the audience that callers use for it.
func Backend(i *Issuer, id, secret string) auth.Option {
	return auth.WithDriver("issuer", func(ctx context.Context) (auth.Driver, error) {
		if i == nil {
			return nil, fmt.Errorf("%w: nil issuer", auth.ErrInvalid)
		}
		if id == "" || secret == "" {
			return nil, fmt.Errorf("%w: a client needs an id and a secret", auth.ErrInvalid)
		}
		return &driver{i: i, id: id, secret: secret}, nil
	})
}

type driver struct {
	i          *Issuer
	id, secret string
}

// Ping implements auth/driver's Pinger: it checks the service's own secret.
func (d *driver) Ping(ctx context.Context) error {
	_, err := d.i.authenticateClient(ctx, "", d.id, d.secret)
	return err
}

func (d *driver) Verify(ctx context.Context, c auth.Credential) (*auth.Token, error) {
	return d.i.check(ctx, string(c.Value))
}

func (d *driver) Obtain(ctx context.Context, r auth.TokenRequest) (*auth.Token, error) {
	c, err := d.i.authenticateClient(ctx, "", d.id, d.secret)
	if err != nil {
		return nil, err
	}
	var t tokens
	if r.Subject != nil {
		t, err = d.i.exchange(ctx, c, string(r.Subject.AccessToken), r.Scopes, r.Audience)
	} else {
		t, err = d.i.clientCredentials(ctx, c, r.Scopes, r.Audience)
	}
	if err != nil {
		return nil, err
	}
	return d.i.check(ctx, t.Access)
}

// Revoke implements auth/driver's Revoker.
func (d *driver) Revoke(ctx context.Context, t *auth.Token) error {
	raw := t.AccessToken
	if t.RefreshToken != "" {
		raw = t.RefreshToken
	}
	return d.i.revoke(ctx, d.id, string(raw))
}

func (d *driver) Close() error { return nil }
