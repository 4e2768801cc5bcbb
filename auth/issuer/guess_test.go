package issuer_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/issuer"
)

// from returns a client that dials from an address of this machine.
func from(t *testing.T, ip string) *http.Client {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	tr := &http.Transport{DialContext: d.DialContext}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// send posts a form and returns the status.
func send(ctx context.Context, c *http.Client, to string, f url.Values) int {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(f.Encode()))
	if err != nil {
		return 0
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

func authorizeURL(base, client string) string {
	return base + "/authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {client}, "redirect_uri": {callback},
		"code_challenge": {challenge(verifier)}, "code_challenge_method": {"S256"},
	}.Encode()
}

// guess posts a form as one who is at an address, and returns the status.
func guess(is http.Handler, remote, real, to string, f url.Values) int {
	r := httptest.NewRequest("POST", to, strings.NewReader(f.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("X-Real-Ip", real)
	r.RemoteAddr = remote
	w := httptest.NewRecorder()
	is.ServeHTTP(w, r)
	return w.Code
}

func TestStrangersGuessesLockNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock stands: nobody's wait is over
		is := browser(t, newIssuer(t))
		const stranger, owner = "127.0.0.2:1", "127.0.0.1:1"
		for name, c := range map[string]struct {
			url          string
			wrong, right url.Values
			status       int
		}{
			"a client": {
				"/token",
				url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_secret": {"guess"}},
				url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_secret": {"orders-secret"}}, 200,
			},
			"a user": {
				authorizeURL("", "web"),
				url.Values{"username": {"alice"}, "password": {"guess"}},
				url.Values{"username": {"alice"}, "password": {"alice-password"}}, 303,
			},
		} {
			for range 20 {
				guess(is, stranger, "", c.url, c.wrong)
			}
			if status := guess(is, stranger, "", c.url, c.wrong); status != 429 {
				t.Errorf("%s: the stranger's 21st guess: %d, want 429", name, status)
			}
			if status := guess(is, stranger, "", c.url, c.right); status != 429 {
				t.Errorf("%s: a guess that is right, while the stranger has to wait: %d, want 429", name, status)
			}
			if status := guess(is, owner, "", c.url, c.right); status != c.status {
				t.Errorf("%s: the owner, for the first time: %d, want %d", name, status, c.status)
			}
		}
	})
}

func TestSourcesOfGuesses(t *testing.T) {
	with := func(secret string) url.Values {
		return url.Values{"grant_type": {"client_credentials"}, "client_id": {"orders"}, "client_secret": {secret}}
	}
	header := issuer.WithSource(func(r *http.Request) string { return r.Header.Get("X-Real-Ip") })
	for name, c := range map[string]struct {
		opts           []issuer.Option
		stranger, real string // guesses
		other, or      string // knows the secret
		want           int
	}{
		"the same address":            {nil, "192.0.2.1:1", "", "192.0.2.1:2", "", 429},
		"another address":             {nil, "192.0.2.1:1", "", "192.0.2.2:1", "", 200},
		"the same, mapped into IPv6":  {nil, "192.0.2.1:1", "", "[::ffff:192.0.2.1]:1", "", 429},
		"another of the same /64":     {nil, "[2001:db8::1]:1", "", "[2001:db8::ffff:2]:1", "", 429},
		"the other half of the /64":   {nil, "[2001:db8::1]:1", "", "[2001:db8:0:0:8000::1]:1", "", 429},
		"another /64":                 {nil, "[2001:db8::1]:1", "", "[2001:db8:0:1::1]:1", "", 200},
		"a header that nobody set up": {nil, "192.0.2.1:1", "a", "192.0.2.1:1", "b", 429},
		"the same behind a proxy":     {[]issuer.Option{header}, "192.0.2.1:1", "a", "192.0.2.1:1", "a", 429},
		"another behind a proxy":      {[]issuer.Option{header}, "192.0.2.1:1", "a", "192.0.2.1:1", "b", 200},
		"an address that is none":     {nil, "@", "", "192.0.2.1:1", "", 200},
		"two addresses that are none": {nil, "@", "", "@", "", 429},
	} {
		synctest.Test(t, func(t *testing.T) { // whose clock stands: nobody's wait is over
			is := seed(t, newIssuer(t, c.opts...))
			for range 5 {
				if status := guess(is, c.stranger, c.real, "/token", with("wrong")); status != 401 {
					t.Fatalf("%s: a free guess: %d, want 401", name, status)
				}
			}
			if status := guess(is, c.other, c.or, "/token", with("orders-secret")); status != c.want {
				t.Errorf("%s: %d, want %d", name, status, c.want)
			}
		})
	}
}

// Guesses that arrive together are counted like those that come in turn.
func TestGuessesAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // whose clock stands: nobody's wait is over
		is := seed(t, newIssuer(t, issuer.WithHashRounds(20_000)))
		var heard atomic.Int64
		var wg sync.WaitGroup
		for range 200 {
			wg.Go(func() {
				if status, _ := post(is, "/token", "orders", "guess", url.Values{"grant_type": {"client_credentials"}}); status == 401 {
					heard.Add(1)
				}
			})
		}
		wg.Wait()
		if n, most := heard.Load(), int64(5+runtime.GOMAXPROCS(0)); n < 5 || n > most {
			t.Errorf("%d of 200 guesses at once were looked at, want 5 to %d", n, most)
		}
	})
}

