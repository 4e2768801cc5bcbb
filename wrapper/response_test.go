package wrapper_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// A 500 that stands in for a panicking handler must not carry what that
// handler said about its own answer; what was set around it stays.
func TestPanicsAnswerHasNothingOfTheHandlers(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		h := newWrapper(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			for _, k := range []string{"Cache-Control", "Content-Encoding", "Etag", "Set-Cookie", "Content-Disposition"} {
				w.Header().Set(k, "handler")
			}
			w.Header().Set("Content-Length", "5")
			w.Header().Set("X-Outer", "changed")
			panic("boom")
		}))
		srv, c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-Outer", "kept")
			h.ServeHTTP(w, r)
		}), h2)
		resp, body := get(t, c, srv.URL)
		for k, v := range resp.Header {
			if strings.Contains(fmt.Sprint(v), "handler") {
				t.Errorf("%s: %v", k, v)
			}
		}
		if resp.StatusCode != 500 || body != "Internal Server Error\n" || resp.Header.Get("X-Outer") != "kept" || resp.Header.Get("X-Request-Id") == "" {
			t.Errorf("got %d %q %v", resp.StatusCode, body, resp.Header)
		}
	})
}

func TestTooLargeABodyClosesTheConnection(t *testing.T) {
	w := newWrapper(t)
	limited := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, 10))
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		io.WriteString(w, "ok")
	})
	for name, h := range map[string]http.Handler{"bare": limited, "wrapped": w.Handler(limited)} {
		srv, c := serve(t, h, false)
		for size, closed := range map[int]bool{0: false, 10: false, 11: true} {
			resp, err := c.Post(srv.URL, "text/plain", strings.NewReader(strings.Repeat("x", size)))
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if resp.Close != closed || (resp.StatusCode == 413) != closed {
				t.Errorf("%s, %d bytes: the connection is closed: %v, want %v", name, size, resp.Close, closed)
			}
		}
	}
}

// A connection that was taken over can still be closed for writing alone, as
// proxies of upgraded connections do.
func TestHijackedConnectionKeepsItsMethods(t *testing.T) {
	for name, secure := range map[string]bool{"tcp": false, "tls": true} {
		t.Run(name, func(t *testing.T) {
			rec := newRecorder()
			w := newWrapper(t, wrapper.WithObserver(rec))
			ended := make(chan string, 1)
			h := w.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				c, buf, err := w.(http.Hijacker).Hijack()
				if err != nil {
					ended <- err.Error()
					return
				}
				defer c.Close()
				buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nbye")
				buf.Flush()
				half, ok := c.(interface{ CloseWrite() error })
				if !ok {
					ended <- fmt.Sprintf("%T has no CloseWrite", c)
					return
				}
				if err := half.CloseWrite(); err != nil {
					ended <- err.Error()
					return
				}
				rest, _ := io.ReadAll(buf) // it can still be read
				if _, ok := c.(io.ReaderFrom); !ok && !secure {
					rest = append(rest, "no ReadFrom"...)
				}
				ended <- string(rest)
			}))
			s := httptest.NewUnstartedServer(h)
			if secure {
				s.StartTLS()
			} else {
				s.Start()
			}
			t.Cleanup(s.Close)
			r, _ := http.NewRequest("GET", s.URL, nil)
			r.Header.Set("Connection", "Upgrade")
			r.Header.Set("Upgrade", "x")
			resp, err := s.Client().Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(bufio.NewReader(resp.Body)); string(b) != "bye" {
				t.Errorf("got %q, %v", b, err)
			}
			io.WriteString(resp.Body.(io.Writer), "and more")
			resp.Body.Close()
			select {
			case s := <-ended:
				if s != "and more" {
					t.Errorf("the server has %q", s)
				}
			case <-time.After(30 * time.Second):
				t.Error("the handler is still there after 30 s")
			}
			if c := rec.last(t); !c.Hijacked {
				t.Errorf("recorded %+v", c)
			}
		})
	}
}

