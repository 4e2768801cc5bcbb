package issuer_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

const (
	callback = "https://web.example.com/cb"
	verifier = "0123456789012345678901234567890123456789abc"
)

func challenge(v string) string {
	sum := sha256.Sum256([]byte(v))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// browser has a web client and a public one beside the services of seed.
func browser(t testing.TB, is *issuer.Issuer) *issuer.Issuer {
	t.Helper()
	seed(t, is)
	for _, a := range []issuer.Account{
		{ID: "web", Type: issuer.Service, RedirectURIs: []string{callback, "http://127.0.0.1/cb"}, Scopes: []string{"read"}},
		{ID: "app", Type: issuer.Service, Public: true, RedirectURIs: []string{callback}, Scopes: []string{"read"}},
	} {
		secret := a.ID + "-secret"
		if a.Public {
			secret = ""
		}
		if err := is.Create(t.Context(), a, secret); err != nil {
			t.Fatal(err)
		}
	}
	return is
}

// post sends a form as a client; with an empty id as nobody.
func post(is http.Handler, path, id, secret string, form url.Values) (int, map[string]any) {
	r := httptest.NewRequest("POST", path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if id != "" {
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	}
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	var out map[string]any
	json.Unmarshal(w.Body.Bytes(), &out)
	return w.Code, out
}

// login goes through the form and returns where the browser is sent.
func login(t testing.TB, is http.Handler, client, password string, change func(url.Values)) (*http.Response, url.Values) {
	t.Helper()
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback}, "state": {"s1"}, "scope": {"openid read"},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"}, "nonce": {"n1"},
	}
	if change != nil {
		change(q)
	}
	form := url.Values{"username": {"alice"}, "password": {password}}
	r := httptest.NewRequest("POST", "/authorize?"+q.Encode(), strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	resp := w.Result()
	u, err := resp.Location()
	if err != nil {
		return resp, nil
	}
	return resp, u.Query()
}

func code(t testing.TB, is http.Handler, client string) string {
	t.Helper()
	resp, q := login(t, is, client, "alice-password", nil)
	if q.Get("code") == "" {
		t.Fatalf("no code: %d %v", resp.StatusCode, q)
	}
	return q.Get("code")
}

func exchangeForm(code string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {callback}, "code_verifier": {verifier}}
}

func TestAuthorizationCode(t *testing.T) {
	is := browser(t, newIssuer(t))
	resp, q := login(t, is, "web", "alice-password", nil)
	if resp.StatusCode != 303 || q.Get("state") != "s1" || q.Get("iss") != "http://127.0.0.1" {
		t.Fatalf("sent back with %d %v", resp.StatusCode, q)
	}
	status, got := post(is, "/token", "web", "web-secret", exchangeForm(q.Get("code")))
	if status != 200 || got["access_token"] == nil || got["refresh_token"] == nil || got["id_token"] == nil || got["scope"] != "openid read" {
		t.Fatalf("%d %v", status, got)
	}
	status, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {got["access_token"].(string)}})
	if status != 200 || in["active"] != true || in["sub"] != "alice" || in["client_id"] != "web" || fmt.Sprint(in["roles"]) != "[admin]" {
		t.Errorf("introspection: %d %v", status, in)
	}
	// A public client does the same with PKCE alone.
	form := exchangeForm(code(t, is, "app"))
	form.Set("client_id", "app")
	if status, got = post(is, "/token", "", "", form); status != 200 || got["access_token"] == nil {
		t.Errorf("a public client: %d %v", status, got)
	}
}

