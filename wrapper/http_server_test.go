package wrapper_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

func TestMain(m *testing.M) {
	servertest.RunRole(map[string]servertest.Role{"instance": instance, "chaos server": chaosServer, "chaos client": chaosClient})
	leak.Main(m)
}

// recorder is an observer that remembers the calls that ended.
type recorder struct {
	mu    sync.Mutex
	calls []wrapper.Call
	ended chan struct{}
}

func newRecorder() *recorder { return &recorder{ended: make(chan struct{}, 1000)} }

func (r *recorder) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }

func (r *recorder) End(_ context.Context, c *wrapper.Call) {
	r.mu.Lock()
	r.calls = append(r.calls, *c)
	r.mu.Unlock()
	r.ended <- struct{}{}
}

// last waits for the next call to end and returns it.
func (r *recorder) last(t *testing.T) wrapper.Call {
	t.Helper()
	select {
	case <-r.ended:
	case <-time.After(30 * time.Second):
		t.Fatal("no call ended within 30 s")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[len(r.calls)-1]
}

func newWrapper(t *testing.T, opts ...wrapper.Option) *wrapper.Wrapper {
	t.Helper()
	w, err := wrapper.New(append([]wrapper.Option{wrapper.WithName("orders")}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(context.Background()); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return w
}

// serve starts a server for h, over HTTP/1.1 or HTTP/2, and returns a client.
func serve(t *testing.T, h http.Handler, h2 bool) (*httptest.Server, *http.Client) {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = h2
	if h2 {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s, s.Client()
}

// versions runs a test over both versions of HTTP.
func versions(t *testing.T, f func(t *testing.T, h2 bool)) {
	t.Run("HTTP/1.1", func(t *testing.T) { f(t, false) })
	t.Run("HTTP/2", func(t *testing.T) { f(t, true) })
}

func get(t *testing.T, c *http.Client, url string) (*http.Response, string) {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(b)
}

func TestWriterHasTheAbilitiesOfTheServersWriter(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		abilities := func(w http.ResponseWriter) string {
			_, f := w.(http.Flusher)
			_, h := w.(http.Hijacker)
			_, r := w.(io.ReaderFrom)
			_, p := w.(http.Pusher)
			_, s := w.(io.StringWriter)
			return fmt.Sprint(f, h, r, p, s)
		}
		var outer, inner string
		w := newWrapper(t)
		h := w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { inner = abilities(w) }))
		srv, c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			outer = abilities(w)
			h.ServeHTTP(w, r)
		}), h2)
		get(t, c, srv.URL)
		if inner != outer {
			t.Errorf("Flusher, Hijacker, ReaderFrom, Pusher, StringWriter: got %s, want %s", inner, outer)
		}
	})
}

// all sixteen combinations, which real servers don't have. Each ability that a
// handler finds is the server's.
func TestEveryCombinationOfAbilities(t *testing.T) {
	type F struct{ http.Flusher }
	type H struct{ http.Hijacker }
	type R struct{ io.ReaderFrom }
	type P struct{ http.Pusher }
	able := &abilities{}
	var b struct{ http.ResponseWriter }
	b.ResponseWriter = plain{http.Header{}}
	w := newWrapper(t)
	for i, rw := range []http.ResponseWriter{
		b, struct {
			http.ResponseWriter
			F
		}{b, F{able}}, struct {
			http.ResponseWriter
			H
		}{b, H{able}}, struct {
			http.ResponseWriter
			F
			H
		}{b, F{able}, H{able}}, struct {
			http.ResponseWriter
			R
		}{b, R{able}}, struct {
			http.ResponseWriter
			F
			R
		}{b, F{able}, R{able}}, struct {
			http.ResponseWriter
			H
			R
		}{b, H{able}, R{able}}, struct {
			http.ResponseWriter
			F
			H
			R
		}{b, F{able}, H{able}, R{able}}, struct {
			http.ResponseWriter
			P
		}{b, P{able}}, struct {
			http.ResponseWriter
			F
			P
		}{b, F{able}, P{able}}, struct {
			http.ResponseWriter
			H
			P
		}{b, H{able}, P{able}}, struct {
			http.ResponseWriter
			F
			H
			P
		}{b, F{able}, H{able}, P{able}}, struct {
			http.ResponseWriter
			R
			P
		}{b, R{able}, P{able}}, struct {
			http.ResponseWriter
			F
			R
			P
		}{b, F{able}, R{able}, P{able}}, struct {
			http.ResponseWriter
			H
			R
			P
		}{b, H{able}, R{able}, P{able}}, struct {
			http.ResponseWriter
			F
			H
			R
			P
		}{b, F{able}, H{able}, R{able}, P{able}},
	} {
		got := -1
		w.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			got = 0
			if f, ok := w.(http.Flusher); ok {
				got |= 1
				f.Flush()
			}
			if h, ok := w.(http.Hijacker); ok {
				got |= 2
				if _, _, err := h.Hijack(); err != errAble {
					t.Errorf("combination %04b: Hijack: %v", i, err)
				}
			}
			if f, ok := w.(io.ReaderFrom); ok {
				got |= 4
				if n, err := f.ReadFrom(strings.NewReader("four")); n != 4 || err != errAble {
					t.Errorf("combination %04b: ReadFrom: %d, %v", i, n, err)
				}
			}
			if p, ok := w.(http.Pusher); ok {
				got |= 8
				if err := p.Push("/style.css", nil); err != errAble {
					t.Errorf("combination %04b: Push: %v", i, err)
				}
			}
		})).ServeHTTP(rw, httptest.NewRequest("GET", "/", nil))
		if got != i || able.used != i {
			t.Errorf("combination %04b came through as %04b, and %04b reached the server", i, got, able.used)
		}
		able.used = 0
	}
}