// The program around the issuer is no stranger.
func TestThisProcessNeverWaits(t *testing.T) {
	is := seed(t, newIssuer(t))
	open := func(secret string) error {
		a, err := auth.New(issuer.Backend(is, "orders", secret), auth.WithService("orders"))
		if err == nil {
			a.Close()
		}
		return err
	}
	for range 20 {
		if err := open("guess"); !errors.Is(err, auth.ErrUnauthenticated) {
			t.Fatalf("a wrong secret: %v", err)
		}
	}
	if err := open("orders-secret"); err != nil {
		t.Errorf("the right one after twenty wrong ones: %v", err)
	}
}

// A hundred requests that are cancelled used to keep a first login waiting for
// a hundred hashes. A machine may do something else during one of the tries.
func TestCancelledRequestsDelayNobody(t *testing.T) {
	is := browser(t, newIssuer(t, issuer.WithHashRounds(100_000)))
	srv := httptest.NewServer(is)
	defer srv.Close()
	owner, stranger := from(t, "127.0.0.1"), from(t, "127.0.0.1") // even from the same address
	first := func(id string) time.Duration {
		if err := is.Create(t.Context(), issuer.Account{ID: id, Type: issuer.Service}, "secret"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		f := url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"secret"}}
		if status := send(t.Context(), owner, srv.URL+"/token", f); status != 200 {
			t.Errorf("%s: %d", id, status)
		}
		return time.Since(began)
	}
	var tries []string
	for try := range 5 {
		quiet := first(fmt.Sprint("quiet", try))
		ctx, cancel := context.WithCancel(t.Context())
		var sent, wg sync.WaitGroup
		for n := range 100 {
			sent.Add(1)
			wg.Go(func() {
				to, f := srv.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {fmt.Sprint("nobody", n)}, "client_secret": {"x"}}
				if n%2 == 0 {
					to, f = authorizeURL(srv.URL, "web"), url.Values{"username": {fmt.Sprint("nobody", n)}, "password": {"x"}}
				}
				time.AfterFunc(quiet, sent.Done)
				send(ctx, stranger, to, f)
			})
		}
		sent.Wait()
		cancel()
		busy := first(fmt.Sprint("busy", try))
		wg.Wait()
		if busy <= 15*quiet {
			return
		}
		tries = append(tries, fmt.Sprintf("%s, and %s alone", busy, quiet))
	}
	t.Errorf("a first login beside a hundred cancelled requests takes %s", strings.Join(tries, "; "))
}

func TestGeneratedSecretsAreCheckedAtOnce(t *testing.T) {
	store := &spy{Store: issuer.Memory()}
	is := newIssuer(t, issuer.WithStore(store))
	secret := issuer.NewSecret()
	if other := issuer.NewSecret(); other == secret || len(secret) < 26 {
		t.Fatalf("secrets %q and %q", secret, other)
	}
	if err := is.Create(t.Context(), issuer.Account{ID: "orders", Type: issuer.Service}, secret); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(store.seen), secret) {
		t.Error("the store was given the secret")
	}
	grant := url.Values{"grant_type": {"client_credentials"}}
	for n := range 100 {
		guess := []string{"x", secret[:len(secret)-1], secret + "x", issuer.NewSecret()}[n%4]
		if status, _ := post(is, "/token", "orders", guess, grant); status != 401 {
			t.Fatalf("guess %q: %d, want 401", guess, status)
		}
	}
	if status, got := post(is, "/token", "orders", secret, grant); status != 200 {
		t.Errorf("the right one, after a hundred guesses from the same address: %d %v", status, got)
	}
	// What only looks like one is hashed slowly: it may be guessed.
	chosen := secret[:len(secret)-1] + "z"
	if err := is.SetSecret(t.Context(), "orders", chosen); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(store.seen), "pbkdf2-sha256$") {
		t.Error("a secret with a wrong checksum was not hashed slowly")
	}
	for secret, want := range map[string]int{secret: 401, chosen: 200} {
		if status, _ := post(is, "/token", "orders", secret, grant); status != want {
			t.Errorf("after SetSecret %q: %d, want %d", secret, status, want)
		}
	}
}

func TestGuessesDoNotFillTheLog(t *testing.T) {
	var out strings.Builder
	is := seed(t, newIssuer(t, issuer.WithLogger(slog.New(slog.NewTextHandler(&out, nil)))))
	for range 500 {
		post(is, "/token", "orders", "the-guess", url.Values{"grant_type": {"client_credentials"}})
	}
	if n := strings.Count(out.String(), "\n"); n < 1 || n > 15 {
		t.Errorf("500 guesses wrote %d lines", n)
	}
	if strings.Contains(out.String(), "the-guess") || !strings.Contains(out.String(), "account=orders") {
		t.Errorf("logged: %s", out.String())
	}
}