func TestAuthorizeRefuses(t *testing.T) {
	is := browser(t, newIssuer(t))
	for name, c := range map[string]struct {
		change   func(url.Values)
		status   int
		sentBack string // the error, or nothing if the browser must not be sent anywhere
	}{
		"unknown client":          {func(q url.Values) { q.Set("client_id", "x") }, 400, ""},
		"a user as client":        {func(q url.Values) { q.Set("client_id", "alice") }, 400, ""},
		"foreign redirect":        {func(q url.Values) { q.Set("redirect_uri", "https://evil.example.com/cb") }, 400, ""},
		"redirect with more path": {func(q url.Values) { q.Set("redirect_uri", callback+"/x") }, 400, ""},
		"redirect with a query":   {func(q url.Values) { q.Set("redirect_uri", callback+"?x=1") }, 400, ""},
		"no redirect":             {func(q url.Values) { q.Del("redirect_uri") }, 400, ""},
		"redirect twice":          {func(q url.Values) { q.Add("redirect_uri", callback) }, 400, ""},
		"loopback, other path":    {func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:5/other") }, 400, ""},
		"loopback, user info":     {func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1@evil.example.com/cb") }, 400, ""},
		"implicit":                {func(q url.Values) { q.Set("response_type", "token") }, 303, "unsupported_response_type"},
		"no PKCE":                 {func(q url.Values) { q.Del("code_challenge") }, 303, "invalid_request"},
		"plain PKCE":              {func(q url.Values) { q.Set("code_challenge_method", "plain") }, 303, "invalid_request"},
		"foreign scope":           {func(q url.Values) { q.Set("scope", "write") }, 303, "invalid_scope"},
	} {
		resp, q := login(t, is, "web", "alice-password", c.change)
		if resp.StatusCode != c.status || q.Get("error") != c.sentBack || q.Get("code") != "" {
			t.Errorf("%s: %d %v, want %d %q", name, resp.StatusCode, q, c.status, c.sentBack)
		}
	}
	for name, password := range map[string]string{"wrong": "x", "empty": ""} {
		if resp, _ := login(t, is, "web", password, nil); resp.StatusCode != 401 || resp.Header.Get("Location") != "" {
			t.Errorf("%s password: %d, sent to %q", name, resp.StatusCode, resp.Header.Get("Location"))
		}
	}
	if resp, q := login(t, is, "web", "alice-password", func(q url.Values) { q.Set("redirect_uri", "http://127.0.0.1:51234/cb") }); resp.StatusCode != 303 || q.Get("code") == "" {
		t.Errorf("any port of a loopback address: %d %v", resp.StatusCode, q)
	}
	r := httptest.NewRequest("GET", "/authorize?client_id=web&redirect_uri="+url.QueryEscape(callback)+"&response_type=code&code_challenge_method=S256&code_challenge="+challenge(verifier)+"&scope=%22%3E%3Cscript%3E", nil)
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	if strings.Contains(w.Body.String(), "<script>") {
		t.Error("the form shows what it was sent, unescaped")
	}
}

func TestCodeIsGoodOnceAndForItsClient(t *testing.T) {
	is := browser(t, newIssuer(t))
	for name, c := range map[string]struct {
		client string
		change func(url.Values)
	}{
		"another client":     {"orders", nil},
		"another redirect":   {"web", func(f url.Values) { f.Set("redirect_uri", "http://127.0.0.1/cb") }},
		"no redirect":        {"web", func(f url.Values) { f.Del("redirect_uri") }},
		"another verifier":   {"web", func(f url.Values) { f.Set("code_verifier", strings.Repeat("x", 43)) }},
		"no verifier":        {"web", func(f url.Values) { f.Del("code_verifier") }},
		"short verifier":     {"web", func(f url.Values) { f.Set("code_verifier", "x") }},
		"another secret":     {"web", func(f url.Values) { f.Set("code", f.Get("code")+"x") }},
		"nonsense":           {"web", func(f url.Values) { f.Set("code", "x") }},
		"empty":              {"web", func(f url.Values) { f.Set("code", "") }},
		"as a refresh token": {"web", func(f url.Values) { f.Set("grant_type", "refresh_token"); f.Set("refresh_token", f.Get("code")) }},
	} {
		form := exchangeForm(code(t, is, "web"))
		if c.change != nil {
			c.change(form)
		}
		if status, got := post(is, "/token", c.client, c.client+"-secret", form); status != 400 || got["error"] != "invalid_grant" || got["access_token"] != nil {
			t.Errorf("%s: %d %v, want invalid_grant", name, status, got)
		}
	}
	form := exchangeForm(code(t, is, "web"))
	_, first := post(is, "/token", "web", "web-secret", form)
	if status, got := post(is, "/token", "web", "web-secret", form); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("second use: %d %v", status, got)
	}
	// Whoever was first may be the thief: what came of the code is over.
	for _, path := range []string{"access_token", "refresh_token"} {
		if _, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {first[path].(string)}}); in["active"] != false {
			t.Errorf("%s after the code's second use: %v", path, in)
		}
	}
	if status, _ := post(is, "/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}}); status != 400 {
		t.Errorf("the refresh token after the code's second use: %d", status)
	}
}

func TestCodeExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t))
		c := code(t, is, "web")
		time.Sleep(61 * time.Second)
		if status, got := post(is, "/token", "web", "web-secret", exchangeForm(c)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
	})
}

func TestRefreshTokensRotateAndReuseEndsThemAll(t *testing.T) {
	is := browser(t, newIssuer(t))
	_, first := post(is, "/token", "web", "web-secret", exchangeForm(code(t, is, "web")))
	refresh := func(token any, scope string) (int, map[string]any) {
		return post(is, "/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(token)}, "scope": {scope}})
	}
	if status, got := refresh(first["refresh_token"], "read write"); status != 400 || got["error"] != "invalid_scope" {
		t.Errorf("more scopes: %d %v", status, got)
	}
	status, second := refresh(first["refresh_token"], "read")
	if status != 200 || second["refresh_token"] == first["refresh_token"] || second["scope"] != "read" {
		t.Fatalf("refresh: %d %v", status, second)
	}
	status, third := refresh(second["refresh_token"], "")
	if status != 200 || third["scope"] != "openid read" {
		t.Fatalf("refresh: %d %v", status, third)
	}
	if status, got := post(is, "/token", "orders", "orders-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {third["refresh_token"].(string)}}); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("another client: %d %v", status, got)
	}
	if status, got := refresh(first["refresh_token"], ""); status != 400 || got["error"] != "invalid_grant" {
		t.Errorf("a used refresh token: %d %v", status, got)
	}
	if status, _ := refresh(third["refresh_token"], ""); status != 400 {
		t.Error("the newest refresh token is good after an old one was used")
	}
	for n, got := range []map[string]any{first, second, third} {
		if _, in := post(is, "/introspect", "web", "web-secret", url.Values{"token": {got["access_token"].(string)}}); in["active"] != false {
			t.Errorf("access token %d after the reuse: %v", n, in)
		}
	}
}

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

// Two issuers on one store are one issuer.
func TestOneCodeGivesOneTokenWhoeverAsks(t *testing.T) {
	store := issuer.NewMemory()
	one := browser(t, newIssuer(t, issuer.WithStore(store)))
	two := newIssuer(t, issuer.WithStore(store))
	for round := range 20 {
		form := exchangeForm(code(t, one, "web"))
		if round%2 == 1 { // also from the refresh token of a grant
			_, got := post(two, "/token", "web", "web-secret", form)
			form = url.Values{"grant_type": {"refresh_token"}, "refresh_token": {got["refresh_token"].(string)}}
		}
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				is := []http.Handler{one, two}[i%2]
				switch status, got := post(is, "/token", "web", "web-secret", form); {
				case status == 200:
					won.Add(1)
				case status != 400 || got["error"] != "invalid_grant":
					t.Errorf("%d %v", status, got)
				}
			})
		}
		wg.Wait()
		if n := won.Load(); n != 1 {
			t.Fatalf("round %d: %d of 32 got a token, want 1", round, n)
		}
	}
}

