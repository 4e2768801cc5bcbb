package issuer_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth/issuer"
)

// part decodes the header (0) or the claims (1) of a JWT, unverified.
func part(t *testing.T, raw any, n int) map[string]any {
	t.Helper()
	parts := strings.Split(fmt.Sprint(raw), ".")
	if len(parts) != 3 {
		t.Fatalf("%v is no JWT", raw)
	}
	b, err := base64.RawURLEncoding.DecodeString(parts[n])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestTokensAreForDeclaredAudiencesOnly(t *testing.T) {
	is := browser(t, newIssuer(t))
	for id, audiences := range map[string][]string{"none": nil, "one": {"orders"}, "all": {issuer.AnyAudience}} {
		a := issuer.Account{ID: id, Type: issuer.Service, Audiences: audiences, RedirectURIs: []string{callback}, Scopes: []string{"read"}}
		if err := is.Create(t.Context(), a, id+"-secret"); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		client, audience string
		ok               bool
	}{
		{"none", "", true}, {"none", "none", true}, {"none", "orders", false}, {"none", issuer.AnyAudience, false},
		{"one", "", true}, {"one", "one", true}, {"one", "orders", true}, {"one", "billing", false}, {"one", "order", false},
		{"all", "", true}, {"all", "orders", true}, {"all", "anything", true},
	} {
		want := c.audience
		if want == "" {
			want = c.client
		}
		for _, name := range []string{"audience", "resource"} { // RFC 8707
			_, got := post(is, "/token", c.client, c.client+"-secret", url.Values{"grant_type": {"client_credentials"}, name: {c.audience}})
			switch {
			case !c.ok && (got["error"] != "invalid_target" || got["access_token"] != nil):
				t.Errorf("%s asks for %s %q: %v, want invalid_target", c.client, name, c.audience, got)
			case c.ok && fmt.Sprint(part(t, got["access_token"], 1)["aud"]) != "["+want+"]":
				t.Errorf("%s asks for %s %q: %v", c.client, name, c.audience, part(t, got["access_token"], 1))
			}
			_, q := login(t, is, c.client, "alice-password", func(q url.Values) { q.Set(name, c.audience) })
			if c.ok != q.Has("code") || !c.ok && q.Get("error") != "invalid_target" {
				t.Errorf("%s logs in for %s %q: %v", c.client, name, c.audience, q)
			}
		}
		// The same by exchange of a caller's token.
		_, got := post(is, "/token", "all", "all-secret", url.Values{"grant_type": {"client_credentials"}, "audience": {c.client}})
		_, got = post(is, "/token", c.client, c.client+"-secret", url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {fmt.Sprint(got["access_token"])},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {want},
		})
		if ok := got["access_token"] != nil; ok != c.ok || !ok && got["error"] != "invalid_target" {
			t.Errorf("%s exchanges for %q: %v", c.client, c.audience, got)
		}
	}
}
