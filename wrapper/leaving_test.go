package wrapper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	stdlog "log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/wrapper"
)

// A caller that knows nothing of discovery keeps its connection for as long as
// it is served on it: it has to be told that the instance leaves.
func TestCallersLeaveTheConnectionsOfWhatDrains(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		entered, release := make(chan struct{}), make(chan struct{})
		draining := make(chan struct{})
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithOnDrain(func(context.Context) error { close(draining); return nil }))
		if err != nil {
			t.Fatal(err)
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/held", func(http.ResponseWriter, *http.Request) { close(entered); <-release })
		mux.HandleFunc("/empty", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("/text", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "text") })
		srv, c := serve(t, w.Handler(mux), h2)
		free := sync.OnceFunc(func() { close(release) })
		t.Cleanup(free)
		call := func(path string) (reused bool) {
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) { reused = i.Reused }})
			r, err := http.NewRequestWithContext(ctx, "GET", srv.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			return reused
		}
		call("/text")
		if !call("/text") || !call("/empty") {
			t.Error("another connection while the service is up")
		}
		held := make(chan error, 1)
		go func() {
			resp, err := srv.Client().Get(srv.URL + "/held") // on a connection of its own
			if err == nil {
				resp.Body.Close()
			}
			held <- err
		}()
		<-entered
		closed := make(chan error, 1)
		go func() { closed <- w.Close(t.Context()) }()
		<-draining
		for _, path := range []string{"/text", "/empty"} { // over HTTP/2 the caller is told a moment after the answer
			poll(t, "a connection that is not used again after "+path, func() bool { call(path); return !call(path) })
		}
		free()
		for _, done := range []chan error{held, closed} {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// What WithOnDrain gave may end the calls that are waited for, and what
// WithOnClose gave comes after both.
func TestWhatEndsCallsRunsBesideThem(t *testing.T) {
	var mu sync.Mutex
	var order []string
	note := func(s string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, s)
	}
	entered, release, slow := make(chan struct{}), make(chan struct{}), make(chan struct{})
	broken := errors.New("broken")
	w, err := wrapper.New(wrapper.WithName("orders"),
		wrapper.WithOnDrain(func(context.Context) error { close(release); return broken }),
		wrapper.WithOnDrain(func(context.Context) error { panic("boom") }),
		wrapper.WithOnDrain(func(context.Context) error { <-slow; note("slow"); return nil }),
		wrapper.WithOnClose(func(context.Context) error { note("close"); return nil }))
	if err != nil {
		t.Fatal(err)
	}
	go w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(entered)
		<-release
		note("call")
		close(slow)
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	<-entered
	err = w.Close(t.Context())
	if !errors.Is(err, broken) || !strings.Contains(fmt.Sprint(err), "boom") {
		t.Errorf("Close: %v, want the error and the panic", err)
	}
	if got := strings.Join(order, " "); got != "call slow close" {
		t.Errorf("order %q, want %q", got, "call slow close")
	}
}

// flusher is a writer whose caller is gone.
type flusher struct {
	http.ResponseWriter
	err error
}

func (f flusher) Flush()            {}
func (f flusher) FlushError() error { return f.err }

// http.ResponseController says when there is nobody to stream to any more.
func TestFlushSaysThatTheCallerIsGone(t *testing.T) {
	gone := errors.New("gone")
	for name, c := range map[string]struct {
		rw   http.ResponseWriter
		left string // of the call's time, in milliseconds
		want error
	}{
		"gone":           {flusher{httptest.NewRecorder(), gone}, "", gone},
		"there":          {flusher{httptest.NewRecorder(), nil}, "", nil},
		"says nothing":   {httptest.NewRecorder(), "", nil},
		"gone, too late": {flusher{httptest.NewRecorder(), gone}, "20", http.ErrHandlerTimeout},
	} {
		var got error
		r := httptest.NewRequest("GET", "/", nil)
		if c.left != "" {
			r.Header.Set(wrapper.HeaderDeadline, c.left)
		}
		newWrapper(t).Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if c.left != "" {
				<-r.Context().Done()
			}
			got = http.NewResponseController(rw).Flush()
		})).ServeHTTP(c.rw, r)
		if got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// duplex is the body of an answer that can be written to.
type duplex struct{ io.ReadWriter }

func (duplex) Close() error { return nil }

// A proxy passes on that its caller sends no more, on a connection that was
// upgraded.
func TestUpgradedAnswerCanBeHalfClosed(t *testing.T) {
	srv := count(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		all, err := io.ReadAll(rw)
		fmt.Fprint(rw, string(all), err)
		rw.Flush()
	})
	upgrade := func(c *http.Client) io.ReadWriteCloser {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		t.Cleanup(cancel)
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "echo")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return resp.Body.(io.ReadWriteCloser)
	}
	halfClose := func(rw io.ReadWriteCloser) error { return rw.(interface{ CloseWrite() error }).CloseWrite() }

	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())))
	rw := upgrade(w.Client())
	io.WriteString(rw, "hello")
	if err := halfClose(rw); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(rw); string(b) != "hello<nil>" || err != nil {
		t.Errorf("got %q, %v", b, err)
	}
	other := &http.Client{Transport: w.Transport(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 101, Header: http.Header{}, Body: duplex{&bytes.Buffer{}}}, nil
	}))}
	if err := halfClose(upgrade(other)); !errors.Is(err, http.ErrNotSupported) {
		t.Errorf("a transport that can't: %v, want %v", err, http.ErrNotSupported)
	}
}

// A handler's panic is in the log of the wrapper, and without one in the default
// one, as net/http would have had it in the server's.
func TestAPanicIsNeverSilent(t *testing.T) {
	for name, own := range map[string]bool{"a log": true, "none": false} {
		t.Run(name, func(t *testing.T) {
			var standard, ours strings.Builder
			before, out, flags := slog.Default(), stdlog.Writer(), stdlog.Flags() // SetDefault changes all three
			slog.SetDefault(slog.New(slog.NewTextHandler(&standard, nil)))
			defer func() { slog.SetDefault(before); stdlog.SetOutput(out); stdlog.SetFlags(flags) }()
			var opts []wrapper.Option
			if own {
				l, err := log.New(log.ToWriter(&ours, log.Logfmt()))
				if err != nil {
					t.Fatal(err)
				}
				opts = append(opts, wrapper.WithLog(l))
			}
			w := newWrapper(t, opts...)
			mux := http.NewServeMux()
			mux.HandleFunc("GET /boom", func(http.ResponseWriter, *http.Request) { panic("boom") })
			mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			rw := httptest.NewRecorder()
			w.Handler(mux).ServeHTTP(rw, httptest.NewRequest("GET", "/boom", nil))
			func() {
				defer func() { recover() }()
				w.Handler(mux).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/abort", nil))
			}()
			got, other := standard.String(), ours.String()
			if own {
				got, other = other, got
			}
			if rw.Code != 500 || !strings.Contains(got, "/boom") || !strings.Contains(got, "leaving_test.go") || strings.Contains(got, "abort") || other != "" {
				t.Errorf("answered %d, logged %q, and elsewhere %q", rw.Code, got, other)
			}
		})
	}
}
