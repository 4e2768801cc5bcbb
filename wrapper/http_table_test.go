package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// fromReader is a writer that reads by itself.
type fromReader struct{ *httptest.ResponseRecorder }

func (w fromReader) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseRecorder, r) }

// Whatever a handler answers with, it is dropped if its deadline is over by then.
func TestEveryWayToAnswerTooLate(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter) (int, error){
		"Write":       func(w http.ResponseWriter) (int, error) { return w.Write([]byte("ok")) },
		"WriteString": func(w http.ResponseWriter) (int, error) { return io.WriteString(w, "ok") },
		"ReadFrom": func(w http.ResponseWriter) (int, error) {
			n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("ok"))
			return int(n), err
		},
		"Flush":       func(w http.ResponseWriter) (int, error) { w.(http.Flusher).Flush(); return 0, nil },
		"WriteHeader": func(w http.ResponseWriter) (int, error) { w.WriteHeader(201); return 0, nil },
	} {
		for _, late := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				rec := newRecorder()
				w := newWrapper(t, wrapper.WithServerTimeout(time.Second), wrapper.WithObserver(rec))
				out := httptest.NewRecorder()
				wrote := func(n int, err error) {
					body := name != "Flush" && name != "WriteHeader"
					if late && body && (n != 0 || !errors.Is(err, http.ErrHandlerTimeout)) || !late && (err != nil || body && n != 2) {
						t.Errorf("%s, late %v: wrote %d, %v", name, late, n, err)
					}
				}
				w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
					rw.Header().Set("X-Own", "1")
					if late {
						time.Sleep(time.Second)
					}
					wrote(write(rw))
					if late {
						wrote(write(rw))
					}
				})).ServeHTTP(fromReader{out}, httptest.NewRequest("GET", "/", nil))
				want := map[bool]int{false: 200, true: 504}[late]
				if name == "WriteHeader" && !late {
					want = 201
				}
				call := rec.last(t)
				if out.Code != want || call.Status != want || call.Late != late || (out.Header().Get("X-Own") == "1") == late || strings.Contains(out.Body.String(), "ok") == late && name != "Flush" && name != "WriteHeader" {
					t.Errorf("%s, late %v: answered %d, %q, recorded %d, late %v", name, late, out.Code, out.Body, call.Status, call.Late)
				}
				if bytes := out.Body.Len(); !late && call.BytesOut != int64(bytes) {
					t.Errorf("%s: %d bytes of %d are recorded", name, call.BytesOut, bytes)
				}
			})
		}
	}
}

// laterError is a gate's own error that says when to come back.
type laterError struct{ error }

func (e laterError) Unwrap() error           { return e.error }
func (laterError) RetryAfter() time.Duration { return 1500 * time.Millisecond }

