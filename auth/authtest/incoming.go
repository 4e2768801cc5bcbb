package authtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/micro/go-platform/auth"
)

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
	got, err = a.Authorized(auth.ContextWithToken(t.Context(), got), request)
	if err != nil || got == nil {
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
	log := auth.WithRefusals(func(_ context.Context, r auth.Refusal) {
		mu.Lock()
		defer mu.Unlock()
		denied = append(denied, r.Request.Action+" "+r.Request.Resource+" "+r.Decision.Rule)
	})
	a, token := s.open(t, "orders", auth.WithDecider(p), log), s.caller(t, "orders")
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
		t.Errorf("refusals: %s, want %s", got, want)
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
