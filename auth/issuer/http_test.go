package issuer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth/issuer"
)

// Each answer with the headers that a client goes by: how to authenticate, when to come
// again, how long it may be kept.
func TestWhatClientsGoBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &patchy{Store: issuer.Memory()}
		is := browser(t, newIssuer(t, issuer.WithStore(store), issuer.WithHashRounds(1000)))
		ask := func(path, id, secret string, f url.Values) *httptest.ResponseRecorder {
			r := httptest.NewRequest("GET", path, nil)
			if f != nil {
				r = httptest.NewRequest("POST", path, strings.NewReader(f.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if id != "" {
				r.SetBasicAuth(id, secret)
			}
			w := httptest.NewRecorder()
			is.ServeHTTP(w, r)
			return w
		}
		grant := url.Values{"grant_type": {"client_credentials"}}
		token := url.Values{"token": {"x"}}
		for _, c := range []struct {
			name, path, id, secret string
			form                   url.Values
			away                   string // what the store can't read
			status                 int
			authenticate, retry    string
			cache, kind            string
			body                   string // that it begins with
		}{
			{"a token", "/token", "orders", "orders-secret", grant, "", 200, "", "", "no-store", "application/json", `{"access_token":`},
			{"a bad request", "/token", "orders", "orders-secret", url.Values{}, "", 400, "", "", "no-store", "application/json", `{"error":"invalid_request"`},
			{"a wrong secret", "/token", "orders", "wrong", grant, "", 401, `Basic realm="oauth"`, "", "no-store", "application/json", `{"error":"invalid_client"`},
			{"no client", "/token", "", "", grant, "", 401, `Basic realm="oauth"`, "", "no-store", "application/json", `{"error":"invalid_client"`},
			{"no client, and the store is unavailable", "/token", "", "", grant, "account/", 401, `Basic realm="oauth"`, "", "no-store", "application/json", `{"error":"invalid_client"`},
			{"unavailable", "/token", "orders", "orders-secret", grant, "account/", 503, "", "1", "no-store", "application/json", `{"error":"temporarily_unavailable"`},
			{"introspection of nothing", "/introspect", "orders", "orders-secret", token, "", 200, "", "", "no-store", "application/json", `{"active":false}`},
			{"revocation of nothing", "/revoke", "orders", "orders-secret", token, "", 200, "", "", "no-store", "application/json", "{}\n"},
			{"the keys", "/jwks", "", "", nil, "", 200, "", "", "max-age=60", "application/jwk-set+json", `{"keys":[`},
			{"the metadata", "/.well-known/openid-configuration", "", "", nil, "", 200, "", "", "max-age=300", "application/json", `{`},
			{"no token at userinfo", "/userinfo", "", "", nil, "", 401, "Bearer", "", "no-store", "application/json", `{"error":"invalid_token"`},
		} {
			store.away = c.away
			w := ask(c.path, c.id, c.secret, c.form)
			store.away = ""
			h := w.Header()
			if w.Code != c.status || h.Get("WWW-Authenticate") != c.authenticate || h.Get("Retry-After") != c.retry || h.Get("Cache-Control") != c.cache || h.Get("Content-Type") != c.kind || !strings.HasPrefix(w.Body.String(), c.body) {
				t.Errorf("%s: %d %v %s, want %+v", c.name, w.Code, h, w.Body, c)
			}
		}
		var said struct {
			Claims []string `json:"claims_supported"`
		}
		err := json.Unmarshal(ask("/.well-known/openid-configuration", "", "", nil).Body.Bytes(), &said)
		if err != nil || len(said.Claims) < 10 || !slices.IsSorted(said.Claims) {
			t.Errorf("the metadata has the claims %q, %v, want them sorted", said.Claims, err)
		}
		for range 6 { // the fifth wrong one has its source wait for a second, the sixth for two
			ask("/token", "billing", "wrong", grant)
			time.Sleep(time.Second)
		}
		w := ask("/token", "billing", "billing-secret", grant)
		if w.Code != 429 || w.Header().Get("Retry-After") != "1" {
			t.Errorf("who guesses: %d, to come again after %q, want a second", w.Code, w.Header().Get("Retry-After"))
		}
		time.Sleep(time.Second)
		if w := ask("/token", "billing", "billing-secret", grant); w.Code != 200 {
			t.Errorf("a second later: %d", w.Code)
		}
	})
}