// What a refusal answers, by the gate's error and the caller's protocol.
func TestWhatARefusalAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		err   error
		code  int
		grpc  string
		retry string
	}{
		"path": {auth.ErrPath, 400, "3", ""}, "auth is unavailable": {auth.ErrUnavailable, 503, "14", ""}, "auth is closed": {auth.ErrClosed, 503, "14", ""}, "router is unavailable": {router.ErrUnavailable, 503, "14", ""}, "router is closed": {router.ErrClosed, 503, "14", ""},
		"unauthenticated": {auth.ErrUnauthenticated, 401, "16", ""}, "denied": {auth.ErrDenied, 403, "7", ""}, "limited": {router.ErrLimited, 429, "8", ""}, "deadline": {context.DeadlineExceeded, 504, "4", ""}, "canceled": {context.Canceled, 503, "14", ""},
		"its own": {errors.New("no"), 500, "13", ""}, "its own, and when": {laterError{router.ErrLimited}, 429, "8", "2"}, "a limit": {&limits.Error{After: time.Second}, 429, "8", "1"},
		"of the kind alone": {net.ErrClosed, 500, "13", ""},
	} {
		for _, kind := range []string{"", "application/grpc", "application/connect+json", "connect"} {
			r := httptest.NewRequest("POST", "/a.B/C", nil)
			if strings.HasPrefix(kind, "application/") {
				r.Header.Set("Content-Type", kind)
			} else if kind != "" {
				r.Header.Set("Connect-Protocol-Version", "1")
			}
			rec := newRecorder()
			w := newWrapper(t, wrapper.WithObserver(rec), wrapper.WithLoadReport(), wrapper.WithGate(enterFunc(func(ctx context.Context) (context.Context, error) { return ctx, c.err })))
			out := httptest.NewRecorder()
			w.Handler(http.NotFoundHandler()).ServeHTTP(out, r)
			code := c.code
			if strings.HasPrefix(kind, "application/") {
				code = 200
			}
			h := out.Header()
			if out.Code != code || rec.last(t).Status != code || h.Get("Retry-After") != c.retry || (h.Get("WWW-Authenticate") != "") != (c.code == 401) || h.Get(wrapper.HeaderLoad) == "" || h.Get(wrapper.HeaderRequestID) == "" {
				t.Errorf("%s, %q: %d, %v; want %d, Retry-After %q", name, kind, out.Code, h, code, c.retry)
			}
			if got := h.Get("Grpc-Status"); kind == "application/grpc" && got != c.grpc || kind != "application/grpc" && got != "" {
				t.Errorf("%s, %q: grpc-status %q, want %s", name, kind, got, c.grpc)
			}
			if got := wrapper.StatusOf(c.err); got != c.code {
				t.Errorf("%s: the status is %d, want %d", name, got, c.code)
			}
			says := kind
			switch kind {
			case "":
				says = "text/plain; charset=utf-8"
			case "connect":
				says = "application/json"
			}
			if got := h.Get("Content-Type"); got != says {
				t.Errorf("%s, %q: answered as %q, want %q", name, kind, got, says)
			}
			if body := out.Body.String(); strings.Contains(body, `"code":`) != strings.Contains(kind, "connect") {
				t.Errorf("%s, %q: %q", name, kind, body)
			}
		}
	}
}

// Probes pass the gates, and nothing that only looks like one.
func TestProbesPassTheGates(t *testing.T) {
	for target, want := range map[string]bool{
		"GET /livez": true, "HEAD /livez": true, "GET /readyz": true, "GET /startupz": true, "GET /healthz": true, "POST /livez": false, "PUT /readyz": false, "GET /livez/": false, "GET /": false, "GET /x/livez": false, "OPTIONS /livez": false,
	} {
		method, path, _ := strings.Cut(target, " ")
		none := limitRefuse{}
		for name, opts := range map[string][]wrapper.Option{"limit": {wrapper.WithLimit(none)}, "policy": {wrapper.WithPolicies(wrapper.Policy{Inbound: true, Limit: &wrapper.Limit{PerSecond: 1e-9, Burst: 1}})}} {
			w := newWrapper(t, opts...)
			var out *httptest.ResponseRecorder
			for range 2 {
				out = httptest.NewRecorder()
				w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(204) })).ServeHTTP(out, httptest.NewRequest(method, path, nil))
			}
			if got := out.Code == 204; got != want {
				t.Errorf("%s, by %s: %d, want it let through: %v", target, name, out.Code, want)
			}
		}
	}
}

