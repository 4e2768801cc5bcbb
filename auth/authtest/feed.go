package authtest

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
)

func (s *suite) revoked(t *testing.T) {
	a, token := s.open(t, "orders", allowAll), s.caller(t, "orders")
	verified, err := a.Verify(t.Context(), string(token.AccessToken))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Revoke(t.Context(), verified); err != nil && !errors.Is(err, auth.ErrUnsupported) && !errors.Is(err, auth.ErrDenied) { // the authority may not let it
		t.Errorf("Revoke: %v", err)
	}
	if got, err := a.Verify(t.Context(), string(token.AccessToken)); !errors.Is(err, auth.ErrUnauthenticated) || got != nil {
		t.Errorf("Verify after Revoke = %v, %v, want ErrUnauthenticated", got, err)
	}
	if _, err := a.Authorized(auth.ContextWithToken(t.Context(), verified), request); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("Authorized with the revoked token in the context: %v, want ErrRevoked", err)
	}
	if err := a.Revoke(t.Context(), nil); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("Revoke(nil) = %v, want ErrInvalid", err)
	}
	if err := a.Revoke(t.Context(), &auth.Token{}); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("Revoke(empty) = %v, want ErrInvalid", err)
	}
}

// Feed is a revocation feed within one process, for tests.
type Feed struct {
	mu   sync.Mutex
	subs map[int]func(auth.Revocation)
	n    int
}

// Publish implements auth.RevocationFeed.
func (f *Feed) Publish(_ context.Context, r auth.Revocation) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, sub := range f.subs {
		sub(r)
	}
	return nil
}

// Subscribe implements auth.RevocationFeed.
func (f *Feed) Subscribe(ctx context.Context, sub func(auth.Revocation)) error {
	f.mu.Lock()
	if f.subs == nil {
		f.subs = map[int]func(auth.Revocation){}
	}
	f.n++
	id := f.n
	f.subs[id] = sub
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock()
	delete(f.subs, id)
	f.mu.Unlock()
	return ctx.Err()
}

// Subscribers returns how many listen.
func (f *Feed) Subscribers() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.subs)
}

func (s *suite) revocationFeed(t *testing.T) {
	feed := &Feed{}
	a := s.open(t, "orders", auth.WithRevocations(feed))
	b := s.open(t, "orders", auth.WithRevocations(feed), auth.WithCacheTTL(time.Hour))
	wait(t, "both to listen", func() bool { return feed.Subscribers() == 2 })
	token := s.caller(t, "orders")
	if _, err := b.Verify(t.Context(), string(token.AccessToken)); err != nil {
		t.Fatal(err)
	}
	verified, err := a.Verify(t.Context(), string(token.AccessToken))
	if err != nil {
		t.Fatal(err)
	}
	a.Revoke(t.Context(), verified) // whatever the authority says, the others hear of it
	if got, err := b.Verify(t.Context(), string(token.AccessToken)); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Verify at the other instance = %v, %v, want ErrUnauthenticated", got, err)
	}
}
