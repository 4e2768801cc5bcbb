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
	for name, c := range map[string]struct {
		b    auth.Option
		want string
	}{
		"nobody":           {static.Backend(static.Caller{Token: key}), "a token of nobody"},
		"nothing":          {static.Backend(static.Caller{Subject: "x"}), "either a token or its hash"},
		"both":             {static.Backend(static.Caller{Subject: "x", Token: key, Hash: strings.Repeat("0", 64)}), "either a token or its hash"},
		"short":            {static.Backend(static.Caller{Subject: "x", Token: "hunter2"}), "of 7 characters"},
		"one too short":    {static.Backend(static.Caller{Subject: "x", Token: "0123456789abcde"}), "of 15 characters"},
		"long enough":      {static.Backend(static.Caller{Subject: "x", Token: "0123456789abcdef"}), ""},
		"no hash":          {static.Backend(static.Caller{Subject: "x", Hash: "hunter2"}), "not SHA-256"},
		"half a hash":      {static.Backend(static.Caller{Subject: "x", Hash: strings.Repeat("0", 32)}), "not SHA-256"},
		"more than a hash": {static.Backend(static.Caller{Subject: "x", Hash: strings.Repeat("0", 66)}), "not SHA-256"},
		"a hash":           {static.Backend(static.Caller{Subject: "x", Hash: strings.Repeat("0", 64)}), ""},
		"twice":            {static.Backend(good, static.WithCaller(static.Caller{Token: key, Subject: "y"})), "occurs twice"},
		"short own":        {static.Backend(good, static.WithToken("", "hunter2")), "of 7 characters"},
		"own too short":    {static.Backend(good, static.WithToken("", "0123456789abcde")), "of 15 characters"},
		"own long enough":  {static.Backend(good, static.WithToken("", "0123456789abcdef")), ""},
		"a nil option":     {static.Backend(good, nil), "option 1 is nil"},
	} {
		a, err := auth.New(c.b, auth.WithAnyAudience())
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.want == "":
			a.Close()
		case !errors.Is(err, auth.ErrInvalid) || a != nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: New = %v, %v, want ErrInvalid with %q", name, a, err, c.want)
		}
	}
}

// An audience has its own token, or that of all, or none.
func TestOwnTokens(t *testing.T) {
	caller := static.Caller{Token: key, Subject: "x"}
	some, err := auth.New(static.Backend(caller, static.WithToken("orders", "the orders' token")), auth.WithAnyAudience())
	if err != nil {
		t.Fatal(err)
	}
	defer some.Close()
	all, err := auth.New(static.Backend(caller, static.WithToken("orders", "the orders' token"), static.WithToken("", "anybody's token!")), auth.WithAnyAudience())
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	for _, c := range []struct {
		a    auth.Auth
		opts []auth.TokenOption
		want auth.Secret
	}{
		{some, []auth.TokenOption{auth.Audience("orders")}, "the orders' token"},
		{some, []auth.TokenOption{auth.Audience("billing")}, ""},
		{all, []auth.TokenOption{auth.Audience("orders")}, "the orders' token"},
		{all, []auth.TokenOption{auth.Audience("billing")}, "anybody's token!"},
		{all, []auth.TokenOption{auth.Audience("orders"), auth.OnBehalfOf(&auth.Token{AccessToken: key})}, ""},
	} {
		got, err := c.a.Token(t.Context(), c.opts...)
		if c.want == "" && !errors.Is(err, auth.ErrUnsupported) || c.want != "" && (err != nil || got.AccessToken != c.want) {
			t.Errorf("got %v, %v, want %q", got, err, string(c.want))
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
