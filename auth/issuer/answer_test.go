package issuer_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

// No page is framed, kept or told on, and an endpoint says what it takes.
func TestHeadersOfAnswers(t *testing.T) {
	is := browser(t, newIssuer(t))
	page := "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {"web"}, "redirect_uri": {callback}, "code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
	for name, c := range map[string]struct {
		method, path string
		status       int
		headers      map[string]string
	}{
		"the page": {"GET", page, 200, map[string]string{
			"X-Frame-Options": "DENY", "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Type": "text/html; charset=utf-8",
		}},
		"an unknown client": {"GET", "/authorize?client_id=x", 400, map[string]string{"Cache-Control": "no-store"}},
		"a GET of a token":  {"GET", "/token", 405, map[string]string{"Allow": "POST", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Content-Type": "application/json"}},
		"nobody's token":    {"POST", "/token", 400, map[string]string{"Cache-Control": "no-store"}},
	} {
		w := httptest.NewRecorder()
		is.ServeHTTP(w, httptest.NewRequest(c.method, c.path, nil))
		if w.Code != c.status {
			t.Errorf("%s: %d, want %d", name, w.Code, c.status)
		}
		for header, want := range c.headers {
			if got := w.Header().Get(header); got != want {
				t.Errorf("%s: %s: %q, want %q", name, header, got, want)
			}
		}
		if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(c.headers["Content-Type"], "html") && !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: %q", name, policy)
		}
	}
}

func TestLengthsOfVerifiers(t *testing.T) {
	is := browser(t, newIssuer(t))
	for n, ok := range map[int]bool{42: false, 43: true, 128: true, 129: false} {
		verifier := strings.Repeat("v", n)
		_, q := login(t, is, "web", "alice-password", func(q url.Values) { q.Set("code_challenge", challenge(verifier)) })
		form := exchangeForm(q.Get("code"))
		form.Set("code_verifier", verifier)
		status, got := post(is, "/token", "web", "web-secret", form)
		if (status == http.StatusOK) != ok || !ok && got["error"] != "invalid_grant" {
			t.Errorf("a verifier of %d: %d %v, want success %t", n, status, got, ok)
		}
	}
}

func TestLivesAtTheirLimits(t *testing.T) {
	for name, c := range map[string]struct {
		opt issuer.Option
		ok  bool
	}{
		"an access token of a second":      {issuer.WithAccessLife(time.Second), true},
		"of less":                          {issuer.WithAccessLife(time.Second - 1), false},
		"of a day":                         {issuer.WithAccessLife(24 * time.Hour), true},
		"of more":                          {issuer.WithAccessLife(24*time.Hour + 1), false},
		"a refresh token of years":         {issuer.WithRefreshLife(100_000 * time.Hour), true},
		"a thousand rounds":                {issuer.WithHashRounds(1000), true},
		"fewer":                            {issuer.WithHashRounds(999), false},
		"a seal key of 32 bytes":           {issuer.WithSealKey(make([]byte, 32)), true},
		"a seal key of 31":                 {issuer.WithSealKey(make([]byte, 31)), false},
		"a seal key of 33":                 {issuer.WithSealKey(make([]byte, 33)), false},
		"the longest grace of a refresh":   {issuer.WithRefreshGrace(5 * time.Minute), true},
		"no grace":                         {issuer.WithRefreshGrace(0), true},
		"a grace that is longer than that": {issuer.WithRefreshGrace(5*time.Minute + 1), false},
	} {
		if is, err := issuer.New(c.opt); (err == nil) != c.ok || err != nil && (is != nil || !errors.Is(err, auth.ErrInvalid)) {
			t.Errorf("%s: %v, want success %t", name, err, c.ok)
		}
	}
}
