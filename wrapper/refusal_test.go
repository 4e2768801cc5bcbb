package wrapper_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// Who is not let in is counted by reason, and some of each reason are warnings,
// at the levels that a service logs at by default.
func TestRefusalsAreSeen(t *testing.T) {
	authority := auth.NewAuthority()
	var written strings.Builder
	lg, err := log.New(log.ToWriter(&written, log.JSON()), log.WithLevel("", slog.LevelInfo))
	if err != nil {
		t.Fatal(err)
	}
	mt, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	au, err := auth.New(auth.Local(authority), auth.WithService("greeter"))
	if err != nil {
		t.Fatal(err)
	}
	limit, err := limits.Concurrency(1)
	if err != nil {
		t.Fatal(err)
	}
	w := newWrapper(t, wrapper.WithLog(lg), wrapper.WithMetrics(mt), wrapper.WithAuth(au), wrapper.WithLimit(limit))
	h := w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	billing, err := authority.Issue("edge", "billing", nil)
	if err != nil {
		t.Fatal(err)
	}
	mallory, err := authority.Issue("mallory", "greeter", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		reason, path string
		header       []string
		status       int
		full         bool
		says         string
	}{
		{"no_credential", "/", nil, 401, false, ""},
		{"credential", "/", []string{"Basic x"}, 401, false, "Bearer"},
		{"credential", "/", []string{"Bearer x", "Bearer y"}, 401, false, "more than one"},
		{"malformed", "/", []string{"Bearer x"}, 401, false, ""},
		{"audience", "/", []string{"Bearer " + string(billing.AccessToken)}, 401, false, "billing"},
		{"denied", "/", []string{"Bearer " + string(mallory.AccessToken)}, 403, false, "mallory"},
		{"path", "/a/%2e%2e/b", nil, 400, false, ""},
		{"limit", "/", nil, 429, true, ""},
	} {
		written.Reset()
		count := func() float64 {
			s, _ := mt.Snapshot().Find("platform.server.refusals", c.reason)
			return float64(s.Count)
		}
		before := count()
		if c.full {
			place, err := limit.Acquire(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer place.Release(router.Outcome{})
		}
		for range 100 {
			r := httptest.NewRequest("GET", c.path, nil)
			r.Header["Authorization"] = c.header
			if c.header == nil {
				r.Header.Del("Authorization")
			}
			rec := httptest.NewRecorder()
			if h.ServeHTTP(rec, r); rec.Code != c.status {
				t.Fatalf("%s: %d, want %d", c.reason, rec.Code, c.status)
			}
		}
		if n := count() - before; n != 100 {
			t.Errorf("%s: %v counted, want 100", c.reason, n)
		}
		lg.Flush(t.Context())
		lines := strings.Split(strings.TrimSpace(written.String()), "\n")
		if c.says == "more than one" { // the same reason as before, so within the same while
			continue
		}
		if len(lines) < 1 || len(lines) > 10 || !strings.Contains(lines[0], `"WARN"`) || !strings.Contains(lines[0], `"reason":"`+c.reason+`"`) || !strings.Contains(lines[0], c.says) {
			t.Errorf("%s: %d lines, the first is %s", c.reason, len(lines), lines[0])
		}
		for _, shown := range []auth.Secret{billing.AccessToken, mallory.AccessToken} {
			if strings.Contains(written.String(), string(shown)) {
				t.Errorf("%s: the log shows a token", c.reason)
			}
		}
	}
}
