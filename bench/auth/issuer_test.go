package auth

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/issuer"
)

// ask posts a form to the issuer's token endpoint or login page.
func ask(ctx context.Context, to string, f url.Values) (int, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, to, strings.NewReader(f.Encode()))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// The first login of a client, whose secret has to be hashed with the default
// cost: alone, and while a hundred requests of strangers are cancelled, half of
// them for clients and half for users who don't exist.
func BenchmarkFirstLogin(b *testing.B) {
	is, err := issuer.New()
	if err != nil {
		b.Fatal(err)
	}
	web := issuer.Account{ID: "web", Type: issuer.Service, RedirectURIs: []string{"https://web.example.com/cb"}}
	if err := is.Create(b.Context(), web, "secret"); err != nil {
		b.Fatal(err)
	}
	srv := httptest.NewServer(is)
	defer srv.Close()
	defer http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	page := srv.URL + "/authorize?response_type=code&client_id=web&redirect_uri=" + url.QueryEscape(web.RedirectURIs[0]) +
		"&code_challenge_method=S256&code_challenge=" + strings.Repeat("x", 43)
	clients := 0
	fresh := func() string { // each is new: secrets that were right are remembered
		clients++
		id := fmt.Sprint("client", clients)
		if err := is.Create(b.Context(), issuer.Account{ID: id, Type: issuer.Service}, "secret"); err != nil {
			b.Fatal(err)
		}
		return id
	}
	var quiet, busy time.Duration
	n := 0
	for b.Loop() {
		n++
		quiet += first(b, srv.URL, fresh())
		id := fresh()
		ctx, cancel := context.WithTimeout(b.Context(), 300*time.Millisecond)
		var wg sync.WaitGroup
		for i := range 100 {
			wg.Go(func() {
				if i%2 == 0 {
					ask(ctx, srv.URL+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {fmt.Sprint("nobody", n, i)}, "client_secret": {"x"}})
				} else {
					ask(ctx, page, url.Values{"username": {fmt.Sprint("nobody", n, i)}, "password": {"x"}})
				}
			})
		}
		time.Sleep(100 * time.Millisecond) // they have arrived
		busy += first(b, srv.URL, id)
		wg.Wait()
		cancel()
	}
	b.ReportMetric(float64(quiet.Milliseconds())/float64(n), "quiet-ms")
	b.ReportMetric(float64(busy.Milliseconds())/float64(n), "busy-ms")
	b.ReportMetric(float64(busy)/float64(quiet), "busy/quiet")
}

func first(b *testing.B, base, id string) time.Duration {
	began := time.Now()
	status, err := ask(b.Context(), base+"/token", url.Values{"grant_type": {"client_credentials"}, "client_id": {id}, "client_secret": {"secret"}})
	if err != nil || status != http.StatusOK {
		b.Fatal(status, err)
	}
	return time.Since(began)
}
