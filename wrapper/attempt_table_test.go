package wrapper_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// adds is an observer that adds headers to each attempt.
type adds struct{ names []string }

func (a adds) Begin(ctx context.Context, _ *wrapper.Call) context.Context { return ctx }
func (a adds) End(context.Context, *wrapper.Call)                         {}
func (a adds) BeginAttempt(ctx context.Context, at *wrapper.Attempt) context.Context {
	for _, name := range a.names {
		at.Header.Set(name, "overwritten")
		at.Header.Set(name, fmt.Sprint(name, at.Number))
	}
	return ctx
}
func (a adds) EndAttempt(context.Context, *wrapper.Attempt) {}

// However many headers observers add to an attempt, it has them all beside ours, and
// the caller's request and the attempt before have none of them.
func TestHeadersOfEachAttempt(t *testing.T) {
	names := []string{"X-One", "x-two", "X-Three", "X-Four", "X-Five"}
	for n := range len(names) + 1 {
		var sent []http.Header
		w := newWrapper(t, wrapper.WithObserver(adds{names[:n]}), wrapper.WithRouter(instances("a:80")), wrapper.WithRetry(wrapper.RetryPolicy{Min: 1, Max: 1}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("X-Own", "1")
		resp, err := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = append(sent, r.Header)
			return &http.Response{StatusCode: 503, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if len(r.Header) != 1 || len(sent) != 3 {
			t.Fatalf("%d headers: sent %d times, the caller's request has %v", n, len(sent), r.Header)
		}
		for i, h := range sent {
			want := map[string]string{"X-Own": "1"}
			for _, name := range names[:n] {
				want[http.CanonicalHeaderKey(name)] = fmt.Sprint(name, i+1)
			}
			if i > 0 {
				want["X-Attempt"] = fmt.Sprint(i + 1)
			}
			got := map[string]string{}
			for k, v := range h {
				if len(v) == 1 && k != "X-Request-Id" && k != "X-Deadline-Ms" {
					got[k] = v[0]
				}
			}
			if !maps.Equal(got, want) || h.Get("X-Request-Id") == "" || h.Get("X-Deadline-Ms") == "" || len(h) != len(want)+2 {
				t.Errorf("%d headers: attempt %d has %v, want %v, an id and a deadline", n, i+1, h, want)
			}
		}
	}
}

// What a service gets to know of the deadline: a twentieth less than is left, and never
// less than nothing.
func TestDeadlineThatIsSent(t *testing.T) {
	for _, c := range []struct {
		left time.Duration
		url  string
		want string
	}{{20 * time.Second, "http://greeter/", "19000"}, {time.Millisecond, "http://greeter/", "0"}, {20 * time.Second, "http://greeter.example/", ""}, {0, "http://greeter/", ""}} {
		synctest.Test(t, func(t *testing.T) {
			ctx := t.Context()
			if c.left > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, c.left)
				defer cancel()
			}
			r, err := http.NewRequestWithContext(ctx, "GET", c.url, nil)
			if err != nil {
				t.Fatal(err)
			}
			base := &answers{}
			got := ""
			resp, err := newWrapper(t).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				got = r.Header.Get(wrapper.HeaderDeadline)
				return base.RoundTrip(r)
			})).RoundTrip(r)
			if err != nil || got != c.want {
				t.Errorf("%v left to %s: sent %q, %v, want %q", c.left, c.url, got, err, c.want)
			}
			resp.Body.Close()
		})
	}
}

// A caller's own hooks of httptrace are called beside ours.
func TestCallersHooksAreCalledToo(t *testing.T) {
	srv := count(t, answer(200))
	for _, own := range []bool{false, true} {
		seen := make(attempts, 10)
		w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(seen))
		ctx := t.Context()
		var asked, got atomic.Int64
		if own {
			ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GetConn: func(string) { asked.Add(1) }, GotConn: func(httptrace.GotConnInfo) { got.Add(1) }})
		}
		r, err := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		want := map[bool]int64{true: 1}[own]
		if a := <-seen; a.Connecting <= 0 || a.Connecting > a.Latency || asked.Load() != want || got.Load() != want {
			t.Errorf("with hooks %v: %v of %v to connect, their hooks called %d and %d times, want %d", own, a.Connecting, a.Latency, asked.Load(), got.Load(), want)
		}
	}
}