// abilities notes which of a server's writer's abilities were used.
type abilities struct{ used int }

var errAble = errors.New("the server's")

func (a *abilities) Flush() { a.used |= 1 }
func (a *abilities) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	a.used |= 2
	return nil, nil, errAble
}
func (a *abilities) ReadFrom(r io.Reader) (int64, error) {
	a.used |= 4
	n, _ := io.Copy(io.Discard, r)
	return n, errAble
}
func (a *abilities) Push(string, *http.PushOptions) error {
	a.used |= 8
	return errAble
}

type plain struct{ h http.Header }

func (p plain) Header() http.Header         { return p.h }
func (p plain) Write(b []byte) (int, error) { return len(b), nil }
func (p plain) WriteHeader(int)             {}

func TestResponseControllerReachesTheServer(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		w := newWrapper(t)
		errs := make(chan error, 2)
		srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rc := http.NewResponseController(w)
			errs <- rc.SetWriteDeadline(time.Now().Add(time.Minute))
			errs <- rc.EnableFullDuplex()
		})), h2)
		get(t, c, srv.URL)
		if err := <-errs; err != nil {
			t.Errorf("SetWriteDeadline: %v", err)
		}
		if err := <-errs; err != nil && !(h2 && errors.Is(err, http.ErrNotSupported)) {
			t.Errorf("EnableFullDuplex: %v", err)
		}
	})
}

func TestServerSentEventsArriveOneByOne(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		rec, next := newRecorder(), make(chan struct{})
		w := newWrapper(t, wrapper.WithObserver(rec), wrapper.WithServerTimeout(time.Minute))
		srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			if _, bounded := r.Context().Deadline(); bounded {
				t.Error("an event stream has a deadline")
			}
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				<-next
			}
		})), h2)
		r, _ := http.NewRequest("GET", srv.URL, nil)
		r.Header.Set("Accept", "text/event-stream")
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		for i := range 3 {
			for lines.Scan() && lines.Text() == "" {
			}
			if want := fmt.Sprintf("data: %d", i); lines.Text() != want {
				t.Fatalf("got %q, want %q", lines.Text(), want)
			}
			next <- struct{}{} // the next event is not sent before this one has arrived
		}
		io.Copy(io.Discard, resp.Body)
		if call := rec.last(t); call.BytesOut != 27 || call.Class != router.OK {
			t.Errorf("recorded %+v, want 27 bytes", call)
		}
	})
}

func TestUpgradedConnectionEndsTheCallWhenItCloses(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	returned, hang := make(chan struct{}), make(chan struct{})
	srv, _ := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := w.(http.Hijacker).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		go func() { // the handler returns before its connection ends
			defer conn.Close()
			line, _ := rw.ReadString('\n')
			rw.WriteString(line)
			rw.Flush()
			<-hang
		}()
		close(returned)
	})), false)
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatalf("%v, %v", resp, err)
	}
	if line, _ := in.ReadString('\n'); line != "hello\n" {
		t.Errorf("got %q through the upgraded connection", line)
	}
	<-returned
	select {
	case <-rec.ended:
		t.Error("the call ended before its connection")
	default:
	}
	close(hang)
	if call := rec.last(t); !call.Hijacked || call.Class != router.OK {
		t.Errorf("recorded %+v, want a hijacked call that is ok", call)
	}
}

func TestTrailersPass(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		w := newWrapper(t)
		srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			io.WriteString(w, "body")
			w.Header().Set("X-Sum", "42")
		})), h2)
		if resp, _ := get(t, c, srv.URL); resp.Trailer.Get("X-Sum") != "42" {
			t.Errorf("trailer %v, want X-Sum: 42", resp.Trailer)
		}
	})
}

func TestInterimAnswersPassAndAreNotTheStatus(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		rec := newRecorder()
		w := newWrapper(t, wrapper.WithObserver(rec))
		srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "</a.css>; rel=preload")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusCreated)
		})), h2)
		var interim []int
		r, _ := http.NewRequest("GET", srv.URL, nil)
		r = r.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { interim = append(interim, code); return nil },
		}))
		resp, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 201 || len(interim) != 1 || interim[0] != 103 {
			t.Errorf("got %v, then %d; want 103, then 201", interim, resp.StatusCode)
		}
		if call := rec.last(t); call.Status != 201 {
			t.Errorf("recorded %d, want 201", call.Status)
		}
	})
}

