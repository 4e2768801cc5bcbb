package consul_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/consul"
	"github.com/micro/go-platform/discovery/internal/backendtest"
	"github.com/micro/go-platform/internal/servertest"
)

// A query that a service needs no longer is free for another one, which then shares
// none.
func TestQueriesAreGivenBack(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	asked := map[string]int{} // by path
	transport := &http.Transport{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: servertest.SharedConsul(t).Addr()})
	proxy.Transport, proxy.ErrorLog = transport, log.New(io.Discard, "", 0)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[r.URL.Path]++
		mu.Unlock()
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() { s.Close(); transport.CloseIdleConnections() })
	shared := func() int {
		mu.Lock()
		defer mu.Unlock()
		return asked["/v1/health/state/any"]
	}
	d, err := discovery.New(consul.Backend(s.URL, consul.WithQueries(1)), discovery.WithIdle(20*time.Millisecond), discovery.WithTimeout(backendtest.Patience))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	// follow reads a service once.
	follow := func(ctx context.Context, service string) {
		t.Helper()
		for s, err := range d.Watch(ctx, service) {
			if err != nil {
				t.Fatal(err)
			}
			if s.State == discovery.Live {
				return
			}
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	first, over := make(chan bool), make(chan struct{})
	go func() {
		defer close(over)
		once := sync.OnceFunc(func() { close(first) })
		for s := range d.Watch(ctx, "keep") {
			if s.State == discovery.Live {
				once()
			}
		}
	}()
	<-first
	if n := shared(); n != 0 {
		t.Errorf("one service takes %d shared queries, want none", n)
	}
	follow(t.Context(), "second")
	if shared() == 0 {
		t.Error("a second service takes no shared query")
	}
	cancel()
	<-over
	for end := time.Now().Add(backendtest.Patience); ; <-time.After(50 * time.Millisecond) {
		before := shared()
		follow(t.Context(), fmt.Sprint("next-", time.Now().UnixNano()))
		if shared() == before {
			break
		}
		if time.Now().After(end) {
			t.Fatal("no service gets the query that was given back")
		}
	}
	mu.Lock()
	defer mu.Unlock()
	for path := range asked {
		if strings.HasSuffix(path, "/second") {
			return
		}
	}
	t.Error("the second service was never read")
}