// What streams is not bounded by the server, but by a deadline of its caller's.
func TestWhatIsNotBoundedByTheServer(t *testing.T) {
	for header, bounded := range map[string]bool{
		"": true, "Accept: text/html": true, "Accept: text/event-stream": false, "Accept: text/html, text/event-stream": false, "Upgrade: websocket": false,
		"Content-Type: application/json": true, "Content-Type: application/grpc": false, "Content-Type: application/grpc+proto": false, "Content-Type: application/connect+json": false, "Content-Type: application/connect": true,
	} {
		for _, own := range []bool{false, true} {
			w := newWrapper(t, wrapper.WithServerTimeout(time.Minute))
			r := httptest.NewRequest("POST", "/", nil)
			if k, v, ok := strings.Cut(header, ": "); ok {
				r.Header.Set(k, v)
			}
			if own {
				r.Header.Set(wrapper.HeaderDeadline, "300000")
			}
			var left time.Duration
			w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if end, ok := r.Context().Deadline(); ok {
					left = time.Until(end)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
			want := time.Duration(0)
			if bounded {
				want = time.Minute
			} else if own {
				want = 5 * time.Minute
			}
			if left > want || left < want-10*time.Second {
				t.Errorf("%q, with a deadline %v: %v left, want %v", header, own, left, want)
			}
		}
	}
}

// A late call is sent to a second instance too, unless it must not be, or need not.
func TestWhenALateCallIsSentBeside(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name, method string
		known        int // answers before
		policy       wrapper.RetryPolicy
		opts         []wrapper.Option
		instances    []string
		deadline     time.Duration
		want         time.Duration // when; 0: never
	}{
		{name: "after a second", known: 20, want: s}, {name: "of too few it is not known what is late", known: 19}, {name: "not idempotent", method: "POST", known: 20}, {name: "never", known: 20, policy: wrapper.RetryPolicy{Late: -1}},
		{name: "sooner", known: 20, policy: wrapper.RetryPolicy{Late: s / 2}, want: s / 2}, {name: "three times what is usual", known: 20, policy: wrapper.RetryPolicy{Late: 1}, want: 300 * time.Millisecond},
		{name: "half of what is left", known: 20, deadline: s, want: s / 2}, {name: "only one attempt", known: 20, policy: wrapper.RetryPolicy{Attempts: 1}}, {name: "attempts have a timeout", known: 20, opts: []wrapper.Option{wrapper.WithAttemptTimeout(time.Minute)}},
		{name: "no other instance", known: 20, instances: []string{"a:80"}}, {name: "no budget", known: 20, policy: wrapper.RetryPolicy{PerSecond: 1e-9, Ratio: 1e-9}},
	} {
		synctest.Test(t, func(t *testing.T) {
			if c.instances == nil {
				c.instances = []string{"a:80", "b:80"}
			}
			rec := newRecorder()
			w := newWrapper(t, append(c.opts, wrapper.WithRouter(instances(c.instances...)), wrapper.WithRetry(c.policy), wrapper.WithObserver(rec))...)
			var began time.Time
			var sent, second atomic.Int64
			slow := false
			client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				n := sent.Add(1)
				switch {
				case !slow:
					time.Sleep(100 * time.Millisecond)
				case n == 1:
					time.Sleep(900 * time.Millisecond)
					if c.deadline == 0 {
						time.Sleep(9 * s)
					}
				default:
					second.Store(int64(time.Since(began)))
					time.Sleep(2 * s) // it is no faster: the first one counts, or is beaten later
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}))}
			for range c.known {
				get(t, client, "http://greeter/")
				rec.last(t)
			}
			slow, began = true, time.Now()
			sent.Store(0)
			method := "GET"
			if c.method != "" {
				method = c.method
			}
			ctx := t.Context()
			if c.deadline > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.deadline)
				defer cancel()
			}
			r, err := http.NewRequestWithContext(ctx, method, "http://greeter/", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			resp.Body.Close()
			attempts := 1
			if c.want > 0 {
				attempts = 2
			}
			if call, after := rec.last(t), time.Duration(second.Load()); after != c.want || int(sent.Load()) != attempts || call.Attempts != attempts {
				t.Errorf("%s: the second was sent after %v, %d in all, %d recorded; want %v", c.name, after, sent.Load(), call.Attempts, c.want)
			}
			w.Close(context.Background())
		})
	}
}

