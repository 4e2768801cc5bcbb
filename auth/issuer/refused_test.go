package issuer_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

func TestWhatAnIssuerAndItsAccountsMayNotBe(t *testing.T) {
	is := browser(t, newIssuer(t))
	account := issuer.Account{ID: "carol", Type: issuer.User}
	for name, err := range map[string]error{
		"a secret beyond the limit": is.Create(t.Context(), account, strings.Repeat("x", 1025)),
		"a backend of no issuer":    opened(issuer.Backend(nil, "orders", "orders-secret")),
		"a backend of no client":    opened(issuer.Backend(is, "", "orders-secret")),
		"a backend of no secret":    opened(issuer.Backend(is, "orders", "")),
		"a URL that is none":        made(issuer.WithURL("https://a b%zz")),
	} {
		if !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if _, err := is.Read(t.Context(), "carol"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("a refused account: %v, want ErrNotFound", err)
	}
	if err := is.Create(t.Context(), account, strings.Repeat("x", 1024)); err != nil {
		t.Errorf("a secret at the limit: %v", err)
	}
	own := errors.New("own")
	err := is.Update(t.Context(), "carol", func(a *issuer.Account) error { a.Roles = []string{"r"}; return own })
	if a, e := is.Read(t.Context(), "carol"); !errors.Is(err, own) || e != nil || len(a.Roles) != 0 {
		t.Errorf("an update that is given up: %v, %v, roles %v", err, e, a.Roles)
	}
}

func opened(o auth.Option) error {
	a, err := auth.New(o, auth.WithService("orders"))
	if err == nil {
		a.Close()
	}
	return err
}

func made(opts ...issuer.Option) error {
	_, err := issuer.New(opts...)
	return err
}

// A request that is refused says why in the words of OAuth, and changes nothing.
func TestWhatRequestsMayNotAsk(t *testing.T) {
	is := browser(t, newIssuer(t))
	_, got := begin(t, is, "web")
	for name, c := range map[string]struct {
		path, id, secret string
		form             url.Values
		status           int
		code             string
	}{
		"to revoke nothing":        {"/revoke", "web", "web-secret", url.Values{"token": {""}}, 400, "invalid_request"},
		"to revoke another's":      {"/revoke", "orders", "orders-secret", url.Values{"token": {fmt.Sprint(got["refresh_token"])}}, 400, "unauthorized_client"},
		"to revoke what is gone":   {"/revoke", "web", "web-secret", url.Values{"token": {"x.y"}}, 200, ""},
		"to refresh what is gone":  {"/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x.y"}}, 400, "invalid_grant"},
		"to refresh what is none":  {"/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"x"}}, 400, "invalid_grant"},
		"to exchange as everybody": {"/token", "", "", url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "client_id": {"app"}, "subject_token": {fmt.Sprint(got["access_token"])}, "subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {"web"}}, 400, "unauthorized_client"},
	} {
		status, answer := post(is, c.path, c.id, c.secret, c.form)
		if code, _ := answer["error"].(string); status != c.status || code != c.code {
			t.Errorf("%s: %d %v, want %d %s", name, status, answer, c.status, c.code)
		}
	}
	if status, answer := refreshWith(is, "web", got["refresh_token"]); status != 200 {
		t.Errorf("the grant that another wanted to revoke: %d %v", status, answer)
	}
	r := httptest.NewRequest("POST", "/token", strings.NewReader("grant_type=client_credentials"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("%zz", "x")
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized || !strings.Contains(w.Body.String(), "invalid_client") {
		t.Errorf("a name that is badly escaped: %d %s", w.Code, w.Body)
	}
}
