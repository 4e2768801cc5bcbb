// Package trial tries a service of an example: it runs, answers and stops.
package trial

import (
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"
)

// Run runs a service at an address where nothing listens, asks for each path of
// want until the service is up, and ends its context. The body of an answer and
// the service's error must be right.
func Run(t *testing.T, run func(ctx context.Context, addr string) error, want map[string]string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, addr) }()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for path, body := range want {
		if got := get(t, c, "http://"+addr+path); got != body {
			t.Errorf("%s: got %q, want %q", path, got, body)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// get asks again until the server is up.
func get(t *testing.T, c *http.Client, url string) string {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		resp, err := c.Get(url)
		if err == nil {
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return string(b)
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}
