package issuer_test

import (
	"bytes"
	"fmt"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth/issuer"
)

func TestClientsAuthenticate(t *testing.T) {
	is := browser(t, newIssuer(t))
	grant := url.Values{"grant_type": {"client_credentials"}}
	with := func(more ...string) url.Values {
		f := url.Values{}
		for k, v := range grant {
			f[k] = v
		}
		for i := 0; i < len(more); i += 2 {
			f.Add(more[i], more[i+1])
		}
		return f
	}
	for name, c := range map[string]struct {
		id, secret string
		form       url.Values
		status     int
		code       string
	}{
		"basic":              {"orders", "orders-secret", with(), 200, ""},
		"in the form":        {"", "", with("client_id", "orders", "client_secret", "orders-secret"), 200, ""},
		"wrong secret":       {"orders", "x", with(), 401, "invalid_client"},
		"unknown":            {"x", "x", with(), 401, "invalid_client"},
		"no secret":          {"", "", with("client_id", "orders"), 401, "invalid_client"},
		"nobody":             {"", "", with(), 401, "invalid_client"},
		"a user":             {"alice", "alice-password", with(), 401, "invalid_client"},
		"both ways":          {"orders", "orders-secret", with("client_secret", "orders-secret"), 400, "invalid_request"},
		"two names":          {"orders", "orders-secret", with("client_id", "billing"), 400, "invalid_request"},
		"public":             {"", "", with("client_id", "app"), 400, "unauthorized_client"},
		"public with secret": {"", "", with("client_id", "app", "client_secret", "x"), 401, "invalid_client"},
		"twice":              {"orders", "orders-secret", with("grant_type", "client_credentials"), 400, "invalid_request"},
		"unknown grant":      {"orders", "orders-secret", url.Values{"grant_type": {"password"}}, 400, "unsupported_grant_type"},
		"no grant":           {"orders", "orders-secret", url.Values{}, 400, "invalid_request"},
		"foreign scope":      {"orders", "orders-secret", with("scope", "admin"), 400, "invalid_scope"},
		"own scope":          {"orders", "orders-secret", with("scope", "read write"), 200, ""},
		"odd scope":          {"orders", "orders-secret", with("scope", "\"x\""), 400, "invalid_scope"},
	} {
		status, got := post(is, "/token", c.id, c.secret, c.form)
		if code, _ := got["error"].(string); status != c.status || code != c.code {
			t.Errorf("%s: %d %v, want %d %s", name, status, got, c.status, c.code)
		}
	}
	for _, path := range []string{"/introspect", "/revoke"} {
		if status, _ := post(is, path, "", "", url.Values{"token": {"x"}}); status != 401 {
			t.Errorf("%s without a client: %d, want 401", path, status)
		}
	}
	r := httptest.NewRequest("POST", "/token?grant_type=client_credentials&client_id=orders&client_secret=orders-secret", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	if is.ServeHTTP(w, r); w.Code != 401 {
		t.Errorf("a secret in the query: %d, want 401", w.Code)
	}
	w = httptest.NewRecorder()
	if is.ServeHTTP(w, httptest.NewRequest("GET", "/token", nil)); w.Code != 405 {
		t.Errorf("GET /token: %d, want 405", w.Code)
	}
	r = httptest.NewRequest("POST", "/token", bytes.NewReader(make([]byte, 1<<20)))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w = httptest.NewRecorder()
	if is.ServeHTTP(w, r); w.Code != 400 {
		t.Errorf("a body of a megabyte: %d, want 400", w.Code)
	}
}

func TestGuessingIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t))
		grant := url.Values{"grant_type": {"client_credentials"}}
		heard := 0
		for range 3600 { // an hour of a guess a second
			if status, _ := post(is, "/token", "orders", "guess", grant); status == 401 {
				heard++
			}
			time.Sleep(time.Second)
		}
		if heard > 80 {
			t.Errorf("%d guesses were looked at in an hour, want 80 or less", heard)
		}
		if status, got := post(is, "/token", "billing", "billing-secret", grant); status != 200 {
			t.Errorf("another client meanwhile: %d %v", status, got)
		}
		time.Sleep(2 * time.Minute)
		if status, got := post(is, "/token", "orders", "orders-secret", grant); status != 200 {
			t.Errorf("the right secret afterwards: %d %v", status, got)
		}
		for range 20 {
			post(is, "/token", "orders", "guess", grant)
		}
		if status, got := post(is, "/token", "orders", "orders-secret", grant); status != 200 {
			t.Errorf("the right secret, known from before, while somebody guesses: %d %v", status, got)
		}
	})
}