// A transport may read a request's body on, after it has the answer.
func TestABodyMayBeReadAfterTheAnswer(t *testing.T) {
	const text = "some text that is sent slowly"
	for name, c := range map[string]struct {
		read   int  // before the answer
		closed bool // as well
		all    bool // what comes after is read
	}{"unread": {0, false, true}, "read in part": {4, false, true}, "closed before": {4, true, false}, "unread, closed before": {0, true, false}} {
		src := &closer{Reader: strings.NewReader(text)}
		var sent io.ReadCloser
		var got bytes.Buffer
		client := newWrapper(t).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r.Body
			io.CopyN(&got, sent, int64(c.read))
			if c.closed {
				sent.Close()
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://greeter/", src)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := client.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if n := src.closed.Load(); (n == 1) != c.closed {
			t.Errorf("%s: closed %d times when the answer is there", name, n)
		}
		_, err = io.Copy(&got, sent)
		sent.Close()
		sent.Close()
		if (got.String() == text) != c.all || (err == nil) != c.all || src.closed.Load() != 1 {
			t.Errorf("%s: %q, %v, closed %d times", name, got.String(), err, src.closed.Load())
		}
	}
}

// proves is an Auth whose proofs fail from one on.
type proves struct {
	auth.Auth
	left int
}

func (p *proves) Prove(method, url string, token auth.Secret, nonce string) (auth.Secret, error) {
	p.left--
	if p.left < 0 {
		return "", errors.New("the key is gone")
	}
	return p.Auth.(interface {
		Prove(method, url string, token auth.Secret, nonce string) (auth.Secret, error)
	}).Prove(method, url, token, nonce)
}

// Where a call can't be sent again with the nonce that is wanted, its first answer is
// the answer, whole.
func TestAnAnswerWhoseNonceCannotBeUsed(t *testing.T) {
	authority := authtest.NewBound(t)
	for name, c := range map[string]struct {
		proofs  int
		getBody error
		sent    int
		want    int
	}{"it can": {2, nil, 2, 200}, "no second proof": {1, nil, 1, 401}, "no second body": {2, errors.New("no such file"), 1, 401}} {
		rec := newRecorder()
		w := newWrapper(t, wrapper.WithAuth(&proves{authority.Auth(t, "shop"), c.proofs}), wrapper.WithRouter(instances("a:80")), wrapper.WithObserver(rec))
		sent, closed := 0, 0
		r, err := http.NewRequestWithContext(t.Context(), "PUT", "http://greeter/", strings.NewReader("b"))
		if err != nil {
			t.Fatal(err)
		}
		if c.getBody != nil {
			r.GetBody = func() (io.ReadCloser, error) { return nil, c.getBody }
		}
		resp, err := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent++
			r.Body.Close()
			h := http.Header{}
			code := 200
			if sent == 1 {
				code = 401
				h.Set("DPoP-Nonce", "n")
				h.Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
			}
			return &http.Response{StatusCode: code, Header: h, Body: &onClose{io.NopCloser(strings.NewReader("text")), func() { closed++ }}, Request: r}, nil
		})).RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		call := rec.last(t)
		if resp.StatusCode != c.want || string(body) != "text" || err != nil || sent != c.sent || closed != c.sent || call.Attempts != 1 || call.Status != c.want || call.Err != nil {
			t.Errorf("%s: %d %q, %v, sent %d times, %d answers closed, recorded %d after %d attempts, %v", name, resp.StatusCode, body, err, sent, closed, call.Status, call.Attempts, call.Err)
		}
	}
}

