package issuer_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth/issuer"
)

// session logs in whoever the cookie names.
func session(r *http.Request) (string, bool) {
	c, err := r.Cookie("user")
	if err != nil {
		return "", false
	}
	return c.Value, true
}

// visit opens the authorize page of a client, or posts a form to it.
func visit(is http.Handler, user string, q, form url.Values) (*http.Response, string) {
	method, body := "GET", ""
	if form != nil {
		method, body = "POST", form.Encode()
	}
	r := httptest.NewRequest(method, "/authorize?"+q.Encode(), strings.NewReader(body))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if user != "" {
		r.AddCookie(&http.Cookie{Name: "user", Value: user})
	}
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	return w.Result(), w.Body.String()
}

// sent returns the query that the browser was sent back with, or nil.
func sent(r *http.Response) url.Values {
	u, err := r.Location()
	if err != nil {
		return nil
	}
	return u.Query()
}

var consentField = regexp.MustCompile(`name="consent" value="([A-Z0-9]+)"`)

// sessions is an issuer whose program knows who is logged in.
func sessions(t *testing.T) *issuer.Issuer {
	is := browser(t, newIssuer(t, issuer.WithStore(keeper{issuer.Memory()}), issuer.WithLogin(session)))
	for _, a := range []issuer.Account{
		{ID: "native", Type: issuer.Service, Public: true, RedirectURIs: []string{"http://127.0.0.1/cb", "com.example.app:/cb", "https://app.example.com/cb"}},
		{ID: "console", Type: issuer.Service, RedirectURIs: []string{"http://127.0.0.1/cb"}},
	} {
		secret := map[bool]string{false: "console-secret"}[a.Public]
		if err := is.Create(t.Context(), a, secret); err != nil {
			t.Fatal(err)
		}
	}
	if err := is.Create(t.Context(), issuer.Account{ID: "bob", Type: issuer.User}, "bob-password"); err != nil {
		t.Fatal(err)
	}
	return is
}

func request(client, redirect string, more ...string) url.Values {
	q := url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {redirect},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}
	for i := 0; i < len(more); i += 2 {
		q.Set(more[i], more[i+1])
	}
	return q
}

func TestWhoGetsACodeWithoutBeingAsked(t *testing.T) {
	is := sessions(t)
	for name, c := range map[string]struct {
		user string
		q    url.Values
		want string // "code", "consent", "form", or the error that is sent back
	}{
		"a confidential client":               {"alice", request("web", callback), "code"},
		"a confidential one on loopback":      {"alice", request("console", "http://127.0.0.1:4711/cb"), "code"},
		"a public one on loopback":            {"alice", request("native", "http://127.0.0.1:4711/cb"), "consent"},
		"a public one with a scheme":          {"alice", request("native", "com.example.app:/cb"), "consent"},
		"a public one with https":             {"alice", request("native", "https://app.example.com/cb"), "code"},
		"nobody is logged in":                 {"", request("web", callback), "form"},
		"consent is asked for":                {"alice", request("web", callback, "prompt", "consent"), "consent"},
		"a login is asked for":                {"alice", request("web", callback, "prompt", "login"), "form"},
		"a young login is asked for":          {"alice", request("web", callback, "max_age", "60"), "form"},
		"silently":                            {"alice", request("web", callback, "prompt", "none"), "code"},
		"silently, nobody is logged in":       {"", request("web", callback, "prompt", "none"), "login_required"},
		"silently, a young login":             {"alice", request("web", callback, "prompt", "none", "max_age", "60"), "login_required"},
		"silently, a public one":              {"alice", request("native", "http://127.0.0.1/cb", "prompt", "none"), "consent_required"},
		"silently and not":                    {"alice", request("web", callback, "prompt", "none login"), "invalid_request"},
		"a service's name in the session":     {"orders", request("web", callback), "access_denied"},
		"somebody unknown in the session":     {"nobody", request("web", callback), "access_denied"},
		"a public one, somebody else's query": {"alice", request("native", "http://evil.example.com/cb"), "400"},
	} {
		resp, body := visit(is, c.user, c.q, nil)
		got := "form"
		switch q := sent(resp); {
		case resp.StatusCode == 400:
			got = "400"
		case q.Has("code"):
			got = "code"
		case q.Has("error"):
			got = q.Get("error")
		case consentField.MatchString(body):
			got = "consent"
		}
		if got != c.want {
			t.Errorf("%s: %s (%d), want %s", name, got, resp.StatusCode, c.want)
		}
	}
}

func TestConsentIsOfOneUserForOneRequestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		is := sessions(t)
		q := request("native", "http://127.0.0.1:4711/cb", "state", "s1")
		ask := func(user string, q url.Values) url.Values {
			t.Helper()
			_, body := visit(is, user, q, nil)
			m := consentField.FindStringSubmatch(body)
			if m == nil {
				t.Fatalf("%s was not asked: %s", user, body)
			}
			return url.Values{"consent": {m[1]}}
		}
		code := func(user string, q, form url.Values) bool {
			resp, _ := visit(is, user, q, form)
			return sent(resp).Has("code")
		}
		yes := ask("alice", q)
		for name, ok := range map[string]bool{
			"nobody's session":  code("", q, yes),
			"another's session": code("bob", q, yes),
			"another request":   code("alice", request("native", "http://127.0.0.1:4712/cb"), yes),
			"a guess":           code("alice", q, url.Values{"consent": {"GUESS"}}),
			"none":              code("alice", q, url.Values{"consent": {""}}),
		} {
			if ok {
				t.Errorf("%s got a code", name)
			}
		}
		no := url.Values{"consent": yes["consent"], "action": {"cancel"}}
		if resp, _ := visit(is, "alice", q, no); sent(resp).Get("error") != "access_denied" || sent(resp).Get("state") != "s1" {
			t.Errorf("cancelled: %v", sent(resp))
		}
		resp, _ := visit(is, "alice", q, yes)
		if sent(resp).Get("code") == "" || sent(resp).Get("state") != "s1" {
			t.Fatalf("allowed: %d %v", resp.StatusCode, sent(resp))
		}
		f := url.Values{"grant_type": {"authorization_code"}, "client_id": {"native"}, "code": {sent(resp).Get("code")}, "redirect_uri": q["redirect_uri"], "code_verifier": {verifier}}
		if status, got := post(is, "/token", "", "", f); status != 200 || part(t, got["access_token"], 1)["sub"] != "alice" {
			t.Errorf("the code: %d %v", status, got)
		}
		if code("alice", q, yes) {
			t.Error("one consent gave two codes")
		}
		yes = ask("alice", q)
		time.Sleep(10 * time.Minute)
		if code("alice", q, yes) {
			t.Error("a consent of ten minutes ago gave a code")
		}
		yes = ask("alice", q)
		time.Sleep(10*time.Minute - 1)
		if !code("alice", q, yes) {
			t.Error("a consent within its ten minutes gave none")
		}
	})
}

// Only people log in on the page.
func TestWhoLogsInOnThePage(t *testing.T) {
	is := browser(t, newIssuer(t))
	disabled := issuer.Account{ID: "carol", Type: issuer.User, Disabled: true}
	if err := is.Create(t.Context(), disabled, "carol-password"); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{"alice": 303, "orders": 401, "app": 401, "nobody": 401, "carol": 401, "": 401} {
		for _, password := range []string{user + "-password", user + "-secret"} {
			resp, _ := visit(is, "", request("web", callback), url.Values{"username": {user}, "password": {password}})
			want := want
			if password != "alice-password" {
				want = 401
			}
			if resp.StatusCode != want || sent(resp).Has("code") != (want == 303) {
				t.Errorf("%q with %q: %d %v, want %d", user, password, resp.StatusCode, sent(resp), want)
			}
		}
	}
}
