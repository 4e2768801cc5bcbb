package issuer_test

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

// A service whose account is disabled, or may not ask for an audience, gets no
// token of its own and none for others.
func TestOwnTokensThatAreRefused(t *testing.T) {
	is := seed(t, newIssuer(t))
	a, err := auth.New(issuer.Backend(is, "orders", "orders-secret"), auth.WithService("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	if _, err := a.Token(t.Context(), auth.Audience("nobody")); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("for another audience: %v, want ErrInvalid", err)
	}
	if _, err := a.Token(t.Context(), auth.Audience("billing")); err != nil {
		t.Errorf("for one of its audiences: %v", err)
	}
	if err := is.Update(t.Context(), "orders", func(a *issuer.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Token(t.Context(), auth.Audience("frontend")); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("disabled: %v, want ErrUnauthenticated", err)
	}
}

// Requests that name no token, no client, or something malformed are refused
// with the code of the standard.
func TestRequestsThatSayTooLittle(t *testing.T) {
	is := browser(t, newIssuer(t))
	asserted := func(raw string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {raw}}
	}
	for name, c := range map[string]struct {
		path   string
		form   url.Values
		status int
		code   string
	}{
		"no client":                   {"/revoke", url.Values{"token": {"x"}}, 401, "invalid_client"},
		"an assertion that is none":   {"/token", asserted("x"), 401, "invalid_client"},
		"an assertion about nothing":  {"/token", asserted("eyJhbGciOiJFZERTQSJ9.W10.AAAA"), 401, "invalid_client"}, // the payload is []
		"an unknown client, no proof": {"/token", url.Values{"grant_type": {"refresh_token"}, "client_id": {"none"}, "refresh_token": {"x.y"}}, 401, "invalid_client"},
	} {
		if status, got := post(is, c.path, "", "", c.form); status != c.status || got["error"] != c.code {
			t.Errorf("%s: %d %v, want %d %s", name, status, got, c.status, c.code)
		}
	}
}

// What an authorization request may say has limits, and one that is beyond them
// gives no code.
func TestLimitsOfAnAuthorization(t *testing.T) {
	is := browser(t, newIssuer(t, issuer.WithLogin(session)))
	for name, c := range map[string]struct {
		nonce, state int
		ok           bool
	}{
		"below": {511, 4095, true}, "at": {512, 4096, true}, "a longer nonce": {513, 1, false}, "a longer state": {1, 4097, false},
	} {
		r, _ := visit(is, "alice", request("web", callback, "nonce", strings.Repeat("n", c.nonce), "state", strings.Repeat("s", c.state)), nil)
		if got := sent(r).Get("code") != ""; got != c.ok {
			t.Errorf("%s: a code %t, want %t: %d %v", name, got, c.ok, r.StatusCode, r.Header)
		}
	}
}

// patchy is a store that can't read some keys.
type patchy struct {
	issuer.Store
	away string
}

func (s *patchy) Get(ctx context.Context, key string) ([]byte, uint64, error) {
	if s.away != "" && strings.HasPrefix(key, s.away) {
		return nil, 0, errAway
	}
	return s.Store.Get(ctx, key)
}

func TestKeysThatCannotBeUsed(t *testing.T) {
	sealed := issuer.WithSealKey(make([]byte, 32))
	for name, c := range map[string]struct {
		keys string
		opts []issuer.Option
		says string
	}{
		"too short to be sealed": {"short", []issuer.Option{sealed}, "sealed keys of 5 bytes"},
		"a nonce alone":          {"twelve bytes", []issuer.Option{sealed}, "does not open"},
		"sealed by another":      {strings.Repeat("x", 100), []issuer.Option{sealed}, "does not open"},
		"no private key":         {`{"keys":[{"alg":"EdDSA","private":"AAAA"}]}`, nil, "a signing key in the store"},
	} {
		store := issuer.Memory()
		if err := store.Put(t.Context(), "keys", []byte(c.keys), 0, 0); err != nil {
			t.Fatal(err)
		}
		set, err := newIssuer(t, append(c.opts, issuer.WithStore(store))...).KeySet(t.Context())
		if err == nil || set != nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %s, %v, want %q", name, set, err, c.says)
		}
	}
}

func TestAPublicClientWhenTheStoreIsUnavailable(t *testing.T) {
	store := &patchy{Store: issuer.Memory()}
	is := browser(t, newIssuer(t, issuer.WithStore(store)))
	f := url.Values{"grant_type": {"refresh_token"}, "client_id": {"app"}, "refresh_token": {"x.y"}}
	if status, got := post(is, "/token", "", "", f); status != 400 {
		t.Errorf("an unknown token: %d %v, want 400", status, got)
	}
	store.away = "account/"
	if status, got := post(is, "/token", "", "", f); status != 503 || strings.Contains(got["error_description"].(string), "refused") {
		t.Errorf("unavailable: %d %v, want 503 and no details", status, got)
	}
	key, set := signer(t)
	store.away = ""
	if err := is.Create(t.Context(), issuer.Account{ID: "robot", Type: issuer.Service, Keys: set}, ""); err != nil {
		t.Fatal(err)
	}
	store.away = "account/robot"
	raw, err := key.Sign("", []byte(`{"sub":"robot"}`))
	if err != nil {
		t.Fatal(err)
	}
	f = url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {raw}}
	if status, got := post(is, "/token", "", "", f); status != 503 {
		t.Errorf("an assertion of a client that can't be read: %d %v, want 503", status, got)
	}
}
