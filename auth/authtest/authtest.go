// Package authtest is the conformance suite of package auth: what every
// backend must do. A backend's test calls Run.
package authtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
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

func (s *suite) accepts(t *testing.T) {
	a, token := s.open(t, "orders", allowAll), s.caller(t, "orders")
	got, err := a.Verify(t.Context(), string(token.AccessToken))
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	if got.Subject != s.h.Caller && got.ClientID != s.h.Caller {
		t.Errorf("Verify = subject %q, client %q, want %q", got.Subject, got.ClientID, s.h.Caller)
	}
	if got.Issuer == "" {
		t.Error("the token has no issuer")
	}
	if got, err := a.Authorized(with(t.Context(), token), request); err != nil || got == nil {
		t.Errorf("Authorized = %v, %v", got, err)
	}
	if got, err = a.Authorized(auth.ContextWithToken(t.Context(), got), request); err != nil || got == nil {
		t.Errorf("Authorized with a verified token in the context = %v, %v", got, err)
	}
}

func (s *suite) refuses(t *testing.T) {
	a := s.open(t, "orders", allowAll)
	if _, err := a.Authorized(t.Context(), request); !errors.Is(err, auth.ErrNoCredential) || !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Authorized of nobody = %v, want ErrNoCredential", err)
	}
	for _, raw := range []string{
		"", "x", "..", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0.", "\x00", "ünïcödé", " ", "a b", strings.Repeat("a", 1<<20),
		"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.AAAA", strings.Repeat(".", 10_000),
	} {
		token, err := a.Verify(t.Context(), raw)
		if !errors.Is(err, auth.ErrUnauthenticated) || token != nil {
			t.Errorf("Verify(%.40q) = %v, %v, want ErrUnauthenticated", raw, token, err)
		}
	}
}

func (s *suite) audience(t *testing.T) {
	if !s.h.Features.Audience {
		t.Skip("the backend names no audiences")
	}
	token := s.caller(t, "billing")
	if got, err := s.open(t, "orders").Verify(t.Context(), string(token.AccessToken)); !errors.Is(err, auth.ErrUnauthenticated) || got != nil {
		t.Errorf("Verify of a token for billing at orders = %v, %v, want ErrUnauthenticated", got, err)
	}
	if _, err := s.open(t, "orders", auth.WithAudience("orders", "billing")).Verify(t.Context(), string(token.AccessToken)); err != nil {
		t.Errorf("Verify where billing is accepted too: %v", err)
	}
}

func (s *suite) tampered(t *testing.T) {
	a, token := s.open(t, "orders"), s.caller(t, "orders")
	raw := string(token.AccessToken)
	for _, at := range []int{0, len(raw) / 2, len(raw) - 2} {
		c := byte('A')
		if raw[at] == c {
			c = 'B'
		}
		changed := raw[:at] + string(c) + raw[at+1:]
		if got, err := a.Verify(t.Context(), changed); !errors.Is(err, auth.ErrUnauthenticated) || got != nil {
			t.Errorf("Verify with byte %d changed = %v, %v, want ErrUnauthenticated", at, got, err)
		}
	}
	for _, changed := range []string{raw + "=", raw + ".", raw + "\n", "." + raw, raw[:len(raw)-1]} {
		if got, err := a.Verify(t.Context(), changed); !errors.Is(err, auth.ErrUnauthenticated) || got != nil {
			t.Errorf("Verify(changed) = %v, %v, want ErrUnauthenticated", got, err)
		}
	}
}

func (s *suite) deniesByDefault(t *testing.T) {
	a, token := s.open(t, "orders"), s.caller(t, "orders")
	got, err := a.Authorized(with(t.Context(), token), request)
	if !errors.Is(err, auth.ErrDenied) || errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("Authorized without rules = %v, want ErrDenied", err)
	}
	if got == nil {
		t.Error("the denied caller's token is not returned")
	}
}