func TestIssuersOnOneStoreShareEverything(t *testing.T) {
	store := issuer.NewMemory()
	one := browser(t, newIssuer(t, issuer.WithStore(store)))
	two := newIssuer(t, issuer.WithStore(store))
	_, got := post(one, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
	token := url.Values{"token": {got["access_token"].(string)}}
	if _, in := post(two, "/introspect", "orders", "orders-secret", token); in["active"] != true {
		t.Errorf("the other issuer says %v", in)
	}
	post(two, "/revoke", "orders", "orders-secret", token)
	if _, in := post(one, "/introspect", "orders", "orders-secret", token); in["active"] != false {
		t.Errorf("revoked at the other: %v", in)
	}
	a, _ := one.KeySet(t.Context())
	b, _ := two.KeySet(t.Context())
	if !bytes.Equal(a, b) {
		t.Errorf("keys %s and %s", a, b)
	}
}

func TestKeysRotate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := issuer.NewMemory()
		one := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithKeyLife(3*time.Hour)))
		two := newIssuer(t, issuer.WithStore(store), issuer.WithKeyLife(3*time.Hour))
		ids := func(is *issuer.Issuer) map[string]bool {
			b, err := is.KeySet(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var set struct{ Keys []struct{ Kid string } }
			json.Unmarshal(b, &set)
			out := map[string]bool{}
			for _, k := range set.Keys {
				out[k.Kid] = true
			}
			return out
		}
		kid := func(is *issuer.Issuer) string {
			_, got := post(is, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
			head, _, _ := strings.Cut(got["access_token"].(string), ".")
			b, _ := base64.RawURLEncoding.DecodeString(head)
			var h struct{ Kid string }
			json.Unmarshal(b, &h)
			return h.Kid
		}
		known := ids(two) // as a client that fetches the set every five minutes has it
		signers, most := map[string]bool{}, 0
		for range 12 * 12 { // half a day
			for _, is := range []*issuer.Issuer{one, two} {
				k := kid(is)
				signers[k] = true
				if !known[k] {
					t.Fatalf("a key signs that was not published five minutes before")
				}
			}
			known = ids(two)
			most = max(most, len(known))
			time.Sleep(5 * time.Minute)
		}
		if len(signers) < 4 || len(signers) > 5 || most > 2 {
			t.Errorf("%d keys signed in half a day, at most %d published at once; want one in three hours and two", len(signers), most)
		}
		before := kid(one)
		_, old := post(one, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
		time.Sleep(2 * time.Second)
		if err := two.RotateKeys(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, fresh := post(two, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}})
		if kid(two) == before {
			t.Error("RotateKeys left the key signing")
		}
		for name, got := range map[string]map[string]any{"old": old, "new": fresh} {
			if _, in := post(one, "/introspect", "orders", "orders-secret", url.Values{"token": {got["access_token"].(string)}}); in["active"] != true {
				t.Errorf("the %s token right after the rotation, at the other issuer: %v", name, in)
			}
		}
	})
}

// spy is a store that remembers what was written.
type spy struct {
	issuer.Store
	mu   sync.Mutex
	seen []byte
}

func (s *spy) Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	s.mu.Lock()
	s.seen = append(append(append(s.seen, key...), ' '), value...)
	s.mu.Unlock()
	return s.Store.Put(ctx, key, value, version, ttl)
}

func TestStoreHoldsNoSecret(t *testing.T) {
	store := &spy{Store: issuer.NewMemory()}
	seal := bytes.Repeat([]byte{7}, 32)
	is := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithSealKey(seal)))
	c := code(t, is, "web")
	_, first := post(is, "/token", "web", "web-secret", exchangeForm(c))
	_, second := post(is, "/token", "web", "web-secret", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first["refresh_token"].(string)}})
	post(is, "/revoke", "web", "web-secret", url.Values{"token": {second["access_token"].(string)}})
	secrets := []string{"web-secret", "orders-secret", "alice-password", `"seed"`}
	for _, s := range []any{c, first["refresh_token"], second["refresh_token"], first["access_token"], second["access_token"]} {
		secrets = append(secrets, strings.Split(s.(string), ".")[strings.Count(s.(string), ".")])
	}
	for _, s := range secrets {
		if bytes.Contains(store.seen, []byte(s)) {
			t.Errorf("the store was given %q", s)
		}
	}
	if _, err := newIssuer(t, issuer.WithStore(store), issuer.WithSealKey(bytes.Repeat([]byte{8}, 32))).KeySet(t.Context()); err == nil {
		t.Error("another seal key opens the keys")
	}
	if _, err := newIssuer(t, issuer.WithStore(store), issuer.WithSealKey(seal)).KeySet(t.Context()); err != nil {
		t.Errorf("the same seal key: %v", err)
	}
}