// The ways in which a client says who it is do not mix.
func TestTwoWaysOfAuthenticationAreNone(t *testing.T) {
	is := browser(t, newIssuer(t))
	key, set := signer(t)
	if err := is.Create(t.Context(), issuer.Account{ID: "robot", Type: issuer.Service, Keys: set}, ""); err != nil {
		t.Fatal(err)
	}
	n := 0
	assertion := func() string {
		n++
		raw, err := key.Sign("", fmt.Appendf(nil, `{"iss":"robot","sub":"robot","aud":"http://127.0.0.1","jti":"%d","exp":%d}`, n, time.Now().Add(time.Minute).Unix()))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		id, secret string
		form       url.Values
		status     int
		code       string
	}{
		"an assertion":                 {"", "", url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion()}}, 200, ""},
		"without its type":             {"", "", url.Values{"client_assertion": {assertion()}}, 401, "invalid_client"},
		"its type alone":               {"", "", url.Values{"client_assertion_type": {assertionType}}, 401, "invalid_client"},
		"and Basic":                    {"orders", "orders-secret", url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion()}}, 400, "invalid_request"},
		"its type and Basic":           {"orders", "orders-secret", url.Values{"client_assertion_type": {assertionType}}, 400, "invalid_request"},
		"and an empty secret":          {"", "", url.Values{"client_assertion_type": {assertionType}, "client_assertion": {assertion()}, "client_secret": {""}}, 400, "invalid_request"},
		"Basic":                        {"orders", "orders-secret", url.Values{}, 200, ""},
		"Basic, and its name":          {"orders", "orders-secret", url.Values{"client_id": {"orders"}}, 200, ""},
		"Basic, and another's":         {"orders", "orders-secret", url.Values{"client_id": {"billing"}}, 400, "invalid_request"},
		"Basic, and an empty name":     {"orders", "orders-secret", url.Values{"client_id": {""}}, 200, ""},
		"Basic, and a secret":          {"orders", "orders-secret", url.Values{"client_secret": {"orders-secret"}}, 400, "invalid_request"},
		"Basic, and an empty secret":   {"orders", "orders-secret", url.Values{"client_secret": {""}}, 200, ""},
		"Basic without a secret":       {"orders", "", url.Values{}, 401, "invalid_client"},
		"Basic of a public one":        {"app", "", url.Values{}, 401, "invalid_client"},
		"a secret without a name":      {"", "", url.Values{"client_secret": {"orders-secret"}}, 401, "invalid_client"},
		"a name without a secret":      {"", "", url.Values{"client_id": {"orders"}}, 401, "invalid_client"},
		"a user's":                     {"alice", "alice-password", url.Values{}, 401, "invalid_client"},
		"the name of a public one":     {"", "", url.Values{"client_id": {"app"}}, 400, "unauthorized_client"},
		"the same of one with keys":    {"", "", url.Values{"client_id": {"robot"}}, 401, "invalid_client"},
		"a secret of one with keys":    {"robot", "x", url.Values{}, 401, "invalid_client"},
		"no secret of one that's none": {"", "", url.Values{"client_id": {"nobody"}}, 401, "invalid_client"},
	} {
		c.form.Set("grant_type", "client_credentials")
		status, got := post(is, "/token", c.id, c.secret, c.form)
		if code, _ := got["error"].(string); status != c.status || code != c.code {
			t.Errorf("%s: %d %v, want %d %s", name, status, got, c.status, c.code)
		}
	}
	if err := is.Update(t.Context(), "app", func(a *issuer.Account) error { a.Disabled = true; return nil }); err != nil {
		t.Fatal(err)
	}
	if status, _ := post(is, "/token", "", "", url.Values{"grant_type": {"client_credentials"}, "client_id": {"app"}}); status != http.StatusUnauthorized {
		t.Errorf("a public one that is disabled: %d, want 401", status)
	}
}

