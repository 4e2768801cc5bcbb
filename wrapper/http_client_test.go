package wrapper_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// turns is a router that hands out instances in turn and remembers outcomes.
type turns struct {
	router.Router
	all  []discovery.Instance
	next atomic.Int64
}

func instances(addrs ...string) *turns {
	r := &turns{}
	for _, a := range addrs {
		r.all = append(r.all, discovery.Instance{ID: a, Service: "greeter", Address: a})
	}
	return r
}

func (r *turns) Pick(context.Context, string, ...router.SelectOption) (router.Pick, error) {
	if len(r.all) == 0 {
		return router.Pick{}, router.ErrNoInstances
	}
	return router.Pick{Instance: &r.all[int(r.next.Add(1)-1)%len(r.all)]}, nil
}

func (r *turns) Close(context.Context) error { return nil }

// counted is a server that counts what it is asked.
type counted struct {
	*httptest.Server
	hits   atomic.Int64
	bodies chan string
}

func (c *counted) addr() string { return c.Listener.Addr().String() }

func count(t *testing.T, h http.HandlerFunc) *counted {
	t.Helper()
	c := &counted{bodies: make(chan string, 100)}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.hits.Add(1)
		h(w, r)
	}))
	c.Config.ErrorLog = quiet()
	t.Cleanup(c.Close)
	return c
}

func answer(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(code)
		io.WriteString(w, http.StatusText(code))
	}
}

// deadAddr is one that nothing listens on.
func deadAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestCallGoesToAnInstanceOfTheService(t *testing.T) {
	srv := count(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Host+" "+r.URL.Path) })
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(rec))
	if _, body := get(t, w.Client(), "http://greeter/hello"); body != "greeter /hello" {
		t.Errorf("got %q", body)
	}
	if c := rec.last(t); c.Service != "greeter" || c.Attempts != 1 || c.Class != router.OK || c.Instance == nil {
		t.Errorf("recorded %+v", c)
	}
	// A host of the internet, or one with a port, is called as it is.
	if _, body := get(t, w.Client(), srv.URL+"/direct"); !strings.HasSuffix(body, "/direct") {
		t.Errorf("got %q", body)
	}
}

func TestIdempotentCallsAreSentAgainToAnotherInstance(t *testing.T) {
	for name, broken := range map[string]func(t *testing.T) string{
		"nothing listens": deadAddr,
		"503":             func(t *testing.T) string { return count(t, answer(503)).addr() },
		"502":             func(t *testing.T) string { return count(t, answer(502)).addr() },
		"connection cut": func(t *testing.T) string {
			return count(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }).addr()
		},
	} {
		t.Run(name, func(t *testing.T) {
			good, rec := count(t, answer(200)), newRecorder()
			w := newWrapper(t, wrapper.WithRouter(instances(broken(t), good.addr())), wrapper.WithObserver(rec))
			if resp, body := get(t, w.Client(), "http://greeter/"); resp.StatusCode != 200 || body != "OK" {
				t.Errorf("got %d %q", resp.StatusCode, body)
			}
			if c := rec.last(t); c.Attempts != 2 || c.Class != router.OK || c.Err != nil {
				t.Errorf("recorded %+v, want two attempts and no error", c)
			}
		})
	}
}

func TestPostIsSentOnceUnlessItWasCertainlyNotProcessed(t *testing.T) {
	for name, c := range map[string]struct {
		first func(t *testing.T) (string, *counted)
		again bool
	}{
		"503": {func(t *testing.T) (string, *counted) { s := count(t, answer(503)); return s.addr(), s }, false},
		"connection cut": {func(t *testing.T) (string, *counted) {
			s := count(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
			return s.addr(), s
		}, false},
		"nothing listens": {func(t *testing.T) (string, *counted) { return deadAddr(t), nil }, true},
	} {
		t.Run(name, func(t *testing.T) {
			addr, first := c.first(t)
			second := count(t, func(w http.ResponseWriter, r *http.Request) {
				b, _ := io.ReadAll(r.Body)
				w.Write(b)
			})
			w := newWrapper(t, wrapper.WithRouter(instances(addr, second.addr())))
			// A reader without GetBody.
			resp, err := w.Client().Post("http://greeter/", "text/plain", io.MultiReader(strings.NewReader("hello")))
			if err == nil {
				b, _ := io.ReadAll(resp.Body)
				resp.Body.Close()
				if c.again && string(b) != "hello" {
					t.Errorf("the second instance got %q, want the body whole", b)
				}
			}
			if got := second.hits.Load() == 1; got != c.again {
				t.Errorf("sent again: %v, want %v", got, c.again)
			}
			if first != nil && first.hits.Load() != 1 {
				t.Errorf("sent %d times to the first, want once", first.hits.Load())
			}
		})
	}
}

func TestIdempotencyKeyAllowsAPostToBeSentAgain(t *testing.T) {
	bad := count(t, answer(503))
	good := count(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr(), good.addr())))
	r, _ := http.NewRequest("POST", "http://greeter/", io.MultiReader(strings.NewReader("pay"), strings.NewReader(" once")))
	r.Header.Set("Idempotency-Key", "k1")
	resp, err := w.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); string(b) != "pay once" {
		t.Errorf("the second instance got %q, want the body whole", b)
	}
}