// broken is a store that is away.
type broken struct{}

var errAway = fmt.Errorf("%w: connection refused", auth.ErrUnavailable)

func (broken) Get(context.Context, string) ([]byte, uint64, error)              { return nil, 0, errAway }
func (broken) Put(context.Context, string, []byte, uint64, time.Duration) error { return errAway }
func (broken) Delete(context.Context, string) error                             { return errAway }
func (broken) List(context.Context, string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) { yield("", errAway) }
}

func TestStoreAwayLetsNobodyIn(t *testing.T) {
	is := newIssuer(t, issuer.WithStore(broken{}))
	for path, form := range map[string]url.Values{"/token": {"grant_type": {"client_credentials"}}, "/introspect": {"token": {"x"}}, "/revoke": {"token": {"x"}}} {
		if status, got := post(is, path, "orders", "orders-secret", form); status != 503 || strings.Contains(fmt.Sprint(got), "refused") {
			t.Errorf("%s: %d %v, want 503 and no details", path, status, got)
		}
	}
	if _, err := is.Search(t.Context(), issuer.Query{}); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("Search: %v", err)
	}
	if _, err := auth.New(issuer.Backend(is, "orders", "x"), auth.WithService("orders")); !errors.Is(err, auth.ErrUnavailable) {
		t.Errorf("New: %v", err)
	}
}

