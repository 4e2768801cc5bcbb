package auth_test

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/jwt"
	"github.com/micro/go-platform/internal/jose"
)

// lines keeps what a logger writes.
type lines struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// take returns what was written since the last time.
func (l *lines) take() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := strings.TrimSuffix(l.b.String(), "\n")
	l.b.Reset()
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// What an operator sees of a caller that was refused: why, what was shown and
// what is accepted; and never the token.
func TestRefusalsAreSeen(t *testing.T) {
	_, key, _ := ed25519.GenerateKey(nil)
	_, stranger, _ := ed25519.GenerateKey(nil)
	sign := func(key ed25519.PrivateKey, id, typ, claims string) string {
		s, err := jose.NewSigner(id, "", key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := s.Sign(typ, []byte(`{"sub":"shop","iss":"https://us","jti":"j","exp":9999999999,"aud":"orders",`+claims+`"x":1}`))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	plain := func(claims string) string {
		s, _ := jose.NewSigner("k", "", key)
		raw, err := s.Sign("at+jwt", []byte(`{"sub":"shop",`+claims+`}`))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var out lines
	var counted []string
	a, err := auth.New(
		jwt.Backend(jwt.Issuer{Name: "https://us", Keys: jwt.Public("k", key.Public())}), auth.WithService("orders"),
		auth.WithRules(auth.Rule{ID: "reads", Effect: auth.Allow, Subjects: []string{"shop"}, Actions: []string{"GET"}}),
		auth.WithLogger(slog.New(slog.NewTextHandler(&out, nil))),
		auth.WithRefusals(func(_ context.Context, r auth.Refusal) {
			counted = append(counted, r.Reason)
			if r.Err == nil || auth.ReasonOf(r.Err) != r.Reason || (r.Token != nil) != (r.Reason == "denied") {
				t.Errorf("notified of %+v", r)
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	h := auth.Handler(a, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	good := plain(`"iss":"https://us","aud":"orders","exp":9999999999,"jti":"good"`)
	revoked := plain(`"iss":"https://us","aud":"orders","exp":9999999999,"jti":"revoked"`)
	if token, err := a.Verify(t.Context(), revoked); err != nil {
		t.Fatal(err)
	} else if a.Revoke(t.Context(), token); out.take() != nil {
		t.Error("a revocation is no refusal")
	}
	for _, c := range []struct {
		name, method, path string
		authorization      []string
		status             int
		reason             string
		says               []string
	}{
		{"good", "GET", "/", []string{"Bearer " + good}, 200, "", nil},
		{"nothing", "GET", "/x", nil, 401, "no_credential", []string{"resource=/x", "action=GET"}},
		{"nonsense", "GET", "/", []string{"Bearer nonsense"}, 401, "malformed", nil},
		{"basic", "GET", "/", []string{"Basic aHVudGVyMjpodW50ZXIy"}, 401, "credential", []string{"Bearer"}},
		{"two headers", "GET", "/", []string{"Bearer " + good, "Bearer " + good}, 401, "credential", []string{"more than one"}},
		{"another audience", "GET", "/", []string{"Bearer " + plain(`"iss":"https://us","aud":["billing","stock"],"exp":9999999999`)}, 401, "audience", []string{"shop", "billing", "stock", "orders"}},
		{"another issuer", "GET", "/", []string{"Bearer " + plain(`"iss":"https://them","aud":"orders","exp":9999999999`)}, 401, "issuer", []string{"https://them", "https://us"}},
		{"an ID token", "GET", "/", []string{"Bearer " + sign(key, "k", "JWT", "")}, 401, "type", []string{"JWT", "at+jwt"}},
		{"another key's id", "GET", "/", []string{"Bearer " + sign(stranger, "other", "at+jwt", "")}, 401, "key", []string{"other"}},
		{"another key", "GET", "/", []string{"Bearer " + sign(stranger, "k", "at+jwt", "")}, 401, "signature", nil},
		{"expired", "GET", "/", []string{"Bearer " + plain(`"iss":"https://us","aud":"orders","exp":1700000000`)}, 401, "expired", []string{"2023-11-14T22:13:20Z"}},
		{"of the future", "GET", "/", []string{"Bearer " + plain(`"iss":"https://us","aud":"orders","exp":9999999999,"nbf":9999999998`)}, 401, "claims", []string{"nbf"}},
		{"a minute early", "GET", "/", []string{"Bearer " + plain(fmt.Sprintf(`"iss":"https://us","aud":"orders","exp":9999999999,"nbf":%d`, time.Now().Add(time.Minute).Unix()))}, 401, "not_yet_valid", nil},
		{"no expiry", "GET", "/", []string{"Bearer " + plain(`"iss":"https://us","aud":"orders"`)}, 401, "claims", []string{"exp"}},
		{"revoked", "GET", "/", []string{"Bearer " + revoked}, 401, "revoked", nil},
		{"not allowed", "PUT", "/y", []string{"Bearer " + good}, 403, "denied", []string{"shop", "no rule allows it", "resource=/y"}},
		{"a path of two readings", "GET", "/no/%2e%2e/y", []string{"Bearer " + good}, 400, "path", []string{"%2e%2e"}},
	} {
		counted = nil
		r := httptest.NewRequest(c.method, "http://orders"+c.path, nil)
		r.RequestURI = c.path
		if c.authorization != nil {
			r.Header["Authorization"] = c.authorization
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		got := out.take()
		if c.reason == "" {
			if w.Code != c.status || got != nil || counted != nil {
				t.Errorf("%s: %d, %q, %q", c.name, w.Code, got, counted)
			}
			continue
		}
		if w.Code != c.status || len(got) != 1 || len(counted) != 1 || counted[0] != c.reason {
			t.Errorf("%s: %d, counted %q, written %q; want %d, %q and one line", c.name, w.Code, counted, got, c.status, c.reason)
			continue
		}
		for _, s := range append(c.says, "level=WARN", "reason="+c.reason) {
			if !strings.Contains(got[0], s) {
				t.Errorf("%s: no %q in %s", c.name, s, got[0])
			}
		}
		for _, secret := range c.authorization {
			_, secret, _ = strings.Cut(secret, " ")
			if parts := strings.Split(secret, "."); secret != "nonsense" && (strings.Contains(got[0], secret) || strings.Contains(got[0], parts[len(parts)-1])) {
				t.Errorf("%s: the line shows the token: %s", c.name, got[0])
			}
		}
	}
}

func TestReasonOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{nil, ""}, {errors.New("x"), "other"}, {auth.ErrUnavailable, "unavailable"}, {auth.ErrUnauthenticated, "credential"}, {auth.ErrDenied, "denied"},
		{fmt.Errorf("x: %w", auth.ErrRevoked), "revoked"}, {auth.ErrAudience, "audience"}, {auth.ErrPath, "path"}, {auth.ErrClosed, "other"},
	} {
		if got := auth.ReasonOf(c.err); got != c.want {
			t.Errorf("ReasonOf(%v) = %q, want %q", c.err, got, c.want)
		}
	}
}

// Strangers decide how often they are refused, and what they ask for: neither
// fills the log, and one reason doesn't hide another.
func TestFloodOfRefusalsDoesNotFloodTheLog(t *testing.T) {
	var out lines
	counted := map[string]int{}
	f := &fake{verify: func(_ context.Context, c auth.Credential) (*auth.Token, error) {
		if c.Value == "expired" {
			return nil, auth.ErrExpired
		}
		return nil, auth.ErrUnavailable
	}}
	a := f.open(t, auth.WithLogger(slog.New(slog.NewTextHandler(&out, nil))),
		auth.WithRefusals(func(_ context.Context, r auth.Refusal) { counted[r.Reason]++ }))
	request := auth.Request{Service: "orders", Action: strings.Repeat("a", 100_000), Resource: strings.Repeat("b", 100_000)}
	for range 2000 {
		a.Authorized(auth.ContextWithCredential(t.Context(), auth.Credential{Value: "x"}), request)
	}
	got := out.take()
	if len(got) == 0 || len(got) > 10 || counted["unavailable"] != 2000 {
		t.Errorf("%d lines of 2000 refusals, %v counted", len(got), counted)
	}
	for _, line := range got {
		if len(line) > 3000 {
			t.Errorf("a line of %d bytes", len(line))
		}
	}
	a.Authorized(auth.ContextWithCredential(t.Context(), auth.Credential{Value: "expired"}), request)
	if got := out.take(); len(got) != 1 || !strings.Contains(got[0], "reason=expired") {
		t.Errorf("a rare reason beside a frequent one: %q", got)
	}
	// Who gives up, or closes, refuses nobody.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	a.Authorized(ctx, request)
	a.Close()
	a.Authorized(t.Context(), request)
	if got := out.take(); got != nil || counted["other"]+counted["no_credential"] > 0 {
		t.Errorf("%q, %v", got, counted)
	}
}

// What was left out of the log is said by the next line, and what strangers
// write into it is cut.
func TestWhatTheLogLeavesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out lines
		log := auth.LogRefusals(slog.New(slog.NewTextHandler(&out, nil)))
		for range 2000 {
			log(t.Context(), auth.Refusal{Reason: "expired", Err: auth.ErrExpired})
		}
		written := out.take()
		if len(written) == 0 || strings.Contains(strings.Join(written, ""), "left_out") {
			t.Errorf("%q", written)
		}
		time.Sleep(time.Minute)
		for _, want := range []string{fmt.Sprint(" left_out=", 2000-len(written)), ""} {
			log(t.Context(), auth.Refusal{Reason: "expired", Err: auth.ErrExpired})
			if got := out.take(); len(got) != 1 || !strings.Contains(got[0], want) || want == "" && strings.Contains(got[0], "left_out") {
				t.Errorf("%q, want one line with %q", got, want)
			}
		}
		for n, cut := range map[int]bool{255: false, 256: false, 257: true} {
			time.Sleep(time.Minute)
			log(t.Context(), auth.Refusal{Reason: "expired", Err: auth.ErrExpired, Request: auth.Request{Resource: strings.Repeat("b", n)}})
			got := strings.Join(out.take(), "")
			if kept := strings.Count(got, "b"); kept < min(n, 256) || kept > min(n, 256)+1 || strings.Contains(got, "\u2026") != cut {
				t.Errorf("a resource of %d bytes: %s", n, got)
			}
		}
	})
}

// An Auth of somebody else's that does not know Credential.Err lets nobody in
// by it.
func TestForeignAuthDoesNotLetABadHeaderIn(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
	if _, err := auth.AuthorizeHTTP(trusting{}, r, auth.Request{}); !errors.Is(err, auth.ErrUnauthenticated) {
		t.Errorf("two headers: %v, want ErrUnauthenticated", err)
	}
	r.Header["Authorization"] = []string{"Bearer a"}
	if _, err := auth.AuthorizeHTTP(trusting{}, r, auth.Request{}); err != nil {
		t.Errorf("one header: %v", err)
	}
}

// trusting is an Auth that lets everybody in.
type trusting struct{ auth.Auth }

func (trusting) Authorized(context.Context, auth.Request) (*auth.Token, error) {
	return &auth.Token{Subject: "anybody"}, nil
}