// An answer's context ends with the answer.
func TestContextOfAnAnswerEndsWithIt(t *testing.T) {
	for _, opts := range [][]wrapper.Option{nil, {wrapper.WithClientTimeout(time.Hour)}, {wrapper.WithAttemptTimeout(time.Hour)}} {
		var sent context.Context
		w := newWrapper(t, opts...)
		client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Context()
			sent.Done()
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("ok")), Request: r}, nil
		}))}
		resp, err := client.Get("http://greeter/")
		if err != nil {
			t.Fatal(err)
		}
		if sent.Err() != nil {
			t.Errorf("before the answer was read: %v", sent.Err())
		}
		resp.Body.Close()
		if sent.Err() == nil {
			t.Error("after it was closed its context goes on")
		}
	}
}

// A timeout of ours is one for whoever asks.
func TestTimeoutsAreTimeouts(t *testing.T) {
	for _, opts := range [][]wrapper.Option{{wrapper.WithAttemptTimeout(time.Second)}, nil} {
		synctest.Test(t, func(t *testing.T) {
			w := newWrapper(t, append(opts, wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))...)
			r, err := http.NewRequestWithContext(t.Context(), "GET", "http://greeter/", nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) { <-r.Context().Done(); return nil, r.Context().Err() })).RoundTrip(r)
			var timeout net.Error
			if !errors.As(err, &timeout) && !isTimeout(err) || errors.Unwrap(err) == nil || !strings.Contains(err.Error(), "no answer within") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// A body that can't be made again is its caller's fault, and the end.
func TestBodyThatFailsToBeMadeAgain(t *testing.T) {
	rec, sent := newRecorder(), 0
	w := newWrapper(t, wrapper.WithRouter(instances("a:80", "b:80")), wrapper.WithObserver(rec), wrapper.WithRetry(wrapper.RetryPolicy{Min: 1, Max: 1}))
	r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://greeter/", strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("no such file")
	r.GetBody = func() (io.ReadCloser, error) { return nil, broken }
	_, err = w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
		sent++
		return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	})).RoundTrip(r)
	if call := rec.last(t); !errors.Is(err, broken) || sent != 1 || call.Class != router.ClientError {
		t.Errorf("got %v after it was sent %d times, recorded %v", err, sent, call.Class)
	}
}

// Between deregistering and refusing work Close waits, if there is a registration.
func TestHowLongCloseDrains(t *testing.T) {
	for _, c := range []struct {
		name string
		opts []wrapper.Option
		want time.Duration
	}{
		{"nothing is registered", nil, 0}, {"something is", []wrapper.Option{wrapper.WithRegistration(entry{service: "orders"})}, time.Second},
		{"as long as it says", []wrapper.Option{wrapper.WithRegistration(entry{service: "orders"}), wrapper.WithDrain(3 * time.Second)}, 3 * time.Second}, {"without a registration", []wrapper.Option{wrapper.WithDrain(3 * time.Second)}, 3 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			w, err := wrapper.New(append(c.opts, wrapper.WithName("orders"))...)
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			if err := w.Close(t.Context()); err != nil || time.Since(began) != c.want {
				t.Errorf("%s: %v after %v, want %v", c.name, err, time.Since(began), c.want)
			}
			if err := w.Close(t.Context()); err != nil || time.Since(began) != c.want {
				t.Errorf("%s, again: %v after %v", c.name, err, time.Since(began))
			}
		})
	}
}

// phases is a monitor that says what a test tells it.
type phases struct {
	monitor.Monitor
	ready chan bool
}

func (p phases) Watch(ctx context.Context) iter.Seq[monitor.Status] {
	return func(yield func(monitor.Status) bool) {
		for {
			select {
			case <-ctx.Done():
				return
			case ready := <-p.ready:
				if !yield(monitor.Status{Ready: ready}) {
					return
				}
			}
		}
	}
}
func (phases) Identify(monitor.Instance)   {}
func (phases) SetPhase(monitor.Phase)      {}
func (phases) Close(context.Context) error { return nil }

