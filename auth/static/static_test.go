package static_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/auth/static"
	"github.com/micro/go-platform/internal/leak"
)

func TestMain(m *testing.M) { leak.Main(m) }

const key, other = "a token of the frontend", "a token for billing only"

func TestConformance(t *testing.T) {
	leak.Check(t)
	authtest.Run(t, authtest.Harness{
		Auth: func(_ *testing.T, service string, opts ...auth.Option) (auth.Auth, error) {
			b := static.Backend(static.Caller{Token: "frontend-orders-token", Subject: "frontend", Audience: []string{"orders"}},
				static.WithCaller(static.Caller{Token: "frontend-billing-token", Subject: "frontend", Audience: []string{"billing"}}),
				static.WithToken("orders", "frontend-orders-token"), static.WithToken("billing", "frontend-billing-token"), static.WithToken("", "another-own-token"))
			return auth.New(append([]auth.Option{b, auth.WithService(service)}, opts...)...)
		},
		Issue: func(_ *testing.T, _, audience string) *auth.Token {
			return &auth.Token{AccessToken: auth.Secret("frontend-" + audience + "-token")}
		},
		Features: authtest.Features{Token: true, Audience: true},
	})
}

func TestHashesAndExpiry(t *testing.T) {
	sum := sha256.Sum256([]byte(key))
	a, err := auth.New(auth.WithAnyAudience(), static.Backend(static.Caller{Hash: hex.EncodeToString(sum[:]), Subject: "x", Roles: []string{"r"}},
		static.WithCaller(static.Caller{Token: other, Subject: "y", Expires: time.Now().Add(-time.Hour)})))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if got, err := a.Verify(t.Context(), key); err != nil || got.Subject != "x" || !got.HasRole("r") {
		t.Errorf("by hash: %v, %v", got, err)
	}
	if _, err := a.Verify(t.Context(), other); !errors.Is(err, auth.ErrExpired) {
		t.Errorf("an expired one: %v, want ErrExpired", err)
	}
	if _, err := a.Token(t.Context()); !errors.Is(err, auth.ErrUnsupported) {
		t.Errorf("Token without one: %v, want ErrUnsupported", err)
	}
}

func TestBadLists(t *testing.T) {
	good := static.Caller{Token: key, Subject: "x"}
	for name, b := range map[string]auth.Option{
		"nobody":       static.Backend(static.Caller{Token: key}),
		"nothing":      static.Backend(static.Caller{Subject: "x"}),
		"both":         static.Backend(static.Caller{Subject: "x", Token: key, Hash: strings.Repeat("0", 64)}),
		"short":        static.Backend(static.Caller{Subject: "x", Token: "hunter2"}),
		"no hash":      static.Backend(static.Caller{Subject: "x", Hash: "hunter2"}),
		"twice":        static.Backend(good, static.WithCaller(static.Caller{Token: key, Subject: "y"})),
		"short own":    static.Backend(good, static.WithToken("", "hunter2")),
		"a nil option": static.Backend(good, nil),
	} {
		a, err := auth.New(b, auth.WithAnyAudience())
		if !errors.Is(err, auth.ErrInvalid) || a != nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: New = %v, %v, want ErrInvalid", name, a, err)
		}
	}
}

func ExampleBackend() {
	au, err := auth.New(auth.WithService("orders"), static.Backend(static.Caller{
		Token: "0123456789abcdef", Subject: "scraper", Audience: []string{"orders"}, Scopes: []string{"metrics"},
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer au.Close()
	for _, token := range []string{"0123456789abcdef", "0123456789abcdee"} {
		caller, err := au.Verify(context.Background(), token)
		fmt.Println(caller, err)
	}
	// Output:
	// token(subject="scraper" issuer="static" id="9f9f5111f7b27a78") <nil>
	// token(none) auth/static: verify: not authenticated: unknown token
}
