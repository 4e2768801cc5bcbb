package routers

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

func quiet() *log.Logger { return log.New(io.Discard, "", 0) }

// of is the newest call of a path: a transport may have sent it twice.
func (c calls) of(t *testing.T, path string) wrapper.Call {
	t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case call := <-c:
			if call.Resource == path {
				return call
			}
		case <-limit:
			t.Fatal("no such call ended within 30 s")
		}
	}
}

func around(t *testing.T, ended calls) *wrapper.Wrapper {
	t.Helper()
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithObserver(ended), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// does is the handler of all settings: it does what the header says.
func does(w http.ResponseWriter, r *http.Request) { deeds[r.Header.Get("X-Do")].serve(w, r) }

// listen serves a handler over a version of HTTP.
func listen(t *testing.T, h http.Handler, h2 bool) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2, s.Config.ErrorLog = h2, quiet()
	if h2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, s.Client()
}

var requests atomic.Int64

func (d deed) call(t *testing.T, name string, s *httptest.Server, c *http.Client) (seen, path string) {
	t.Helper()
	method := d.method
	if method == "" {
		method = "GET"
	}
	var body io.Reader
	if d.body != "" {
		body = strings.NewReader(d.body)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, fmt.Sprint(s.URL, "/users/", requests.Add(1)), body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range d.header {
		r.Header[k] = v
	}
	r.Header.Set("X-Do", name)
	if d.seen == nil {
		d.seen = see
	}
	return d.seen(t, c, r), r.URL.Path
}

// A caller sees of each deed what it sees without a wrapper, wherever that sits,
// but for panics and deadlines, which are answered; and the record is right.
func TestWrapperBetweenWhatPeopleUse(t *testing.T) {
	for name, s := range settings {
		for _, h2 := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, h2=%v", name, h2), func(t *testing.T) {
				nothing := parts{func(h http.Handler) http.Handler { return h }, func(rt http.RoundTripper) http.RoundTripper { return rt }}
				bare, bareClient := listen(t, s.make(t, nothing, does), h2)
				served, sent := make(calls, 10), make(calls, 10)
				wrapped, client := listen(t, s.make(t, parts{around(t, served).Handler, around(t, sent).Transport}, does), h2)
				for what, d := range deeds {
					if d.http1 && h2 {
						continue
					}
					t.Run(what, func(t *testing.T) {
						want, ok := exceptions[name][what]
						if !ok {
							want = d.outcome
						}
						got, path := d.call(t, what, wrapped, client)
						if want.ours {
							text := fmt.Sprintf("%d %q", want.status, http.StatusText(want.status)+"\n")
							if !strings.HasPrefix(got, text) || strings.Contains(got, "X-Mine") || strings.Contains(got, "Cache-Control") {
								t.Errorf("got %s, want %s and nothing of the handler's", got, text)
							}
						} else {
							bare, _ := d.call(t, what, bare, bareClient)
							if want.status == 413 && !h2 { // where net/http doesn't know its own writer, it can't close
								bare = strings.Replace(bare, "close=false", "close=true", 1)
							}
							if got != bare {
								t.Errorf("got  %s\nwant %s", got, bare)
							}
						}
						c := served.of(t, path)
						if c.Class != want.class || c.Status != want.status || c.Route != s.route || c.Hijacked != (what == "upgrade" && want.status == 0) {
							t.Errorf("recorded %v, status %d, route %q, hijacked %v; want %v, %d, %q", c.Class, c.Status, c.Route, c.Hijacked, want.class, want.status, s.route)
						}
						if s.proxy {
							if ok {
								want.class = router.Connect
							}
							if c := sent.of(t, path); c.Class != want.class {
								t.Errorf("the proxy's transport recorded %v with status %d, want %v", c.Class, c.Status, want.class)
							}
						}
					})
				}
			})
		}
	}
}