func TestAccounts(t *testing.T) {
	is := newIssuer(t)
	ctx := t.Context()
	long := strings.Repeat("x", 100)
	if err := is.Create(ctx, issuer.Account{ID: "Ann/ß", Type: issuer.User, Metadata: map[string]string{"k": "v"}}, long+"1"); err != nil {
		t.Fatal(err)
	}
	if err := is.Create(ctx, issuer.Account{ID: "Ann/ß", Type: issuer.User}, "y"); !errors.Is(err, issuer.ErrExists) {
		t.Errorf("created twice: %v", err)
	}
	if err := is.Create(ctx, issuer.Account{ID: "ann/ß", Type: issuer.Service, Roles: []string{"r"}}, "y"); err != nil {
		t.Errorf("an id that differs in case: %v", err)
	}
	a, err := is.Read(ctx, "Ann/ß")
	if err != nil || a.Metadata["k"] != "v" || a.Created.IsZero() {
		t.Errorf("Read = %+v, %v", a, err)
	}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			if err := is.Update(ctx, "Ann/ß", func(a *issuer.Account) error { a.Roles = append(a.Roles, fmt.Sprint(i)); a.ID = "x"; return nil }); err != nil {
				t.Errorf("Update: %v", err)
			}
		})
	}
	wg.Wait()
	if a, _ = is.Read(ctx, "Ann/ß"); len(a.Roles) != 20 || a.ID != "Ann/ß" {
		t.Errorf("20 updates left %+v", a)
	}
	if err := is.Update(ctx, "nobody", func(*issuer.Account) error { return nil }); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Update of nobody: %v", err)
	}
	for name, c := range map[string]struct {
		q    issuer.Query
		want string
	}{
		"all":     {issuer.Query{}, "[Ann/ß ann/ß]"},
		"by type": {issuer.Query{Type: issuer.User}, "[Ann/ß]"},
		"by role": {issuer.Query{Role: "r"}, "[ann/ß]"},
		"prefix":  {issuer.Query{Prefix: "ann"}, "[ann/ß]"},
		"limit":   {issuer.Query{Limit: 1}, "[Ann/ß]"},
		"after":   {issuer.Query{Limit: 1, After: "Ann/ß"}, "[ann/ß]"},
	} {
		got, err := is.Search(ctx, c.q)
		ids := []string{}
		for _, a := range got {
			ids = append(ids, a.ID)
		}
		if err != nil || fmt.Sprint(ids) != c.want {
			t.Errorf("%s: %v, %v, want %s", name, ids, err, c.want)
		}
	}
	// A6: beyond 44 bytes the original's secrets were all alike.
	for secret, want := range map[string]int{"y": 200, "z": 401} {
		if status, _ := post(is, "/token", "ann/ß", secret, url.Values{"grant_type": {"client_credentials"}}); status != want {
			t.Errorf("secret %q: %d, want %d", secret, status, want)
		}
	}
	if err := is.SetSecret(ctx, "ann/ß", long+"1"); err != nil {
		t.Fatal(err)
	}
	for secret, want := range map[string]int{long + "1": 200, long + "2": 401, "y": 401} {
		if status, _ := post(is, "/token", "ann/ß", secret, url.Values{"grant_type": {"client_credentials"}}); status != want {
			t.Errorf("secret of %d bytes: %d, want %d", len(secret), status, want)
		}
	}
	if err := is.Delete(ctx, "Ann/ß"); err != nil {
		t.Error(err)
	}
	if _, err := is.Read(ctx, "Ann/ß"); !errors.Is(err, issuer.ErrNotFound) {
		t.Errorf("Read of a deleted one: %v", err)
	}
	for name, a := range map[string]issuer.Account{
		"no id":             {Type: issuer.User},
		"no type":           {ID: "x"},
		"line break":        {ID: "x\ny", Type: issuer.User},
		"user with URI":     {ID: "x", Type: issuer.User, RedirectURIs: []string{callback}},
		"http redirect":     {ID: "x", Type: issuer.Service, RedirectURIs: []string{"http://example.com/"}},
		"script":            {ID: "x", Type: issuer.Service, RedirectURIs: []string{"javascript:alert(1)"}},
		"fragment":          {ID: "x", Type: issuer.Service, RedirectURIs: []string{callback + "#x"}},
		"relative":          {ID: "x", Type: issuer.Service, RedirectURIs: []string{"/cb"}},
		"scope with spaces": {ID: "x", Type: issuer.Service, Scopes: []string{"a b"}},
		"public, secret":    {ID: "x", Type: issuer.Service, Public: true},
	} {
		if err := is.Create(ctx, a, "secret"); !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: Create = %v, want ErrInvalid", name, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for name, opt := range map[string]issuer.Option{
		"nil": nil, "nil store": issuer.WithStore(nil), "no URL": issuer.WithURL("x"), "http": issuer.WithURL("http://example.com"), "query": issuer.WithURL("https://e.com?x"),
		"rounds": issuer.WithHashRounds(1), "life": issuer.WithAccessLife(0), "long code": issuer.WithCodeLife(time.Hour), "seal": issuer.WithSealKey([]byte("x")),
		"clock": issuer.WithClock(nil), "logger": issuer.WithLogger(nil),
	} {
		if is, err := issuer.New(opt); !errors.Is(err, auth.ErrInvalid) || is != nil {
			t.Errorf("%s: New = %v, %v", name, is, err)
		}
	}
}

func TestIssuerBelowAPath(t *testing.T) {
	is := seed(t, newIssuer(t, issuer.WithURL("https://example.com/auth/")))
	for _, path := range []string{"/auth/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/auth", "/auth/jwks"} {
		w := httptest.NewRecorder()
		if is.ServeHTTP(w, httptest.NewRequest("GET", path, nil)); w.Code != 200 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if status, _ := post(is, "/auth/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}}); status != 200 {
		t.Errorf("token: %d", status)
	}
}
