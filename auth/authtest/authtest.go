// Package authtest is the conformance suite of package auth: what every
// backend must do. A backend's test calls Run.
package authtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
)

// Harness tells the suite about a backend.
type Harness struct {
	// Auth returns an Auth for the service of that name at one authority,
	// which all of them share. The suite closes it. Services: "orders",
	// "frontend", "billing".
	Auth func(t *testing.T, service string, opts ...auth.Option) (auth.Auth, error)

	// Issue returns a token of a caller for an audience. Nil: the suite uses
	// the own tokens of services.
	Issue func(t *testing.T, subject, audience string) *auth.Token

	// Caller is the subject that Issue's tokens have. Empty: "frontend".
	Caller string

	// Features that the backend declares. What it does not declare must be
	// ErrUnsupported.
	Features Features
}

// Features of a backend.
type Features struct {
	Token    bool // gives a service tokens of its own
	Audience bool // tokens name the audience that was asked for
	Exchange bool // gives tokens on behalf of callers
}

// allowAll is the rule that lets every known caller in.
var allowAll = auth.WithRules(auth.AllowAuthenticated())

// Run runs the suite.
func Run(t *testing.T, h Harness) {
	if h.Caller == "" {
		h.Caller = "frontend"
	}
	s := &suite{h}
	for _, c := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"a good token is accepted and says who", s.accepts},
		{"nothing and nonsense are not authenticated", s.refuses},
		{"a token for another service is refused", s.audience},
		{"a changed token is refused", s.tampered},
		{"nobody is allowed without rules", s.deniesByDefault},
		{"rules decide", s.rules},
		{"a revoked token is refused at once", s.revoked},
		{"a revocation reaches the others", s.revocationFeed},
		{"own tokens are cached and shared", s.ownToken},
		{"own tokens differ by audience", s.ownAudience},
		{"a caller's token is exchanged", s.exchange},
		{"a cancelled call returns", s.cancelled},
		{"closed is closed", s.closed},
		{"secrets appear nowhere", s.secrets},
		{"many callers at once", s.stress},
	} {
		t.Run(c.name, c.run)
	}
}

type suite struct{ h Harness }

func (s *suite) open(t *testing.T, service string, opts ...auth.Option) auth.Auth {
	t.Helper()
	a, err := s.h.Auth(t, service, opts...)
	if err != nil {
		t.Fatalf("New for %q: %v", service, err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return a
}

// caller returns a token of somebody for an audience.
func (s *suite) caller(t *testing.T, audience string) *auth.Token {
	t.Helper()
	if s.h.Issue != nil {
		return s.h.Issue(t, s.h.Caller, audience)
	}
	if !s.h.Features.Token {
		t.Fatal("a backend without Token needs Harness.Issue")
	}
	token, err := s.open(t, "frontend").Token(t.Context(), auth.Audience(audience))
	if err != nil {
		t.Fatalf("Token for %q: %v", audience, err)
	}
	return token
}

func with(ctx context.Context, t *auth.Token) context.Context {
	return auth.ContextWithCredential(ctx, auth.Credential{Value: t.AccessToken})
}

var request = auth.Request{Service: "orders", Action: "GET", Resource: "/orders/17"}

func (s *suite) cancelled(t *testing.T) {
	a, token := s.open(t, "orders"), s.caller(t, "orders")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := a.Verify(ctx, string(token.AccessToken)); !errors.Is(err, context.Canceled) {
		t.Errorf("Verify = %v, want context.Canceled", err)
	}
	if s.h.Features.Token {
		if _, err := a.Token(ctx, auth.Audience("orders")); !errors.Is(err, context.Canceled) {
			t.Errorf("Token = %v, want context.Canceled", err)
		}
	}
	if _, err := a.Verify(t.Context(), string(token.AccessToken)); err != nil {
		t.Errorf("Verify after a cancelled one: %v", err)
	}
}

func (s *suite) closed(t *testing.T) {
	a, token := s.open(t, "orders", allowAll), s.caller(t, "orders")
	if _, err := a.Verify(t.Context(), string(token.AccessToken)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if err := a.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
	}
	wg.Wait()
	_, verify := a.Verify(t.Context(), string(token.AccessToken))
	_, authorized := a.Authorized(with(t.Context(), token), request)
	_, own := a.Token(t.Context())
	for name, err := range map[string]error{"Verify": verify, "Authorized": authorized, "Token": own, "Revoke": a.Revoke(t.Context(), token)} {
		if !errors.Is(err, auth.ErrClosed) {
			t.Errorf("%s after Close = %v, want ErrClosed", name, err)
		}
	}
}

func (s *suite) stress(t *testing.T) {
	a, token := s.open(t, "orders", allowAll, auth.WithCacheTTL(time.Millisecond)), s.caller(t, "orders")
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for n := range 20 {
				if (i+n)%4 == 0 {
					if _, err := a.Verify(t.Context(), fmt.Sprintf("bad.%d.%d", i, n)); !errors.Is(err, auth.ErrUnauthenticated) {
						t.Errorf("a bad token: %v", err)
					}
					continue
				}
				if _, err := a.Authorized(with(t.Context(), token), request); err != nil {
					t.Errorf("Authorized: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

func wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited too long for %s", what)
		}
	}
}