func TestLongBodyIsNotSentAgain(t *testing.T) {
	bad, good := count(t, answer(503)), count(t, answer(200))
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr(), good.addr())), wrapper.WithRetry(wrapper.RetryPolicy{Buffer: 100}))
	r, _ := http.NewRequest("PUT", "http://greeter/", io.MultiReader(bytes.NewReader(make([]byte, 101))))
	resp, err := w.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 503 || good.hits.Load() != 0 {
		t.Errorf("got %d, with %d calls to the second; want the first answer", resp.StatusCode, good.hits.Load())
	}
	r, _ = http.NewRequest("PUT", "http://greeter/", bytes.NewReader(make([]byte, 101))) // with GetBody
	if resp, err = w.Client().Do(r); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp, err = w.Client().Do(r.Clone(t.Context())); err == nil {
		resp.Body.Close()
	}
	if good.hits.Load() == 0 {
		t.Error("a body with GetBody was not sent again")
	}
}

// A body that can't be made again is not sent again: the call fails with what
// GetBody says.
func TestBodyThatIsNotMadeAgain(t *testing.T) {
	bad := count(t, answer(503))
	gone := errors.New("the file is gone")
	for name, c := range map[string]struct {
		err  error
		sent int64
	}{"made again": {nil, 2}, "not made again": {gone, 1}} {
		before := bad.hits.Load()
		w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 2}))
		r, _ := http.NewRequest("PUT", "http://greeter/", strings.NewReader("x"))
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("x")), c.err }
		resp, err := w.Client().Do(r)
		if err == nil {
			resp.Body.Close()
		}
		if sent := bad.hits.Load() - before; !errors.Is(err, c.err) || sent != c.sent {
			t.Errorf("%s: %v, sent %d times; want %v, %d", name, err, sent, c.err, c.sent)
		}
	}
}

// A transport that still reads the body of an attempt that is over must not take
// from the next one what it sends.
func TestAttemptThatIsOverReadsNoMore(t *testing.T) {
	var first io.ReadCloser
	var late error
	var sent []string
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		var b [1]byte
		if first == nil {
			first = r.Body
			io.ReadFull(r.Body, b[:])
			sent = append(sent, string(b[:]))
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}
		_, late = first.Read(b[:])
		all, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		sent = append(sent, string(all))
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})
	w := newWrapper(t, wrapper.WithRouter(instances("a:1", "b:1")))
	r, _ := http.NewRequest("PUT", "http://greeter/", io.MultiReader(strings.NewReader("whole")))
	resp, err := w.Transport(base).RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if late == nil || late == io.EOF || strings.Join(sent, " ") != "w whole" {
		t.Errorf("the attempt that is over reads %v, sent %q; want an error, and the body whole", late, sent)
	}
}

func TestUploadIsNotReadAhead(t *testing.T) {
	got := make(chan string)
	srv := count(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		buf := make([]byte, 5)
		for range 2 {
			if _, err := io.ReadFull(r.Body, buf); err != nil {
				return
			}
			got <- string(buf)
		}
	})
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())))
	in, out := io.Pipe()
	var wg sync.WaitGroup
	wg.Go(func() {
		resp, err := w.Client().Post("http://greeter/", "text/plain", in)
		if err != nil {
			t.Error(err)
			return
		}
		resp.Body.Close()
	})
	for _, part := range []string{"first", "again"} { // the first part arrives before the second is written
		io.WriteString(out, part)
		if s := <-got; s != part {
			t.Errorf("got %q, want %q", s, part)
		}
	}
	out.Close()
	wg.Wait()
}

// closer notes that it was closed.
type closer struct {
	io.Reader
	closed atomic.Int32
}

func (c *closer) Close() error { c.closed.Add(1); return nil }