// An answer that is not returned is closed, and a short one is read to its end first.
func TestWhatIsReadOfAnAnswerThatIsNotReturned(t *testing.T) {
	for _, c := range []struct{ length, want int64 }{{0, 0}, {1, 1}, {4096, 4096}, {4097, 0}, {-1, 0}} {
		w := newWrapper(t, wrapper.WithRouter(instances("a:80", "b:80")), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 2, Min: 1, Max: 1}))
		sent, closed := 0, 0
		text := strings.NewReader(strings.Repeat("x", 5000))
		if c.length >= 0 {
			text = strings.NewReader(strings.Repeat("x", int(c.length)))
		}
		before := int64(text.Len())
		client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent++
			if sent == 1 {
				return &http.Response{StatusCode: 503, Header: http.Header{}, ContentLength: c.length, Body: &onClose{io.NopCloser(text), func() { closed++ }}, Request: r}, nil
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))}
		get(t, client, "http://greeter/")
		if read := before - int64(text.Len()); sent != 2 || closed != 1 || read != c.want {
			t.Errorf("of %d bytes %d were read, closed %d times, want %d", c.length, read, closed, c.want)
		}
	}
}

// A call ends with its answer's body: at its end, when it breaks or is closed, and at
// once without one.
func TestWhenACallEnds(t *testing.T) {
	broke := errors.New("cable cut")
	for name, c := range map[string]struct {
		body  io.ReadCloser
		reads bool
		open  bool // after the answer
		after bool // after reading
		class router.Class
	}{
		"no body": {nil, false, false, false, router.OK}, "an empty one": {http.NoBody, false, false, false, router.OK}, "read to its end": {io.NopCloser(strings.NewReader("x")), true, true, false, router.OK},
		"closed": {io.NopCloser(strings.NewReader("x")), false, true, true, router.OK}, "broken": {io.NopCloser(&broken{strings.NewReader("x"), broke}), true, true, false, router.Connect},
		"too slow": {io.NopCloser(&broken{strings.NewReader("x"), context.DeadlineExceeded}), true, true, false, router.Timeout}, "given up": {io.NopCloser(&broken{strings.NewReader("x"), context.Canceled}), true, true, false, router.Cancelled},
	} {
		rec := newRecorder()
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://greeter/", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newWrapper(t, wrapper.WithObserver(rec)).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: c.body, Request: r}, nil
		})).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if open := len(rec.ended) == 0; open != c.open || resp.Request != r {
			t.Errorf("%s: open %v when the answer is there, want %v", name, open, c.open)
		}
		if c.reads {
			io.ReadAll(resp.Body)
		}
		if open := len(rec.ended) == 0; open != c.after {
			t.Errorf("%s: open %v after reading, want %v", name, open, c.after)
		}
		if resp.Body != nil {
			resp.Body.Close()
		}
		if call := rec.last(t); call.Class != c.class || len(rec.ended) != 0 {
			t.Errorf("%s: recorded %v, and %d more times, want %v once", name, call.Class, len(rec.ended), c.class)
		}
	}
}

// unroutable is a router that finds nobody.
type unroutable struct {
	router.Router
	err error
}

func (r unroutable) Pick(context.Context, string, ...router.SelectOption) (router.Pick, error) {
	return router.Pick{}, r.err
}
func (unroutable) Close(context.Context) error { return nil }

// The class of a call that was not sent, and of one that broke, by the error and by
// whether the caller waits.
func TestClassesOfErrors(t *testing.T) {
	other := errors.New("other")
	for _, c := range []struct {
		err            error
		unsent, broken router.Class
	}{
		{other, router.Unsent, router.Connect}, {router.ErrLimited, router.Overload, router.Connect}, {router.ErrUnavailable, router.Unsent, router.Connect}, {router.ErrNoInstances, router.Unsent, router.Connect},
		{router.ErrInvalid, router.ClientError, router.Connect}, {auth.ErrUnavailable, router.Unsent, router.Connect}, {auth.ErrUnauthenticated, router.ClientError, router.Connect}, {auth.ErrDenied, router.ClientError, router.Connect},
		{auth.ErrInvalid, router.ClientError, router.Connect}, {context.Canceled, router.Cancelled, router.Cancelled}, {context.DeadlineExceeded, router.Timeout, router.Timeout}, {timeoutError{}, router.Unsent, router.Timeout},
	} {
		for _, waits := range []bool{true, false} {
			for _, sent := range []bool{false, true} {
				rec := newRecorder()
				opts := []wrapper.Option{wrapper.WithObserver(rec), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1})}
				if !sent {
					opts = append(opts, wrapper.WithRouter(unroutable{err: c.err}))
				}
				ctx, leave := context.WithCancel(t.Context())
				if !waits {
					leave()
				}
				r, err := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
				if err != nil {
					t.Fatal(err)
				}
				_, err = newWrapper(t, opts...).Transport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, c.err })).RoundTrip(r)
				leave()
				want := map[bool]router.Class{false: c.unsent, true: c.broken}[sent]
				if !waits {
					want = router.Cancelled
				}
				if call := rec.last(t); !errors.Is(err, c.err) || call.Class != want || (call.Attempts == 1) != sent {
					t.Errorf("%v, sent %v, the caller waits %v: %v, recorded %v after %d attempts, want %v", c.err, sent, waits, err, call.Class, call.Attempts, want)
				}
			}
		}
	}
}

