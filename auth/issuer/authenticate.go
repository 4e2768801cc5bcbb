package issuer

import (
	"context"
	"errors"
	"fmt"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/internal/fault"
)

var errWho = fmt.Errorf("%w: unknown account or wrong secret", auth.ErrUnauthenticated)

// authenticateClient checks a client's secret. Identifiers of clients are no
// secret (RFC 6749 section 2.2), so nothing is hashed for one that isn't there:
// a stranger gets an answer, and no work done.
func (i *Issuer) authenticateClient(ctx context.Context, source, id, secret string) (stored, error) {
	s, err := i.lookup(ctx, id)
	if err == nil && (s.Type != Service || s.Disabled || s.Hash == "") {
		err = errWho
	}
	if err != nil {
		return stored{}, err
	}
	return s, i.prove(ctx, source, id, s.Hash, secret)
}

// authenticateUser checks a user's password. Whatever is wrong, the error and
// its cost are the same, so nobody learns who has an account.
func (i *Issuer) authenticateUser(ctx context.Context, source, id, password string) (stored, error) {
	s, err := i.lookup(ctx, id)
	if err != nil && !errors.Is(err, errWho) {
		return stored{}, err
	}
	if s.Type != User {
		s = stored{}
	}
	if err := i.prove(ctx, source, id, s.Hash, password); err != nil {
		return stored{}, err
	}
	if s.Disabled {
		return stored{}, errWho
	}
	return s, nil
}

// lookup reads an account for authentication; errWho if there is none.
func (i *Issuer) lookup(ctx context.Context, id string) (stored, error) {
	s, err := i.account(ctx, id)
	switch {
	case errors.Is(err, fault.NotFound):
		return stored{}, errWho
	case err != nil:
		return stored{}, fault.Mark(auth.ErrUnavailable, err)
	}
	return s, nil
}

func (i *Issuer) prove(ctx context.Context, source, id, hash, secret string) error {
	ok, wait, err := i.secrets.check(ctx, source, id, hash, secret)
	switch {
	case errors.Is(err, errBusy):
		i.warn("auth/issuer: too many secrets to check; a caller was turned away")
		return busy()
	case err != nil:
		return err
	case wait > 0:
		i.warn("auth/issuer: too many wrong secrets", "account", id, "client.address", source, "wait", wait)
		return tooMany(wait)
	case !ok:
		return errWho
	}
	return nil
}
