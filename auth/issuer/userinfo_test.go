package issuer_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth/issuer"
)

func TestUserInfo(t *testing.T) {
	is := browser(t, newIssuer(t))
	if err := is.Update(t.Context(), "alice", func(a *issuer.Account) error {
		a.Metadata = map[string]string{"name": "Alice A.", "email": "alice@example.com", "email_verified": "true", "phone_number": "1", "shoe_size": "37"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := is.Update(t.Context(), "web", func(a *issuer.Account) error {
		a.Scopes = []string{"read", "profile", "email"}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	ask := func(method string, headers ...string) (int, string, map[string]any) {
		r := httptest.NewRequest(method, "/userinfo", strings.NewReader(""))
		for _, h := range headers {
			r.Header.Add("Authorization", h)
		}
		r.Header.Set("Origin", "https://evil.example.com")
		w := httptest.NewRecorder()
		is.ServeHTTP(w, r)
		for name := range w.Header() {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("%s is sent to browsers of other origins", name)
			}
		}
		var out map[string]any
		json.Unmarshal(w.Body.Bytes(), &out)
		return w.Code, w.Header().Get("WWW-Authenticate"), out
	}
	token := func(scope string) string {
		_, q := login(t, is, "web", "alice-password", func(q url.Values) { q.Set("scope", scope) })
		_, got := post(is, "/token", "web", "web-secret", exchangeForm(q.Get("code")))
		return fmt.Sprint(got["access_token"])
	}
	for scope, want := range map[string]string{
		"openid":               "map[sub:alice]",
		"openid email":         "map[email:alice@example.com email_verified:true sub:alice]",
		"openid profile":       "map[name:Alice A. sub:alice]",
		"openid profile email": "map[email:alice@example.com email_verified:true name:Alice A. sub:alice]",
	} {
		raw := token(scope)
		for _, method := range []string{"GET", "POST"} {
			for _, scheme := range []string{"Bearer ", "bearer "} {
				status, _, got := ask(method, scheme+raw)
				if _, there := got["updated_at"]; there != strings.Contains(scope, "profile") {
					t.Errorf("%s: updated_at is there: %t", scope, there)
				}
				delete(got, "updated_at")
				if status != 200 || fmt.Sprint(got) != want {
					t.Errorf("%s %s: %d %v, want %s", method, scope, status, got, want)
				}
			}
		}
	}
	good, none := token("openid"), token("read")
	service, _ := own(t, is)
	for name, c := range map[string]struct {
		method    string
		headers   []string
		status    int
		challenge string
	}{
		"no token":           {"GET", nil, 401, "Bearer"},
		"basic":              {"GET", []string{"Basic eDp5"}, 401, "Bearer"},
		"nonsense":           {"GET", []string{"Bearer x"}, 401, `Bearer error="invalid_token"`},
		"empty":              {"GET", []string{"Bearer "}, 401, "Bearer"},
		"two":                {"GET", []string{"Bearer " + good, "Bearer " + good}, 401, "Bearer"},
		"no openid":          {"GET", []string{"Bearer " + none}, 403, `Bearer error="insufficient_scope", scope="openid"`},
		"a service's":        {"POST", []string{"Bearer " + service}, 403, `Bearer error="insufficient_scope", scope="openid"`},
		"put":                {"PUT", []string{"Bearer " + good}, 405, ""},
		"good, to be honest": {"GET", []string{"Bearer " + good}, 200, ""},
	} {
		if status, challenge, got := ask(c.method, c.headers...); status != c.status || challenge != c.challenge || (status == 200) != (got["sub"] != nil) {
			t.Errorf("%s: %d %q %v, want %d %q", name, status, challenge, got, c.status, c.challenge)
		}
	}
	post(is, "/revoke", "web", "web-secret", url.Values{"token": {good}})
	if status, _, _ := ask("GET", "Bearer "+good); status != 401 {
		t.Errorf("a revoked token: %d, want 401", status)
	}
	other := token("openid")
	if err := is.Delete(t.Context(), "alice"); err != nil {
		t.Fatal(err)
	}
	if status, _, _ := ask("GET", "Bearer "+other); status != 401 {
		t.Errorf("a deleted user's token: %d, want 401", status)
	}
}