// Whatever kind of connection was taken over, its Close closes it, and ends the
// call once.
func TestHijackedConnectionOfAnyKindEndsTheCall(t *testing.T) {
	pipe := func(*testing.T) (ours, theirs net.Conn) { return net.Pipe() }
	over := func(network, address string) func(t *testing.T) (ours, theirs net.Conn) {
		return func(t *testing.T) (ours, theirs net.Conn) {
			l, err := net.Listen(network, address)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			if theirs, err = net.Dial(network, l.Addr().String()); err != nil {
				t.Fatal(err)
			}
			if ours, err = l.Accept(); err != nil {
				t.Fatal(err)
			}
			return ours, theirs
		}
	}
	for name, c := range map[string]struct {
		conns func(t *testing.T) (ours, theirs net.Conn)
		half  bool // it can be closed for writing alone
	}{
		"pipe":        {pipe, false},
		"TCP":         {over("tcp", "127.0.0.1:0"), true},
		"Unix socket": {over("unix", filepath.Join(t.TempDir(), "s")), true},
		"TLS": {func(t *testing.T) (ours, theirs net.Conn) {
			ours, theirs = pipe(t)
			return tls.Server(ours, &tls.Config{}), theirs
		}, true},
		"with a CloseWrite of its own": {func(t *testing.T) (ours, theirs net.Conn) {
			ours, theirs = pipe(t)
			return halfClosing{ours}, theirs
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := c.conns(t)
			defer theirs.Close()
			theirs.SetReadDeadline(time.Now().Add(30 * time.Second))
			rec := newRecorder()
			var taken net.Conn
			h := newWrapper(t, wrapper.WithObserver(rec)).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				var err error
				taken, _, err = w.(http.Hijacker).Hijack()
				if err != nil {
					t.Error(err)
				}
			}))
			h.ServeHTTP(gives{plain{http.Header{}}, ours}, httptest.NewRequest("GET", "/", nil))
			if n := len(rec.ended); n != 0 {
				t.Errorf("%d calls have ended with the connection open, want none", n)
			}
			if _, ok := taken.(interface{ CloseWrite() error }); ok != c.half {
				t.Errorf("%T has a CloseWrite: %t, want %t", taken, ok, c.half)
			}
			if err := taken.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
			if call := rec.last(t); !call.Hijacked || call.Class != router.OK {
				t.Errorf("recorded %+v, want a hijacked call that is ok", call)
			}
			if b, err := io.ReadAll(theirs); len(b) != 0 || err != nil {
				t.Errorf("the other side reads %q, %v; want the end", b, err)
			}
			taken.Close()
			if n := len(rec.ended); n != 0 {
				t.Errorf("a second Close ended %d calls", n)
			}
		})
	}
}

// gives is the writer of a server that lets its connection be taken over.
type gives struct {
	plain
	conn net.Conn
}

func (g gives) Hijack() (net.Conn, *bufio.ReadWriter, error) { return g.conn, nil, nil }

type halfClosing struct{ net.Conn }

func (halfClosing) CloseWrite() error { return nil }

// Handlers that ask by http.CloseNotifier, as gin's Stream does, hear of it.
func TestCloseNotify(t *testing.T) {
	for name, outer := range map[string]func(http.Handler) http.Handler{
		"server's own": func(h http.Handler) http.Handler { return h },
		"one that has none": func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(struct{ http.ResponseWriter }{w}, r) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			began, left := make(chan bool), make(chan bool, 1)
			h := newWrapper(t).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				//lint:ignore SA1019 what is tested
				gone := w.(http.CloseNotifier).CloseNotify()
				close(began)
				left <- <-gone
			}))
			srv, c := serve(t, outer(h), false)
			ctx, cancel := context.WithCancel(t.Context())
			go func() { <-began; cancel() }()
			r, _ := http.NewRequestWithContext(ctx, "GET", srv.URL, nil)
			if resp, err := c.Do(r); err == nil {
				resp.Body.Close()
			}
			select {
			case <-left:
			case <-time.After(30 * time.Second):
				t.Error("the handler did not hear that the caller left")
			}
		})
	}
}

