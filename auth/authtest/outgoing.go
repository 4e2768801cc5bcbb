package authtest

import (
	"errors"
	"sync"
	"testing"

	"github.com/micro/go-platform/auth"
)

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
