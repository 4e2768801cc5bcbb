package issuer_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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

// browser has a web client and a public one beside the services of seed. Their
// ID tokens are signed with EdDSA: making an RSA key takes a while.
func browser(t testing.TB, is *issuer.Issuer) *issuer.Issuer {
	t.Helper()
	seed(t, is)
	for _, a := range []issuer.Account{
		{ID: "web", Type: issuer.Service, RedirectURIs: []string{callback, "http://127.0.0.1/cb"}, Scopes: []string{"read"}, IDAlgorithm: issuer.EdDSA},
		{ID: "app", Type: issuer.Service, Public: true, RedirectURIs: []string{callback}, Scopes: []string{"read"}, IDAlgorithm: issuer.EdDSA},
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
		is := browser(t, newIssuer(t, issuer.WithStore(keeper{issuer.Memory()})))
		c, early := code(t, is, "web"), code(t, is, "web")
		time.Sleep(time.Minute - 1)
		if status, got := post(is, "/token", "web", "web-secret", exchangeForm(early)); status != 200 {
			t.Errorf("in its last moment: %d %v", status, got)
		}
		time.Sleep(time.Nanosecond)
		if status, got := post(is, "/token", "web", "web-secret", exchangeForm(c)); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%d %v", status, got)
		}
	})
}

func TestARefreshTokenEndsUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t, issuer.WithStore(keeper{issuer.Memory()}), issuer.WithRefreshLife(time.Hour)))
		_, got := begin(t, is, "app")
		for range 3 { // each one has a life of its own
			time.Sleep(time.Hour - 1)
			var status int
			if status, got = refreshWith(is, "app", got["refresh_token"]); status != 200 {
				t.Fatalf("within its life: %d %v", status, got)
			}
		}
		time.Sleep(time.Hour)
		if status, got := refreshWith(is, "app", got["refresh_token"]); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("at its end: %d %v", status, got)
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

// refreshWith exchanges a refresh token as the client web, or as the public app.
func refreshWith(is http.Handler, client string, token any) (int, map[string]any) {
	f := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {fmt.Sprint(token)}}
	if client == "app" {
		f.Set("client_id", "app")
		return post(is, "/token", "", "", f)
	}
	return post(is, "/token", client, client+"-secret", f)
}

// begin logs in and exchanges the code.
func begin(t *testing.T, is http.Handler, client string) (code string, got map[string]any) {
	t.Helper()
	_, q := login(t, is, client, "alice-password", nil)
	f := exchangeForm(q.Get("code"))
	id, secret := client, client+"-secret"
	if client == "app" {
		f.Set("client_id", "app")
		id, secret = "", ""
	}
	status, got := post(is, "/token", id, secret, f)
	if status != 200 {
		t.Fatalf("%s: %d %v", client, status, got)
	}
	return q.Get("code"), got
}

func TestOnlyWhoHeldATokenEndsAGrant(t *testing.T) {
	is := browser(t, newIssuer(t))
	half := func(s string) string { return s[:strings.Index(s, ".")+1] }
	for name, c := range map[string]struct {
		token func(code, refresh string) string
		ends  bool
	}{
		"the code's id and a guess":   {func(code, _ string) string { return half(code) + "guess" }, false},
		"the id and a long guess":     {func(_, r string) string { return half(r) + strings.Repeat("A", 52) }, false},
		"the id alone":                {func(_, r string) string { return half(r) }, false},
		"the spent code":              {func(code, _ string) string { return code }, false},
		"one letter more":             {func(_, r string) string { return r + "A" }, false},
		"the line with another turn":  {func(_, r string) string { return r[:len(r)-26] + strings.Repeat("A", 26) }, true},
		"half of the line, same turn": {func(_, r string) string { return half(r) + strings.Repeat("A", 26) + r[len(r)-26:] }, false},
	} {
		code, got := begin(t, is, "app")
		shown := c.token(code, got["refresh_token"].(string))
		if status, got := refreshWith(is, "app", shown); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("%s: %d %v, want invalid_grant", name, status, got)
		}
		want := 200
		if c.ends {
			want = 400
		}
		if status, got := refreshWith(is, "app", got["refresh_token"]); status != want {
			t.Errorf("the refresh token after %s was shown: %d %v, want %d", name, status, got, want)
		}
		// The same at the revocation endpoint, where anybody may be a public client.
		_, got = begin(t, is, "app")
		shown = c.token(code, got["refresh_token"].(string))
		if status, _ := post(is, "/revoke", "", "", url.Values{"client_id": {"app"}, "token": {shown}}); status != 200 {
			t.Errorf("revoking %s: %d", name, status)
		}
		if status, got := refreshWith(is, "app", got["refresh_token"]); status != want {
			t.Errorf("the refresh token after %s was revoked: %d %v, want %d", name, status, got, want)
		}
	}
	// A spent code ends the grant if its verifier is there too: a log doesn't have that.
	for verifier, want := range map[string]int{strings.Repeat("x", 43): 200, verifier: 400} {
		code, got := begin(t, is, "app")
		f := exchangeForm(code)
		f.Set("client_id", "app")
		f.Set("code_verifier", verifier)
		if status, got := post(is, "/token", "", "", f); status != 400 || got["error"] != "invalid_grant" {
			t.Errorf("a spent code with the verifier %q: %d %v", verifier, status, got)
		}
		if status, _ := refreshWith(is, "app", got["refresh_token"]); status != want {
			t.Errorf("the refresh token after a spent code with the verifier %q: %d, want %d", verifier, status, want)
		}
	}
}

func TestALostRefreshAnswerLogsNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := browser(t, newIssuer(t))
		none := browser(t, newIssuer(t, issuer.WithRefreshGrace(0)))
		good := func(what string, is http.Handler, token any) any {
			t.Helper()
			status, got := refreshWith(is, "app", token)
			if status != 200 {
				t.Fatalf("%s: %d %v, want 200", what, status, got)
			}
			return got["refresh_token"]
		}
		over := func(what string, is http.Handler, token any) {
			t.Helper()
			if status, got := refreshWith(is, "app", token); status != 400 || got["error"] != "invalid_grant" {
				t.Errorf("%s: %d %v, want invalid_grant", what, status, got)
			}
		}
		_, got := begin(t, is, "app")
		first := got["refresh_token"]
		lost := good("first", is, first)
		time.Sleep(30*time.Second - 1)
		second := good("the first again, within the grace period", is, first)
		third := good("what the retry got", is, second)
		over("the answer that was lost, after the other was used", is, lost)
		over("the newest, after that", is, third)

		_, got = begin(t, is, "app")
		first = got["refresh_token"]
		lost = good("first", is, first)
		time.Sleep(30 * time.Second)
		over("the first again, at the end of the grace period", is, first)
		over("the second, after that", is, lost)

		_, got = begin(t, is, "app") // the answer was only late: either may be used
		first = got["refresh_token"]
		late := good("first", is, first)
		good("the first again", is, first)
		time.Sleep(time.Hour)
		good("the one that came late", is, late)

		_, got = begin(t, is, "app")
		first = got["refresh_token"]
		newest := good("first", is, first)
		for range 4 {
			newest = good("a retry", is, first)
		}
		over("the fifth retry", is, first)
		second = good("the newest after too many retries", is, newest)
		good("its successor", is, second)
		over("one before the last, although it is within its grace period", is, first)
		over("what was good before that", is, second)

		_, got = begin(t, none, "app")
		lost = good("without grace", none, got["refresh_token"])
		over("again, without grace", none, got["refresh_token"])
		over("the second, after that", none, lost)
	})
}

func TestARefreshObeysTheAccountsOfNow(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*issuer.Account)
		id     string
		code   string
	}{
		"nothing changed":   {func(*issuer.Account) {}, "web", ""},
		"a scope less":      {func(a *issuer.Account) { a.Scopes = nil }, "web", "invalid_scope"},
		"the user disabled": {func(a *issuer.Account) { a.Disabled = true }, "alice", "invalid_grant"},
		"the client too":    {func(a *issuer.Account) { a.Disabled = true }, "web", "invalid_client"},
	} {
		is := browser(t, newIssuer(t))
		_, got := begin(t, is, "web")
		if err := is.Update(t.Context(), c.id, func(a *issuer.Account) error { c.change(a); return nil }); err != nil {
			t.Fatal(err)
		}
		_, refreshed := refreshWith(is, "web", got["refresh_token"])
		if code, _ := refreshed["error"].(string); code != c.code {
			t.Errorf("%s: %v, want %q", name, refreshed, c.code)
		}
	}
}