// Routes are known behind middleware that copies the request.
func TestRouteIsFoundBehindCopies(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panic/{id}", func(http.ResponseWriter, *http.Request) { panic("boom") })
	began, held := make(chan bool), make(chan bool)
	defer close(held)
	mux.HandleFunc("GET /slow/{id}", func(http.ResponseWriter, *http.Request) { began <- true; <-held })
	timeout := func(next http.Handler) http.Handler { // answers while next goes on
		next = http.TimeoutHandler(next, time.Minute, "")
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, cancel := context.WithCancel(r.Context())
			go func() { <-began; cancel() }()
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	type key struct{}
	copies := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), key{}, 1)))
		})
	}
	named := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { wrapper.SetRoute(r.Context(), "/by/:hand") })
	for _, c := range []struct {
		name          string
		h             http.Handler
		path          string
		method, route string
	}{
		{"direct", mux, "/users/1", "GET /users/{id}", "/users/{id}"},
		{"copied", copies(wrapper.Route(nil)(mux)), "/users/1", "GET /users/{id}", "/users/{id}"},
		{"copied, panics", copies(wrapper.Route(nil)(mux)), "/panic/1", "GET /panic/{id}", "/panic/{id}"},
		{"timeout handler", http.TimeoutHandler(wrapper.Route(nil)(mux), time.Minute, ""), "/users/1", "GET /users/{id}", "/users/{id}"},
		{"timeout handler, too slow", timeout(wrapper.Route(nil)(mux)), "/slow/1", "GET /slow/{id}", "/slow/{id}"},
		{"unknown", copies(wrapper.Route(nil)(mux)), "/nowhere", "GET", ""},
		{"by hand", copies(named), "/by/1", "GET /by/:hand", "/by/:hand"},
		{"found nothing", copies(wrapper.Route(func(*http.Request) string { return "" })(mux)), "/users/1", "GET", ""},
		{"found", copies(wrapper.Route(func(*http.Request) string { return "/found" })(named)), "/x", "GET /found", "/found"},
	} {
		rec := newRecorder()
		w := newWrapper(t, wrapper.WithObserver(rec))
		srv, client := serve(t, w.Handler(c.h), false)
		srv.Config.ErrorLog = quiet()
		get(t, client, srv.URL+c.path)
		if call := rec.last(t); call.Method != c.method || call.Route != c.route {
			t.Errorf("%s: method %q, route %q; want %q and %q", c.name, call.Method, call.Route, c.method, c.route)
		}
	}
	wrapper.SetRoute(context.Background(), "/nobody") // no call: nothing happens
}

// A client that is made to call ever new hosts keeps nothing of them for good.
func TestStateOfHostsIsBounded(t *testing.T) {
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	w := newWrapper(t)
	c := &http.Client{Transport: w.Transport(base)}
	call := func(n int) {
		for i := range n {
			resp, err := c.Get(fmt.Sprintf("http://h%d.example.com/", i))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	call(100)
	before := heap()
	call(30_000)
	if grown := heap() - before; grown > 3<<20 {
		t.Errorf("30 000 hosts keep %d kB", grown>>10)
	}
}

// What is used stays, however many others come by.
func TestBudgetOfAServiceOutlivesAFloodOfNames(t *testing.T) {
	bad := count(t, answer(503))
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1, Ratio: 1e-9, Min: 1, Max: 1}))
	start := time.Now()
	other := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}))}
	for i := range 20 {
		get(t, w.Client(), "http://greeter/")
		for j := range 200 {
			resp, err := other.Get(fmt.Sprintf("http://h%d-%d.example.com/", i, j))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	// One retry at the start, and one each second. A budget that was forgotten
	// would begin with another one.
	if n, most := bad.hits.Load(), 22+int64(time.Since(start).Seconds()); n > most {
		t.Errorf("20 calls were sent %d times, want at most %d", n, most)
	}
}