func (s *suite) rules(t *testing.T) {
	p, err := auth.NewPolicies(auth.RuleSet{Rules: []auth.Rule{
		{ID: "read", Effect: auth.Allow, Subjects: []string{s.h.Caller[:3] + "*"}, Actions: []string{"GET"}, Resources: []string{"/orders/*"}},
		{ID: "secret", Effect: auth.Deny, Resources: []string{"/orders/99"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var denied []string
	log := auth.WithDecisionLog(func(_ context.Context, _ *auth.Token, r auth.Request, d auth.Decision) {
		mu.Lock()
		defer mu.Unlock()
		denied = append(denied, r.Action+" "+r.Resource+" "+d.Rule)
	})
	a, token := s.open(t, "orders", auth.WithPolicies(p), log), s.caller(t, "orders")
	for _, c := range []struct {
		action, resource string
		want             error
	}{
		{"GET", "/orders/17", nil},
		{"GET", "/orders/99", auth.ErrDenied},
		{"DELETE", "/orders/17", auth.ErrDenied},
		{"GET", "/orders/17/items", auth.ErrDenied},
	} {
		_, err := a.Authorized(with(t.Context(), token), auth.Request{Service: "orders", Action: c.action, Resource: c.resource})
		if !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s %s: %v, want %v", c.action, c.resource, err, c.want)
		}
	}
	want := "[GET /orders/99 secret DELETE /orders/17  GET /orders/17/items ]"
	if got := fmt.Sprint(denied); got != want {
		t.Errorf("decision log: %s, want %s", got, want)
	}
}

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

func (s *suite) ownToken(t *testing.T) {
	a := s.open(t, "orders")
	if !s.h.Features.Token {
		if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnsupported) {
			t.Errorf("Token = %v, want ErrUnsupported", err)
		}
		return
	}
	got := make([]*auth.Token, 50)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			token, err := a.Token(t.Context())
			if err != nil {
				t.Errorf("Token: %v", err)
			}
			got[i] = token
		})
	}
	wg.Wait()
	for _, token := range got {
		if token == nil || token != got[0] || token.AccessToken == "" {
			t.Fatalf("callers got different tokens: %v, %v", token, got[0])
		}
	}
}

func (s *suite) ownAudience(t *testing.T) {
	if !s.h.Features.Token || !s.h.Features.Audience {
		t.Skip("no tokens or no audiences")
	}
	frontend, orders := s.open(t, "frontend"), s.open(t, "orders")
	one, err := frontend.Token(t.Context(), auth.Audience("orders"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := frontend.Token(t.Context(), auth.Audience("billing"))
	if err != nil {
		t.Fatal(err)
	}
	if one.AccessToken == two.AccessToken {
		t.Error("one token for two audiences")
	}
	if _, err := orders.Verify(t.Context(), string(one.AccessToken)); err != nil {
		t.Errorf("the token for orders at orders: %v", err)
	}
	if _, err := orders.Verify(t.Context(), string(two.AccessToken)); err == nil {
		t.Error("the token for billing is accepted at orders")
	}
}

func (s *suite) exchange(t *testing.T) {
	a := s.open(t, "orders")
	token := s.caller(t, "orders")
	got, err := a.Token(t.Context(), auth.Audience("billing"), auth.OnBehalfOf(token))
	if !s.h.Features.Exchange {
		if err == nil || got != nil {
			t.Errorf("Token on behalf of another = %v, %v, want an error", got, err)
		}
		return
	}
	if err != nil {
		t.Fatalf("Token on behalf of another: %v", err)
	}
	seen, err := s.open(t, "billing").Verify(t.Context(), string(got.AccessToken))
	if err != nil {
		t.Fatalf("Verify at billing: %v", err)
	}
	if seen.Subject != "frontend" {
		t.Errorf("billing sees %q, want the caller, frontend", seen.Subject)
	}
	actor, _ := seen.Claims["act"].(map[string]any)
	if actor["sub"] != "orders" {
		t.Errorf("act = %v, want orders", seen.Claims["act"])
	}
}

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

func (s *suite) secrets(t *testing.T) {
	a, token := s.open(t, "orders"), s.caller(t, "orders")
	raw := string(token.AccessToken)
	verified, err := a.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(verified)
	if err != nil {
		t.Fatal(err)
	}
	_, bad := a.Verify(t.Context(), raw+"x")
	_, denied := a.Authorized(with(t.Context(), token), request)
	for name, text := range map[string]string{
		"String": verified.String(), "%v": fmt.Sprintf("%v", *verified), "%+v": fmt.Sprintf("%+v", verified), "%#v": fmt.Sprintf("%#v", *verified),
		"JSON": string(b), "the error of a bad token": fmt.Sprint(bad), "the error of a denial": fmt.Sprint(denied), "Credential": fmt.Sprintf("%+v", auth.Credential{Value: token.AccessToken}),
	} {
		if strings.Contains(text, raw) || strings.Contains(text, raw[len(raw)/2:]) {
			t.Errorf("%s shows the token", name)
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