type timeoutError struct{}

func (timeoutError) Error() string { return "slow" }
func (timeoutError) Timeout() bool { return true }

// The wait before the next attempt doubles up to its bound, and is anything up to it.
func TestWaitBeforeARetry(t *testing.T) {
	for _, c := range []struct {
		min, max time.Duration
		after    int
		want     time.Duration
	}{
		{0, 0, 1, 10 * time.Millisecond}, {0, 0, 2, 20 * time.Millisecond}, {0, 0, 7, 640 * time.Millisecond}, {0, 0, 8, time.Second}, {0, 0, 99, time.Second}, {1, time.Second, 20, 1 << 19}, {1, time.Second, 21, time.Second},
		{time.Second, time.Millisecond, 1, time.Millisecond}, {time.Second, time.Second, 1, time.Second},
	} {
		w := newWrapper(t, wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 100, Min: c.min, Max: c.max, PerSecond: 1e6}))
		one := &wrapper.Call{Side: wrapper.Client, Service: "greeter"}
		least, most := time.Duration(math.MaxInt64), time.Duration(0)
		for range 300 {
			wait, ok := w.Adapter().Again(t.Context(), one, router.Unsent, c.after, true, 0)
			if !ok {
				t.Fatalf("after %d: not again", c.after)
			}
			least, most = min(least, wait), max(most, wait)
		}
		if most > c.want || most < c.want/2 || least > c.want/2 {
			t.Errorf("from %v to %v, after attempt %d: waits from %v to %v, want up to %v", c.min, c.max, c.after, least, most, c.want)
		}
	}
}

// What an answer of ours tells its caller of retries that were spent on its behalf.
func TestSpentRetriesAreTold(t *testing.T) {
	for _, kind := range []string{"", "application/grpc", "application/connect+json", "connect"} {
		for _, spent := range []bool{false, true} {
			for name, end := range map[string]func(http.ResponseWriter){"panics": func(http.ResponseWriter) { panic("boom") }, "fails": func(w http.ResponseWriter) { w.WriteHeader(503) }, "answers": func(w http.ResponseWriter) { w.WriteHeader(200) }} {
				r := httptest.NewRequest("POST", "/a.B/C", nil)
				if strings.HasPrefix(kind, "application/") {
					r.Header.Set("Content-Type", kind)
				} else if kind != "" {
					r.Header.Set("Connect-Protocol-Version", "1")
				}
				w := newWrapper(t, wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 2, Min: 1, Max: 1}))
				further := &http.Client{Transport: w.Transport(&answers{code: 503, headers: []http.Header{{}, {}}})}
				out := httptest.NewRecorder()
				w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
					if spent {
						q, _ := http.NewRequestWithContext(r.Context(), "GET", "http://greeter/", nil)
						if resp, err := further.Do(q); err == nil {
							resp.Body.Close()
						}
					}
					end(rw)
				})).ServeHTTP(out, r)
				want := spent && name != "answers"
				if told := out.Header()[wrapper.HeaderNoRetry] != nil; told != want {
					t.Errorf("%q, retries spent %v, a handler that %s: told %v, want %v", kind, spent, name, told, want)
				}
			}
		}
	}
}

