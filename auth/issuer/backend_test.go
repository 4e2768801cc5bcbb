package issuer

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
)

// A service's own tokens are revoked by its refresh token if it has one.
func TestTheBackendRevokes(t *testing.T) {
	i := newOne(t)
	if err := i.Create(t.Context(), Account{ID: "c", Type: Service}, "s"); err != nil {
		t.Fatal(err)
	}
	d := &driver{i: i, id: "c", secret: "s"}
	tok, err := d.Obtain(t.Context(), auth.TokenRequest{})
	if err != nil {
		t.Fatal(err)
	}
	code, err := i.newGrant(t.Context(), grant{Client: "c", Subject: "c"})
	if err != nil {
		t.Fatal(err)
	}
	id, _, _ := parts(code)
	line, turn := strings.Repeat("l", turnSize), strings.Repeat("t", turnSize)
	if err := i.alterGrant(t.Context(), id, func(g *grant) error { g.Line = digest(line); return nil }); err != nil {
		t.Fatal(err)
	}
	with := *tok
	with.RefreshToken = auth.Secret(id + "." + line + turn)
	if err := d.Revoke(t.Context(), &with); err != nil {
		t.Fatal(err)
	}
	revoked := false
	if err := i.alterGrant(t.Context(), id, func(g *grant) error { revoked = g.Revoked; return nil }); err != nil || !revoked {
		t.Errorf("the grant is revoked: %v, %v", revoked, err)
	}
	if _, err := d.Verify(t.Context(), auth.Credential{Value: tok.AccessToken}); err != nil {
		t.Errorf("the access token: %v, want that it is good", err)
	}
	if err := d.Revoke(t.Context(), tok); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Verify(t.Context(), auth.Credential{Value: tok.AccessToken}); !errors.Is(err, auth.ErrRevoked) {
		t.Errorf("the access token: %v, want ErrRevoked", err)
	}
}

func TestScopesOfARequest(t *testing.T) {
	for scope, want := range map[string]int{"": 0, "a": 1, " a  b ": 2, `a"`: -1, "a é": -1} {
		got, err := words(scope)
		if want < 0 != (err != nil) || want >= 0 && len(got) != want {
			t.Errorf("%q: %q, %v", scope, got, err)
		}
	}
	for _, c := range []struct {
		v  url.Values
		ok bool
	}{{url.Values{}, true}, {url.Values{"a": {"1"}, "b": {"1"}}, true}, {url.Values{"a": {"1", "1"}}, false}} {
		if err := once(c.v); (err == nil) != c.ok {
			t.Errorf("%v: %v", c.v, err)
		}
	}
}
