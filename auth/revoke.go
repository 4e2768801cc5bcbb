package auth

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
)

// Revoke implements Auth.
func (f *front) Revoke(ctx context.Context, t *Token) error {
	if t == nil || t.AccessToken == "" && t.RefreshToken == "" && t.ID == "" {
		return f.wrap("revoke", "", fmt.Errorf("%w: nothing that names a token", ErrInvalid))
	}
	if !f.life.Enter() {
		return f.wrap("revoke", t.ID, ErrClosed)
	}
	defer f.life.Leave()
	r := Revocation{Issuer: t.Issuer, ID: t.ID, Expires: t.ExpiresAt}
	if t.AccessToken != "" {
		h := hashOf(t.AccessToken)
		r.Hash = h[:]
	}
	f.deny(r) // here first: it must hold even if the authority is unavailable
	limited, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	var atAuthority, spread error
	if d, ok := f.driver.(revoker); ok {
		atAuthority = d.Revoke(limited, t)
	}
	if f.feed != nil {
		spread = f.feed.Publish(limited, r)
		switch {
		case spread != nil && f.tellLater(r):
			spread = fmt.Errorf("the others are told later: %w", spread)
		case spread != nil:
		case errors.Is(atAuthority, fault.Unsupported), errors.Is(atAuthority, fault.Denied):
			atAuthority = nil // it can't, or not for us; everybody who has to know does
		}
	}
	atAuthority, spread = fault.Late(ctx, f.timeout, atAuthority), fault.Late(ctx, f.timeout, spread)
	return f.wrap("revoke", t.ID, fault.Join(atAuthority, spread))
}

func (f *front) deny(r Revocation) {
	now := f.now()
	forgotten := f.denied.add(r, now)
	if forgotten > 0 {
		if ok, _ := f.lines.Pass("too many revocations", now); ok {
			f.log.Warn("auth: too many revoked tokens: some are no longer remembered, and are accepted again", "most", maxDenied)
		}
	}
	if len(r.Hash) == len(hash{}) {
		h := hash(r.Hash)
		f.accepted.of(h).delete(h)
	}
}

// hear follows the revocations of the other instances.
func (f *front) hear(ctx context.Context) {
	for failures := 0; ; failures++ {
		var heard atomic.Bool // a feed may call from several goroutines
		err := fault.Guard(func() error {
			return f.feed.Subscribe(ctx, func(r Revocation) { heard.Store(true); f.deny(r) })
		})
		if ctx.Err() != nil {
			return
		}
		f.log.Warn("auth: revocation feed ended", "error", err)
		if heard.Load() {
			failures = 0
		}
		if backoff.Sleep(ctx, retries.Wait(failures)) != nil {
			return
		}
	}
}