// A caller that can read an error of Connect is told by its request, whichever way it
// is sent.
func TestWhoReadsErrorsOfConnect(t *testing.T) {
	for target, want := range map[string]bool{"GET /a.B/C?connect=v1": true, "GET /a.B/C?x=1&connect=v1": true, "GET /a.B/C": false, "POST /a.B/C?connect=v1": false, "GET /a.B/C?connect=v2": false} {
		method, url, _ := strings.Cut(target, " ")
		out := httptest.NewRecorder()
		newWrapper(t, wrapper.WithLimit(limitRefuse{})).Handler(http.NotFoundHandler()).ServeHTTP(out, httptest.NewRequest(method, url, nil))
		body := out.Body.String()
		if out.Code != 429 || strings.Contains(body, `"code":"resource_exhausted"`) != want || (out.Header().Get("Content-Type") == "application/json") != want {
			t.Errorf("%s: %d %q, %v; want an error of Connect's: %v", target, out.Code, body, out.Header(), want)
		}
	}
}

// fails is a body whose Read fails, in one way before it is closed and in another after.
type fails struct{ closed atomic.Bool }

func (f *fails) Read([]byte) (int, error) {
	if f.closed.Load() {
		return 0, errors.New("closed")
	}
	return 0, errors.New("broken")
}
func (f *fails) Close() error { f.closed.Store(true); return nil }

// A body that breaks is its caller's fault; that it can't be read once the transport
// has closed it is nobody's.
func TestWhoseFaultABodyIs(t *testing.T) {
	for name, c := range map[string]struct {
		reads, closes, late bool
		want                router.Class
	}{"not read": {want: router.Connect}, "broken": {reads: true, want: router.ClientError}, "broken, then closed": {reads: true, closes: true, want: router.ClientError}, "read when it is closed": {closes: true, late: true, want: router.Connect}} {
		for _, getBody := range []bool{false, true} {
			rec := newRecorder()
			r, err := http.NewRequestWithContext(t.Context(), "POST", "http://greeter/", &fails{})
			if err != nil {
				t.Fatal(err)
			}
			if getBody {
				r.GetBody = func() (io.ReadCloser, error) { return &fails{}, nil }
			}
			_, err = newWrapper(t, wrapper.WithObserver(rec), wrapper.WithRouter(instances("a:80"))).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				if c.reads {
					io.ReadAll(r.Body)
				}
				if c.closes {
					r.Body.Close()
				}
				if c.late {
					io.ReadAll(r.Body)
				}
				return nil, errors.New("cable cut")
			})).RoundTrip(r)
			if call := rec.last(t); err == nil || call.Class != c.want {
				t.Errorf("%s, made again %v: %v, recorded %v, want %v", name, getBody, err, call.Class, c.want)
			}
		}
	}
}

// The service that is called is named by WithServices, and what is none by its host.
func TestNamesOfServices(t *testing.T) {
	tells := func(name string, ok bool) []wrapper.Option {
		return []wrapper.Option{wrapper.WithServices(func(*http.Request) (string, bool) { return name, ok })}
	}
	for _, c := range []struct {
		opts      []wrapper.Option
		url, name string
		routed    bool
	}{
		{nil, "http://greeter/", "greeter", true}, {nil, "http://greeter:80/", "greeter:80", false}, {nil, "http://greeter.example/", "greeter.example", false}, {nil, "http://localhost/", "localhost", false},
		{tells("shop", true), "http://greeter.example/", "shop", true}, {tells("shop", false), "http://greeter/", "greeter", false},
	} {
		rec, to := newRecorder(), ""
		client := &http.Client{Transport: newWrapper(t, append(c.opts, wrapper.WithRouter(instances("a:80")), wrapper.WithObserver(rec))...).Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			to = r.URL.Host
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))}
		get(t, client, c.url)
		if call := rec.last(t); call.Service != c.name || (to == "a:80") != c.routed || (call.Instance != nil) != c.routed {
			t.Errorf("%s is %q, sent to %s, want %q, routed %v", c.url, call.Service, to, c.name, c.routed)
		}
	}
}