func TestRequestIsNotChangedAndItsBodyIsClosedOnce(t *testing.T) {
	good, bad := count(t, answer(200)), count(t, answer(503))
	for name, addrs := range map[string][]string{
		"ok": {good.addr()}, "retried": {bad.addr(), good.addr()}, "refused": {bad.addr()}, "dead": {deadAddr(t)}, "no instances": nil,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWrapper(t, wrapper.WithRouter(instances(addrs...)))
			body := &closer{Reader: strings.NewReader("x")}
			r, _ := http.NewRequest("PUT", "http://greeter/path", body)
			r.Header.Set("X-Own", "1")
			header, url, ctx := maps.Clone(r.Header), *r.URL, r.Context()
			resp, err := w.Client().Transport.RoundTrip(r)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			if !maps.EqualFunc(r.Header, header, func(a, b []string) bool { return strings.Join(a, ",") == strings.Join(b, ",") }) || *r.URL != url ||
				r.Context() != ctx || r.Body != body {
				t.Errorf("the request was changed: %+v", r)
			}
			poll(t, "the body to be closed", func() bool { return body.closed.Load() == 1 })
		})
	}
}

func poll(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); {
		if time.Now().After(end) {
			t.Fatalf("waited 30 s for %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestAnswersOfFailedAttemptsAreClosed(t *testing.T) {
	bad, good := count(t, answer(503)), count(t, answer(200))
	var open atomic.Int32
	base := roundTripper(func(r *http.Request) (*http.Response, error) {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if err == nil {
			open.Add(1)
			resp.Body = &onClose{resp.Body, func() { open.Add(-1) }}
		}
		return resp, err
	})
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr(), good.addr())), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 1000}))
	c := &http.Client{Transport: w.Transport(base)}
	for range 50 {
		get(t, c, "http://greeter/")
	}
	if n := open.Load(); n != 0 {
		t.Errorf("%d answers were left open", n)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type onClose struct {
	io.ReadCloser
	f func()
}

func (c *onClose) Close() error { c.f(); return c.ReadCloser.Close() }

func TestLastAnswerIsReturnedAsItCame(t *testing.T) {
	bad := count(t, answer(503))
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())))
	resp, body := get(t, w.Client(), "http://greeter/")
	if resp.StatusCode != 503 || body != "Service Unavailable" || bad.hits.Load() != 3 {
		t.Errorf("got %d %q after %d attempts, want the third 503", resp.StatusCode, body, bad.hits.Load())
	}
}

func TestBudgetStopsAStormOfRetries(t *testing.T) {
	bad := count(t, answer(503))
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())), wrapper.WithRetry(wrapper.RetryPolicy{PerSecond: 0.001, Max: time.Millisecond}))
	for range 200 {
		get(t, w.Client(), "http://greeter/")
	}
	if n := bad.hits.Load(); n < 220 || n > 245 {
		t.Errorf("200 calls were sent %d times, want a fifth more", n)
	}
}

func TestServerCanForbidRetries(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"X-No-Retry": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(wrapper.HeaderNoRetry, "1")
			w.WriteHeader(503)
		},
		"429": answer(429),
		"late": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(503)
		},
		"500": answer(500), "404": answer(404),
	} {
		t.Run(name, func(t *testing.T) {
			srv := count(t, h)
			w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())))
			get(t, w.Client(), "http://greeter/")
			if n := srv.hits.Load(); n != 1 {
				t.Errorf("sent %d times, want once", n)
			}
		})
	}
}

func TestRetriesDoNotMultiplyOverHops(t *testing.T) {
	leaf := count(t, answer(503))
	inner := newWrapper(t, wrapper.WithRouter(instances(leaf.addr())))
	middle := count(t, inner.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q, _ := http.NewRequestWithContext(r.Context(), "GET", "http://leaf/", nil)
		resp, err := inner.Client().Do(q)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
	})).ServeHTTP)
	outer := newWrapper(t, wrapper.WithRouter(instances(middle.addr())))
	get(t, outer.Client(), "http://middle/")
	if m, l := middle.hits.Load(), leaf.hits.Load(); m != 1 || l != 3 {
		t.Errorf("the middle was called %d times and the leaf %d, want 1 and 3", m, l)
	}
}

func TestCallerThatGaveUpIsNotRetriedAndBlamesNobody(t *testing.T) {
	started := make(chan struct{}, 10)
	srv := count(t, func(w http.ResponseWriter, r *http.Request) { started <- struct{}{}; <-r.Context().Done() })
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(rec))
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-started; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
	if resp, err := w.Client().Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, %v", resp, err)
	}
	if c := rec.last(t); c.Class != router.Cancelled || c.Attempts != 1 {
		t.Errorf("recorded %+v, want one cancelled attempt", c)
	}
}

