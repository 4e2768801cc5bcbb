package issuer

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
)

// What an account may be: each rule with the nearest that it refuses, and its words.
func TestWhatAnAccountMayBe(t *testing.T) {
	service := func(change func(a *Account)) Account {
		a := Account{ID: "x", Type: Service}
		change(&a)
		return a
	}
	id := func(s string) Account { return Account{ID: s, Type: User} }
	redirect := func(s string) Account { return service(func(a *Account) { a.RedirectURIs = []string{callbackURL, s} }) }
	scope := func(s string) Account { return service(func(a *Account) { a.Scopes = []string{"read", s} }) }
	keys := json.RawMessage(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`)
	for _, c := range []struct {
		a      Account
		secret string
		says   string // "": it may
	}{
		{id("x"), "s", ""},
		{id(""), "s", "account id"},
		{id(strings.Repeat("i", 128)), "s", ""},
		{id(strings.Repeat("i", 129)), "s", "account id"},
		{id("a b"), "s", ""},
		{id("a\x1fb"), "s", "account id"},
		{id("a~b"), "s", ""},
		{id("a\x7fb"), "s", "account id"},
		{id("é"), "s", ""},
		{Account{ID: "x", Type: "robot"}, "s", "account type"},
		{Account{ID: "x"}, "s", "account type"},
		{Account{ID: "x", Type: User, Roles: []string{"r"}, Disabled: true}, "s", ""},
		{Account{ID: "x", Type: User, Public: true}, "", "a user can't be a client"},
		{Account{ID: "x", Type: User, RedirectURIs: []string{callbackURL}}, "s", "a user can't be a client"},
		{Account{ID: "x", Type: User, Introspects: true}, "s", "a user can't be a client"},
		{Account{ID: "x", Type: User, Keys: keys}, "s", "a user can't be a client"},
		{Account{ID: "x", Type: User, CertificateBound: true}, "s", "a user can't be a client"},
		{Account{ID: "x", Type: User, DPoPBound: true}, "s", "a user can't be a client"},
		{service(func(a *Account) { a.Introspects, a.CertificateBound, a.DPoPBound, a.Keys = true, true, true, keys }), "s", ""},
		{service(func(a *Account) { a.Public, a.CertificateBound, a.DPoPBound = true, true, true }), "", ""},
		{service(func(a *Account) { a.Public = true }), "s", "a public client"},
		{service(func(a *Account) { a.Public, a.Introspects = true, true }), "", "a public client"},
		{service(func(a *Account) { a.Public, a.Keys = true, keys }), "", "a public client"},
		{service(func(a *Account) {}), "", "no secret"},
		{service(func(a *Account) { a.Keys = keys }), "", ""},
		{service(func(a *Account) { a.Keys = json.RawMessage(`{"keys":[]}`) }), "s", "an empty key set"},
		{service(func(a *Account) { a.Keys = json.RawMessage(`{"keys":[{"kty":"oct","k":"AAAA"}]}`) }), "s", "keys"},
		{service(func(a *Account) { a.IDAlgorithm = ES256 }), "s", ""},
		{service(func(a *Account) { a.IDAlgorithm = "HS256" }), "s", "algorithm"},
		{service(func(a *Account) {}), strings.Repeat("s", 1024), ""},
		{service(func(a *Account) {}), strings.Repeat("s", 1025), "1025 bytes"},
		{redirect("https://a.example/cb?x=1"), "s", ""},
		{redirect("https:///cb"), "s", "redirect URI"},
		{redirect("http:///cb"), "s", "redirect URI"},
		{redirect("https://a.example/cb#f"), "s", "redirect URI"},
		{redirect("http://127.0.0.1/cb"), "s", ""},
		{redirect("http://[::1]/cb"), "s", ""},
		{redirect("http://localhost/cb"), "s", ""},
		{redirect("http://128.0.0.1/cb"), "s", "redirect URI"},
		{redirect("http://a.example/cb"), "s", "redirect URI"},
		{redirect("com.example.app:/cb"), "s", ""},
		{redirect("/cb"), "s", "redirect URI"},
		{redirect("javascript:x"), "s", "redirect URI"},
		{redirect("data:x"), "s", "redirect URI"},
		{redirect("https://a b/"), "s", "redirect URI"},
		{scope("!~#[]"), "s", ""},
		{scope(""), "s", "scope"},
		{scope("a b"), "s", "scope"},
		{scope("a\x7f"), "s", "scope"},
		{scope("é"), "s", "scope"},
		{scope(`a"`), "s", "scope"},
		{scope(`a\`), "s", "scope"},
	} {
		err := c.a.check(c.secret)
		if c.says == "" && err != nil || c.says != "" && (!errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%+v with %.5q: %v, want %q", c.a, c.secret, err, c.says)
		}
	}
}

const callbackURL = "https://web.example/cb"

func newOne(t *testing.T, opts ...Option) *Issuer {
	t.Helper()
	i, err := New(append([]Option{WithHashRounds(1000)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// What becomes of a client's secret when the client becomes public, or gets another.
func TestTheSecretOfAnAccount(t *testing.T) {
	i := newOne(t)
	right := func(id, secret string) bool {
		_, err := i.authenticateClient(t.Context(), "", id, secret)
		return err == nil
	}
	if err := i.Create(t.Context(), Account{ID: "c", Type: Service}, "first"); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"", strings.Repeat("s", 1025)} {
		if err := i.SetSecret(t.Context(), "c", bad); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("a secret of %d bytes: %v, want ErrInvalid", len(bad), err)
		}
		if !right("c", "first") || right("c", bad) {
			t.Error("a secret that was refused has replaced the other")
		}
	}
	if err := i.SetSecret(t.Context(), "c", "second"); err != nil || right("c", "first") || !right("c", "second") {
		t.Errorf("%v, the first is right: %v, the second: %v", err, right("c", "first"), right("c", "second"))
	}
	change := func(public bool) error {
		return i.Update(t.Context(), "c", func(a *Account) error { a.Public = public; return nil })
	}
	if err := change(true); err != nil || right("c", "second") {
		t.Errorf("public: %v, its secret is right: %v", err, right("c", "second"))
	}
	if err := i.SetSecret(t.Context(), "c", "third"); !errors.Is(err, auth.ErrInvalid) || right("c", "third") {
		t.Errorf("a secret of a public client: %v, want ErrInvalid", err)
	}
	if err := change(false); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("no longer public, without a secret: %v, want ErrInvalid", err)
	}
	if err := i.SetSecret(t.Context(), "nobody", "x"); !errors.Is(err, ErrNotFound) {
		t.Errorf("a secret of nobody: %v, want ErrNotFound", err)
	}
	if err := i.Update(t.Context(), "c", func(a *Account) error { a.Scopes = []string{"a b"}; return nil }); !errors.Is(err, auth.ErrInvalid) {
		t.Errorf("a bad update: %v, want ErrInvalid", err)
	}
}

// A page of accounts has as many as asked for, or a hundred.
func TestPagesOfAccounts(t *testing.T) {
	i := newOne(t)
	for n := range 101 {
		if err := i.Create(t.Context(), Account{ID: fmt.Sprintf("u%03d", n), Type: User}, NewSecret()); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		q     Query
		n     int
		first string
	}{
		{Query{}, 100, "u000"}, {Query{Limit: -1}, 100, "u000"}, {Query{Limit: 101}, 101, "u000"}, {Query{Limit: 1000}, 101, "u000"}, {Query{Limit: 1}, 1, "u000"},
		{Query{After: "u099"}, 1, "u100"}, {Query{After: "u098", Limit: 1}, 1, "u099"}, {Query{After: "u100"}, 0, ""}, {Query{Prefix: "u00"}, 10, "u000"}, {Query{Type: Service}, 0, ""},
	} {
		got, err := i.Search(t.Context(), c.q)
		if err != nil || len(got) != c.n || c.n > 0 && got[0].ID != c.first {
			t.Errorf("%+v: %d accounts, %v, want %d from %q", c.q, len(got), err, c.n, c.first)
		}
	}
}

// What an issuer may be called, with the nearest that it may not.
func TestTheURLOfAnIssuer(t *testing.T) {
	for _, c := range []struct {
		url      string
		insecure bool
		as, path string // "" as: refused
	}{
		{"https://a.example", false, "https://a.example", ""},
		{"https://a.example/", false, "https://a.example", ""},
		{"https://a.example/auth/", false, "https://a.example/auth", "/auth"},
		{"http://127.0.0.1:8080", false, "http://127.0.0.1:8080", ""},
		{"http://localhost", false, "http://localhost", ""},
		{"http://a.example", false, "", ""},
		{"http://a.example", true, "http://a.example", ""},
		{"ftp://a.example", true, "", ""},
		{"https:/auth", false, "", ""},
		{"https://user@a.example", false, "", ""},
		{"https://a.example?x", false, "", ""},
		{"https://a.example#x", false, "", ""},
		{"a.example", true, "", ""},
	} {
		opts := []Option{WithURL(c.url)}
		if c.insecure {
			opts = append(opts, WithInsecure())
		}
		i, err := New(opts...)
		if c.as == "" {
			if !errors.Is(err, auth.ErrInvalid) || !strings.Contains(err.Error(), "URL") {
				t.Errorf("%s: %v, want ErrInvalid", c.url, err)
			}
		} else if err != nil || i.URL() != c.as || i.path != c.path {
			t.Errorf("%s: %+v, %v", c.url, i, err)
		}
	}
	for n, ok := range map[int]bool{16: false, 24: false, 31: false, 32: true, 33: false} {
		if _, err := New(WithSealKey(make([]byte, n))); (err == nil) != ok || err != nil && !strings.Contains(err.Error(), fmt.Sprintf("%d bytes", n)) {
			t.Errorf("a seal key of %d bytes: %v", n, err)
		}
	}
}

// A redirect URI is one of the client's byte for byte, but for the port of a loopback
// address.
func TestRedirectURIsAreCompared(t *testing.T) {
	registered := []string{callbackURL, "http://127.0.0.1/cb", "http://[::1]:7000/cb", "http://localhost/cb", "com.example.app:/cb"}
	for uri, ok := range map[string]bool{
		"":                             false,
		callbackURL:                    true,
		callbackURL + "/":              false,
		"https://web.example:443/cb":   false,
		"http://127.0.0.1/cb":          true,
		"http://127.0.0.1:1/cb":        true,
		"http://127.0.0.1:1/other":     false,
		"http://127.0.0.1:1/cb?x":      false,
		"https://127.0.0.1:1/cb":       false,
		"http://127.0.0.2/cb":          false,
		"http://[::1]/cb":              true,
		"http://[::1]:1/cb":            true,
		"http://localhost/cb":          true,
		"http://localhost:1/cb":        false,
		"http://128.0.0.1/cb":          false,
		"http://x@127.0.0.1:1/cb":      false,
		"com.example.app:/cb":          true,
		"com.example.app:/other":       false,
		"http://127.0.0.1:1/cb/%zz":    false,
		"http://web.example/cb":        false,
		"HTTP://127.0.0.1:1/cb":        false,
		"http://127.0.0.1:1/cb#f":      false,
		"http://127.0.0.1.evil.com/cb": false,
	} {
		if got := redirectOf(registered, uri); got != ok {
			t.Errorf("%s: %v, want %v", uri, got, ok)
		}
	}
	if redirectOf([]string{""}, "") {
		t.Error("no redirect URI is one")
	}
}

// Codes and tokens are an id and a secret, not longer than is looked at.
func TestPartsOfATokenAndItsTurns(t *testing.T) {
	for s, ok := range map[string]bool{
		"": false, ".": false, "a": false, "a.": false, ".b": false, "a.b": true,
		"a." + strings.Repeat("b", 253): true, "a." + strings.Repeat("b", 254): false,
	} {
		if id, secret, got := parts(s); got != ok || ok && (id != "a" || secret == "") {
			t.Errorf("%.20q of %d: %q, %q, %v", s, len(s), id, secret, got)
		}
	}
	line, turn := strings.Repeat("l", turnSize), strings.Repeat("t", turnSize)
	g := &grant{Line: digest(line), Turns: []string{digest("x"), digest(turn)}}
	for secret, ok := range map[string]bool{
		line + turn: true, line + strings.Repeat("u", turnSize): true, turn + turn: false, line + turn + "t": false, line + turn[1:]: false, line: false,
	} {
		l, tn, got := g.holds(secret)
		if got != ok || ok && (l != line || tn != secret[turnSize:]) {
			t.Errorf("%q: %v", secret, got)
		}
	}
	if _, _, ok := (&grant{}).holds(line + turn); ok {
		t.Error("a grant without a line holds a token")
	}
	for turn, ok := range map[string]bool{turn: true, "x": true, "y": false, "": false} {
		if g.good(turn) != ok {
			t.Errorf("turn %q is good: %v", turn, !ok)
		}
	}
	if (&grant{Turns: []string{""}}).good("") || matches("", "") {
		t.Error("nothing is a turn")
	}
}

// An account that can't be read is not written over.
func TestAnAccountThatCannotBeReadStays(t *testing.T) {
	store := Memory()
	i := newOne(t, WithStore(store))
	if err := store.Put(t.Context(), accountKey("a"), []byte("{"), 0, 0); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"Update":    i.Update(t.Context(), "a", func(a *Account) error { a.Type = User; return nil }),
		"SetSecret": i.SetSecret(t.Context(), "a", "secret"),
	} {
		b, version, e := store.Get(t.Context(), accountKey("a"))
		if err == nil || e != nil || string(b) != "{" || version != 1 {
			t.Errorf("%s: %v, and then %q, %v", what, err, b, e)
		}
	}
}