func TestIntrospectionIsForThoseConcerned(t *testing.T) {
	is := browser(t, newIssuer(t))
	_, got := post(is, "/token", "frontend", "frontend-secret", url.Values{"grant_type": {"client_credentials"}, "audience": {"orders"}})
	token := url.Values{"token": {got["access_token"].(string)}}
	for client, want := range map[string]bool{"frontend": true, "orders": true, "billing": false} {
		if _, in := post(is, "/introspect", client, client+"-secret", token); in["active"] != want || !want && len(in) != 1 {
			t.Errorf("%s hears %v, want active %t", client, in, want)
		}
	}
	if status, got := post(is, "/revoke", "billing", "billing-secret", token); status != 400 || got["error"] != "unauthorized_client" {
		t.Errorf("revoked by another: %d %v", status, got)
	}
	if status, _ := post(is, "/revoke", "frontend", "frontend-secret", token); status != 200 {
		t.Errorf("revoked by its client: %d", status)
	}
	if status, _ := post(is, "/revoke", "frontend", "frontend-secret", token); status != 200 {
		t.Errorf("revoked again: %d", status)
	}
	if _, in := post(is, "/introspect", "orders", "orders-secret", token); in["active"] != false {
		t.Errorf("after it was revoked: %v", in)
	}
}

func TestDisabledAccountsTokensAreOver(t *testing.T) {
	is := browser(t, newIssuer(t))
	_, got := post(is, "/token", "web", "web-secret", exchangeForm(code(t, is, "web")))
	if err := is.Update(t.Context(), "alice", func(a *issuer.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if _, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {got["access_token"].(string)}}); in["active"] != false {
		t.Errorf("introspection: %v", in)
	}
	if status, _ := post(is, "/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}); status != 400 {
		t.Errorf("refresh: %d", status)
	}
	if resp, _ := login(t, is, "web", "alice-password", nil); resp.StatusCode != 401 {
		t.Errorf("login: %d", resp.StatusCode)
	}
}

func TestTokenExchange(t *testing.T) {
	is := browser(t, newIssuer(t))
	_, got := post(is, "/token", "frontend", "frontend-secret", url.Values{"grant_type": {"client_credentials"}, "audience": {"orders"}, "scope": {"read"}})
	form := func(more ...string) url.Values {
		f := url.Values{
			"grant_type": {"urn:ietf:params:oauth:grant-type:token-exchange"}, "subject_token": {got["access_token"].(string)},
			"subject_token_type": {"urn:ietf:params:oauth:token-type:access_token"}, "audience": {"billing"},
		}
		for i := 0; i < len(more); i += 2 {
			f.Set(more[i], more[i+1])
		}
		return f
	}
	status, out := post(is, "/token", "orders", "orders-secret", form())
	if status != 200 || out["issued_token_type"] != "urn:ietf:params:oauth:token-type:access_token" || out["scope"] != "read" {
		t.Fatalf("%d %v", status, out)
	}
	_, in := post(is, "/introspect", "billing", "billing-secret", url.Values{"token": {out["access_token"].(string)}})
	if in["sub"] != "frontend" || fmt.Sprint(in["act"]) != "map[sub:orders]" {
		t.Errorf("billing sees %v", in)
	}
	for name, c := range map[string]struct {
		client string
		form   url.Values
		code   string
	}{
		"a token for another": {"billing", form(), "invalid_grant"},
		"more scopes":         {"orders", form("scope", "read write"), "invalid_scope"},
		"no audience":         {"orders", form("audience", ""), "invalid_request"},
		"a bad token":         {"orders", form("subject_token", "x"), "invalid_grant"},
		"another type":        {"orders", form("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"), "invalid_request"},
	} {
		if _, got := post(is, "/token", c.client, c.client+"-secret", c.form); got["error"] != c.code {
			t.Errorf("%s: %v, want %s", name, got, c.code)
		}
	}
}