func TestPanics(t *testing.T) {
	versions(t, func(t *testing.T, h2 bool) {
		rec := newRecorder()
		w := newWrapper(t, wrapper.WithObserver(rec))
		mux := http.NewServeMux()
		mux.HandleFunc("GET /before", func(http.ResponseWriter, *http.Request) { panic("boom") })
		mux.HandleFunc("GET /after", func(w http.ResponseWriter, _ *http.Request) {
			io.WriteString(w, strings.Repeat("x", 10000))
			w.(http.Flusher).Flush()
			panic("boom")
		})
		mux.HandleFunc("GET /abort", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
		srv, c := serve(t, w.Handler(mux), h2)
		srv.Config.ErrorLog = quiet()

		if resp, _ := get(t, c, srv.URL+"/before"); resp.StatusCode != 500 {
			t.Errorf("panic before the header: %d, want 500", resp.StatusCode)
		}
		if call := rec.last(t); call.Panic != "boom" || call.Class != router.ServerError || call.Status != 500 || call.Method != "GET /before" {
			t.Errorf("recorded %+v", call)
		}
		resp, err := c.Get(srv.URL + "/after")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(resp.Body); err == nil {
			t.Error("panic after the header: the answer looks whole, want it cut")
		}
		resp.Body.Close()
		if call := rec.last(t); call.Class != router.ServerError {
			t.Errorf("recorded %+v", call)
		}
		if resp, err := c.Get(srv.URL + "/abort"); err == nil {
			resp.Body.Close()
			t.Error("http.ErrAbortHandler: got an answer, want the connection cut")
		}
		if call := rec.last(t); call.Panic != nil || call.Class != router.Cancelled {
			t.Errorf("recorded %+v, want neither panic nor error", call)
		}
	})
}

func TestMethodIsThePatternAndNeverThePath(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/any/", func(http.ResponseWriter, *http.Request) {})
	h := w.Handler(mux)
	for _, c := range []struct{ method, path, want string }{
		{"GET", "/users/17", "GET /users/{id}"},
		{"POST", "/any/thing", "POST /any/"},
		{"GET", "/unknown/17", "GET"},
		{"EVIL-1234", "/x", "_OTHER"},
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(c.method, c.path, nil))
		if got := rec.last(t).Method; got != c.want {
			t.Errorf("%s %s: method %q, want %q", c.method, c.path, got, c.want)
		}
	}
}

func TestStatusDecidesTheClass(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	for code, want := range map[int]router.Class{
		0: router.OK, 200: router.OK, 304: router.OK, 404: router.ClientError, 401: router.ClientError, 429: router.Overload,
		500: router.ServerError, 502: router.ServerError, 503: router.Overload, 504: router.Timeout,
	} {
		w.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if code != 0 {
				w.WriteHeader(code)
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		if got := rec.last(t); got.Class != want || got.Status != max(code, 200) {
			t.Errorf("%d: %v with status %d, want %v", code, got.Class, got.Status, want)
		}
	}
}

func TestCallerThatLeftIsNoFailure(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	ctx, cancel := context.WithCancel(t.Context())
	w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(ctx))
	if call := rec.last(t); call.Class != router.Cancelled {
		t.Errorf("got %v, want cancelled", call.Class)
	}
}

func TestDeadlineComesIn(t *testing.T) {
	w := newWrapper(t, wrapper.WithServerTimeout(time.Minute))
	left := func(header string) time.Duration {
		var d time.Duration
		r := httptest.NewRequest("GET", "/", nil)
		if header != "" {
			r.Header.Set(wrapper.HeaderDeadline, header)
		}
		w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if end, ok := r.Context().Deadline(); ok {
				d = time.Until(end)
			}
		})).ServeHTTP(httptest.NewRecorder(), r)
		return d
	}
	for header, want := range map[string]time.Duration{
		"5000": 5 * time.Second, "9999999": time.Minute, "": time.Minute, "nonsense": time.Minute, "-5": time.Minute, "99999999999999999999": time.Minute,
	} {
		if got := left(header); got > want || got < want-2*time.Second {
			t.Errorf("X-Deadline-Ms %q: %v left, want about %v", header, got, want)
		}
	}
}

func TestRequestIDIsKeptIfItIsSane(t *testing.T) {
	w := newWrapper(t)
	for given, kept := range map[string]bool{"abc-123": true, "": false, "with space": false, "ünï": false, strings.Repeat("x", 129): false, "new\nline": false} {
		r, rec := httptest.NewRequest("GET", "/", nil), httptest.NewRecorder()
		r.Header[wrapper.HeaderRequestID] = []string{given}
		var inside string
		w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if c, ok := wrapper.FromContext(r.Context()); ok {
				inside = c.RequestID
			}
		})).ServeHTTP(rec, r)
		got := rec.Header().Get(wrapper.HeaderRequestID)
		if got != inside || got == "" || (got == given) != kept {
			t.Errorf("given %q: answered %q, handler saw %q", given, got, inside)
		}
	}
}