// listed is a registration whose status can be seen, and set by the program.
type listed struct {
	discovery.Registration
	mu      sync.Mutex
	in      discovery.Instance
	updates int
}

func (r *listed) Instance() discovery.Instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.in
}
func (r *listed) Update(_ context.Context, f func(*discovery.Instance)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.updates++
	f(&r.in)
	return nil
}
func (*listed) Deregister(context.Context) error { return nil }
func (*listed) Err() error                       { return nil }

// A registration's status follows readiness, and what the program sets itself comes
// back with it.
func TestStatusFollowsReadiness(t *testing.T) {
	const up, starting, draining, down = discovery.Up, discovery.Starting, discovery.Draining, discovery.Down
	type step struct {
		ready   string // "y", "n", or the program sets a status
		sets    discovery.Status
		want    discovery.Status
		updates int // by then
	}
	for name, steps := range map[string][]step{
		"it comes up":      {{"n", 0, starting, 1}, {"n", 0, starting, 1}, {"y", 0, up, 2}, {"y", 0, up, 2}, {"n", 0, draining, 3}, {"y", 0, up, 4}},
		"it is up at once": {{"y", 0, up, 0}, {"n", 0, draining, 1}, {"n", 0, draining, 1}},
		"it sets itself":   {{"y", 0, up, 0}, {"set", down, down, 1}, {"y", 0, down, 1}, {"n", 0, draining, 2}, {"y", 0, down, 3}, {"set", up, up, 4}, {"n", 0, draining, 5}, {"y", 0, up, 6}},
	} {
		synctest.Test(t, func(t *testing.T) {
			m, r := phases{ready: make(chan bool)}, &listed{in: discovery.Instance{Service: "orders"}}
			w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMonitor(m), wrapper.WithRegistration(r), wrapper.WithDrain(1))
			if err != nil {
				t.Fatal(err)
			}
			for i, s := range steps {
				if s.ready == "set" {
					r.Update(t.Context(), func(in *discovery.Instance) { in.Status = s.sets })
				} else {
					m.ready <- s.ready == "y"
				}
				synctest.Wait()
				if got := r.Instance().Status; got != s.want || r.updates != s.updates {
					t.Errorf("%s, step %d: %v after %d updates, want %v after %d", name, i+1, got, r.updates, s.want, s.updates)
				}
			}
			w.Close(t.Context())
		})
	}
}

// A report of load is read up to 128 bytes and a thousand million.
func TestLimitsOfALoadReport(t *testing.T) {
	for in, want := range map[string]float64{
		"inflight=1000000000": 1e9, "inflight=1000000001": -1, "inflight=0": 0, "inflight=-0.1": -1,
		"inflight=1" + strings.Repeat(";", 118): 1, "inflight=1" + strings.Repeat(";", 119): -1, "inflight=x;inflight=2": 2, "inflight=1;util=x": 1,
	} {
		got := wrapper.ParseLoad(in)
		if got.Reported != (want >= 0) || got.InFlight != max(want, 0) {
			t.Errorf("%d bytes %q: %+v, want %v", len(in), in, got, want)
		}
	}
	for code, want := range map[uint32]router.Class{0: router.OK, 1: router.Cancelled, 2: router.ServerError, 3: router.ClientError, 4: router.Timeout, 5: router.ClientError, 7: router.ClientError, 8: router.Overload, 12: router.ServerError, 13: router.ServerError, 14: router.Overload, 15: router.ServerError, 16: router.ClientError, 17: router.ServerError} {
		if got := wrapper.ClassOfCode(code); got != want {
			t.Errorf("code %d is %v, want %v", code, got, want)
		}
	}
	_, err := wrapper.Probe(nil, "::")(t.Context(), &discovery.Instance{Address: "a"})
	if err == nil || !strings.Contains(fmt.Sprint(err), "parse") {
		t.Errorf("a scheme that is none: %v", err)
	}
}