// What an authorization request may say, each rule with the nearest that is refused.
func TestWhatAnAuthorizationMayAsk(t *testing.T) {
	is := browser(t, newIssuer(t, issuer.WithLogin(session)))
	if err := is.Create(t.Context(), issuer.Account{ID: "off", Type: issuer.Service, RedirectURIs: []string{callback}, Disabled: true}, "off-secret"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 43)
	for name, c := range map[string]struct {
		change map[string]string
		status int
		code   string // that is sent back
	}{
		"as it should be":        {nil, 303, ""},
		"a disabled client":      {map[string]string{"client_id": "off"}, 400, ""},
		"another response":       {map[string]string{"response_type": "code token"}, 303, "unsupported_response_type"},
		"another method":         {map[string]string{"code_challenge_method": ""}, 303, "invalid_request"},
		"a short challenge":      {map[string]string{"code_challenge": long[1:]}, 303, "invalid_request"},
		"a long challenge":       {map[string]string{"code_challenge": long + "x"}, 303, "invalid_request"},
		"a scope":                {map[string]string{"scope": "read"}, 303, ""},
		"scopes of everybody":    {map[string]string{"scope": "openid offline_access"}, 303, ""},
		"another scope":          {map[string]string{"scope": "write"}, 303, "invalid_scope"},
		"no scope name":          {map[string]string{"scope": `"`}, 303, "invalid_scope"},
		"its own audience":       {map[string]string{"audience": "web"}, 303, ""},
		"another audience":       {map[string]string{"audience": "orders"}, 303, "invalid_target"},
		"another resource":       {map[string]string{"resource": "orders"}, 303, "invalid_target"},
		"an audience first":      {map[string]string{"audience": "web", "resource": "orders"}, 303, ""},
		"a thumbprint":           {map[string]string{"dpop_jkt": long}, 303, ""},
		"a short thumbprint":     {map[string]string{"dpop_jkt": long[1:]}, 303, "invalid_request"},
		"a long thumbprint":      {map[string]string{"dpop_jkt": long + "x"}, 303, "invalid_request"},
		"silent alone":           {map[string]string{"prompt": "none"}, 303, ""},
		"silent and another":     {map[string]string{"prompt": "none consent"}, 303, "invalid_request"},
		"without a redirect URI": {map[string]string{"redirect_uri": ""}, 400, ""},
	} {
		q := request("web", callback, "state", "s1")
		for k, v := range c.change {
			q.Set(k, v)
		}
		resp, _ := visit(is, "alice", q, nil)
		got := sent(resp)
		if resp.StatusCode != c.status || got.Get("error") != c.code || got.Has("code") != (c.status == 303 && c.code == "") {
			t.Errorf("%s: %d %v, want %d %q", name, resp.StatusCode, got, c.status, c.code)
		}
		if c.status == 303 && (got.Get("state") != "s1" || got.Get("iss") != is.URL() || resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Referrer-Policy") != "no-referrer") {
			t.Errorf("%s: sent back with %v %v", name, got, resp.Header)
		}
	}
	resp, _ := visit(is, "alice", request("web", callback), nil)
	if q := sent(resp); q.Has("state") {
		t.Errorf("a state that nobody sent comes back: %v", q)
	}
	resp, _ = visit(is, "", request("web", callback), url.Values{"action": {"cancel"}})
	if q := sent(resp); q.Get("error") != "access_denied" || q.Has("code") {
		t.Errorf("cancelled: %d %v", resp.StatusCode, q)
	}
}

// Introspection says of a token what it has, and of one that is bound to a key its type.
func TestWhatIntrospectionSays(t *testing.T) {
	is := browser(t, newIssuer(t))
	if err := is.Create(t.Context(), issuer.Account{ID: "gateway", Type: issuer.Service, Introspects: true}, "gateway-secret"); err != nil {
		t.Fatal(err)
	}
	_, got := post(is, "/token", "orders", "orders-secret", url.Values{"grant_type": {"client_credentials"}, "scope": {"read"}})
	token := url.Values{"token": {fmt.Sprint(got["access_token"])}}
	for _, client := range []string{"gateway", "orders"} {
		_, in := post(is, "/introspect", client, client+"-secret", token)
		for name, want := range map[string]string{"active": "true", "token_type": "Bearer", "sub": "orders", "username": "orders", "client_id": "orders", "aud": "[orders]", "scope": "read", "roles": "[service]", "iss": is.URL(), "act": "<nil>", "cnf": "<nil>"} {
			if got := fmt.Sprint(in[name]); got != want {
				t.Errorf("%s hears %s %q, want %q", client, name, got, want)
			}
		}
		for _, name := range []string{"exp", "iat", "jti"} {
			if in[name] == nil {
				t.Errorf("%s does not hear %s", client, name)
			}
		}
	}
	form := exchangeForm(code(t, is, "app"))
	form.Set("client_id", "app")
	if status, got := post(is, "/token", "", "", form); status != 200 || got["token_type"] != "Bearer" || got["expires_in"] != 600.0 {
		t.Errorf("%d %v", status, got)
	}
	if status, got := post(is, "/introspect", "", "", url.Values{"client_id": {"app"}, "token": token["token"]}); status != 400 || got["error"] != "unauthorized_client" {
		t.Errorf("a public client: %d %v", status, got)
	}
}

// together is a store in which somebody else writes just before a Put.
type together struct {
	issuer.Store
	key string // that begins like this
	n   int
}

func (s *together) Put(ctx context.Context, key string, value []byte, version uint64, ttl time.Duration) error {
	if strings.HasPrefix(key, s.key) {
		s.n++
		return fmt.Errorf("put: %w", issuer.ErrConflict)
	}
	return s.Store.Put(ctx, key, value, version, ttl)
}

// Of two who revoke a token at the same time both succeed.
func TestATokenThatIsRevokedByTwo(t *testing.T) {
	store := &together{Store: issuer.Memory(), key: "revoked/"}
	is := seed(t, newIssuer(t, issuer.WithStore(store)))
	raw, _ := own(t, is)
	if status, got := post(is, "/revoke", "orders", "orders-secret", url.Values{"token": {raw}}); status != 200 || store.n != 1 {
		t.Errorf("%d %v after %d writes, want success", status, got, store.n)
	}
}