func TestAttemptTimeoutMovesOn(t *testing.T) {
	slow := count(t, func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	good := count(t, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		time.Sleep(300 * time.Millisecond) // the body may take longer than an attempt's timeout
		io.WriteString(w, "late")
	})
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(slow.addr(), good.addr())), wrapper.WithAttemptTimeout(200*time.Millisecond), wrapper.WithObserver(rec),
		wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 8, PerSecond: 1000}))
	if _, body := get(t, w.Client(), "http://greeter/"); body != "late" {
		t.Errorf("got %q", body)
	}
	if c := rec.last(t); c.Attempts < 2 || c.Class != router.OK { // on a busy machine the good one may be late too
		t.Errorf("recorded %+v", c)
	}
}

func TestDeadlineAndLabelsTravelToServicesAndNotToStrangers(t *testing.T) {
	headers := make(chan http.Header, 10)
	srv := count(t, func(w http.ResponseWriter, r *http.Request) { headers <- r.Header.Clone() })
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithClientTimeout(10*time.Second))
	ctx := wrapper.ContextWithLabels(t.Context(), map[string]string{"Canary": "yes"})
	for _, url := range []string{"http://greeter/", srv.URL} {
		r, _ := http.NewRequestWithContext(ctx, "GET", url, nil)
		resp, err := w.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	ours, strange := <-headers, <-headers
	if ours.Get("X-Micro-Label-Canary") != "yes" || ours.Get(wrapper.HeaderDeadline) == "" || ours.Get(wrapper.HeaderRequestID) == "" {
		t.Errorf("a service of ours got %v", ours)
	}
	if strange.Get("X-Micro-Label-Canary") != "" || strange.Get(wrapper.HeaderDeadline) != "" {
		t.Errorf("a stranger got %v", strange)
	}
}

func TestLabelsAndRequestIDPassThroughAService(t *testing.T) {
	headers := make(chan http.Header, 1)
	leaf := count(t, func(w http.ResponseWriter, r *http.Request) { headers <- r.Header.Clone() })
	w := newWrapper(t, wrapper.WithRouter(instances(leaf.addr())))
	h := w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		q, _ := http.NewRequestWithContext(r.Context(), "GET", "http://leaf/", nil)
		if resp, err := w.Client().Do(q); err == nil {
			resp.Body.Close()
		}
	}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Micro-Label-Zone", "blue")
	r.Header.Set(wrapper.HeaderRequestID, "abc")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if got := <-headers; got.Get("X-Micro-Label-Zone") != "blue" || got.Get(wrapper.HeaderRequestID) != "abc" {
		t.Errorf("the leaf got %v", got)
	}
}

func TestUpgradedAnswerCanBeWrittenTo(t *testing.T) {
	srv := count(t, func(w http.ResponseWriter, r *http.Request) {
		conn, rw, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		rw.Flush()
		line, _ := rw.ReadString('\n')
		rw.WriteString(line)
		rw.Flush()
	})
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())))
	r, _ := http.NewRequest("GET", "http://greeter/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	resp, err := w.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	rw, ok := resp.Body.(io.ReadWriteCloser)
	if !ok {
		t.Fatalf("the body is a %T, want one that can be written to", resp.Body)
	}
	io.WriteString(rw, "hello\n")
	if b, _ := io.ReadAll(rw); string(b) != "hello\n" {
		t.Errorf("got %q", b)
	}
}

func TestFanOutFromOneContextIsSafe(t *testing.T) {
	srv := count(t, answer(200))
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())))
	ctx := wrapper.ContextWithLabels(t.Context(), map[string]string{"a": "b"})
	shared, _ := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
	shared.Header.Set("X-Own", "1")
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			for range 50 {
				resp, err := w.Client().Do(shared)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	wg.Wait()
	if len(shared.Header) != 1 || srv.hits.Load() != 1000 {
		t.Errorf("headers %v after %d calls", shared.Header, srv.hits.Load())
	}
}

func TestIdleConnectionsCanBeClosed(t *testing.T) {
	w := newWrapper(t)
	var closed bool
	c := &http.Client{Transport: w.Transport(&idle{close: func() { closed = true }})}
	c.CloseIdleConnections()
	if !closed {
		t.Error("CloseIdleConnections was lost")
	}
}

type idle struct {
	http.RoundTripper
	close func()
}

func (i *idle) CloseIdleConnections() { i.close() }

func TestBodyThatBreaksOffIsAFailure(t *testing.T) {
	srv := count(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	})
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(rec))
	resp, err := w.Client().Get("http://greeter/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(resp.Body); err == nil {
		t.Error("half an answer looks whole")
	}
	resp.Body.Close()
	if c := rec.last(t); c.Class != router.Connect || c.Err == nil {
		t.Errorf("recorded %+v, want a broken connection", c)
	}
}
