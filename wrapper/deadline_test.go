package wrapper_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// ask sends a request with a deadline of so many milliseconds.
func ask(t *testing.T, c *http.Client, url, deadline string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if deadline != "" {
		r.Header.Set("X-Deadline-Ms", deadline)
	}
	resp, err := c.Do(r)
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

// A handler that gives up at its deadline without a word must not look as if
// all were well: not to the caller, not in metrics, not to the router.
func TestHandlerWithoutAnAnswerAtItsDeadlineIsATimeout(t *testing.T) {
	handlers := map[string]http.HandlerFunc{
		"silent":       func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"writes late":  func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); io.WriteString(w, "late") },
		"status late":  func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); w.WriteHeader(201) },
		"error late":   func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); http.Error(w, "canceled", 500) },
		"flushes late": func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done(); w.(http.Flusher).Flush() },
		"headers before": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			<-r.Context().Done()
		},
		"copies late": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			io.Copy(w, strings.NewReader("late"))
		},
		"reads a stream late": func(w http.ResponseWriter, r *http.Request) {
			<-r.Context().Done()
			n, err := io.Copy(w, io.LimitReader(strings.NewReader("late"), 4)) // by ReadFrom, if there is one
			if n != 0 || err == nil {
				panic("the handler was not told")
			}
		},
	}
	versions(t, func(t *testing.T, h2 bool) {
		for name, h := range handlers {
			for how, opts := range map[string][]wrapper.Option{"caller": nil, "server": {wrapper.WithServerTimeout(30 * time.Millisecond)}} {
				t.Run(name+"/"+how, func(t *testing.T) {
					rec := newRecorder()
					w := newWrapper(t, append(opts, wrapper.WithObserver(rec))...)
					var ran atomic.Bool
					srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						ran.Store(true)
						h(w, r)
					})), h2)
					deadline := "30"
					if how == "server" {
						deadline = ""
					}
					resp, body := ask(t, c, srv.URL, deadline)
					for range 100 { // a busy machine may come to it after the deadline, and then does not run it
						if ran.Load() {
							break
						}
						rec.last(t)
						resp, body = ask(t, c, srv.URL, deadline)
					}
					if resp.StatusCode != 504 || strings.Contains(body, "late") || resp.Header.Get("Content-Encoding") != "" {
						t.Errorf("got %d %q %v, want 504 and nothing of the handler's", resp.StatusCode, body, resp.Header)
					}
					call := rec.last(t)
					if call.Class != router.Timeout || call.Status != 504 {
						t.Errorf("recorded %v with status %d, want a timeout", call.Class, call.Status)
					}
					if want := strings.Contains(name, "late"); call.Late != want {
						t.Errorf("late answer: %v, want %v", call.Late, want)
					}
				})
			}
		}
	})
}

// The twin: what began before the deadline goes on, and what has none is well.
func TestAnswerThatBeganInTimeIsNotCut(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	var inTime atomic.Bool
	srv, c := serve(t, w.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "begun")
		w.(http.Flusher).Flush()
		inTime.Store(r.Context().Err() == nil)
		if _, bounded := r.Context().Deadline(); bounded {
			<-r.Context().Done()
		}
		io.WriteString(w, " and done")
	})), false)
	for _, deadline := range []string{"30", ""} {
		inTime.Store(false)
		resp, body := ask(t, c, srv.URL, deadline)
		for range 100 { // a busy machine may come to it after the deadline
			if inTime.Load() {
				break
			}
			rec.last(t)
			resp, body = ask(t, c, srv.URL, deadline)
		}
		if resp.StatusCode != 200 || body != "begun and done" {
			t.Errorf("deadline %q: got %d %q", deadline, resp.StatusCode, body)
		}
		if call := rec.last(t); call.Late || call.Class != router.OK {
			t.Errorf("deadline %q: recorded %+v", deadline, call)
		}
	}
}

func TestExpiredDeadlineRunsNoHandler(t *testing.T) {
	var ran atomic.Int64
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	srv, c := serve(t, w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { ran.Add(1) })), false)
	if resp, _ := ask(t, c, srv.URL, "0"); resp.StatusCode != 504 || ran.Load() != 0 {
		t.Errorf("got %d, and the handler ran %d times", resp.StatusCode, ran.Load())
	}
	if call := rec.last(t); call.Class != router.Timeout || call.Late {
		t.Errorf("recorded %+v", call)
	}
	if resp, _ := ask(t, c, srv.URL, "60000"); resp.StatusCode != 200 || ran.Load() != 1 {
		t.Errorf("with time left: got %d, and the handler ran %d times", resp.StatusCode, ran.Load())
	}
}

// Behind http.TimeoutHandler, which answers by itself, the record is right too.
func TestTimeoutHandlerAroundAndInside(t *testing.T) {
	rec := newRecorder()
	w := newWrapper(t, wrapper.WithObserver(rec))
	for name, h := range map[string]func(slow http.Handler) http.Handler{
		"around": func(slow http.Handler) http.Handler {
			return http.TimeoutHandler(w.Handler(slow), 20*time.Millisecond, "too slow")
		},
		"inside": func(slow http.Handler) http.Handler {
			return w.Handler(http.TimeoutHandler(slow, 20*time.Millisecond, "too slow"))
		},
	} {
		answered := make(chan struct{}) // else http.TimeoutHandler may choose between an end and its timeout
		srv, c := serve(t, h(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done(); <-answered })), false)
		if resp, body := ask(t, c, srv.URL, ""); resp.StatusCode != 503 || body != "too slow" {
			t.Errorf("%s: got %d %q", name, resp.StatusCode, body)
		}
		close(answered)
		if call := rec.last(t); !call.Class.Failed() {
			t.Errorf("%s: recorded %v", name, call.Class)
		}
	}
}

// Whoever sends short deadlines must not take the instances away from others:
// not by breakers, not by ejection, not by a limit that adapts.
func TestShortDeadlinesOfOneCallerHarmNobodyElse(t *testing.T) {
	work := func(http.ResponseWriter, *http.Request) { <-time.After(30 * time.Millisecond) }
	for name, opts := range map[string][]router.Option{
		"breakers": {router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Consecutive: 3, Open: time.Hour, Longest: time.Hour}, FailFast: true})},
		"ejection": {router.WithEjection(router.Ejection{Consecutive: 3, Base: time.Hour, Max: time.Hour, Cap: 1})},
	} {
		t.Run(name, func(t *testing.T) {
			var addrs []string
			for range 3 {
				limit, err := limits.Gradient(1, 20)
				if err != nil {
					t.Fatal(err)
				}
				leaf := newWrapper(t, wrapper.WithLimit(limit))
				addrs = append(addrs, count(t, leaf.Handler(http.HandlerFunc(work)).ServeHTTP).addr())
			}
			r := realRouter(t, addrs, opts...)
			middle := newWrapper(t, wrapper.WithRouter(r))
			front, c := serve(t, middle.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				q, _ := http.NewRequestWithContext(r.Context(), r.Method, "http://greeter/", nil)
				resp, err := middle.Client().Do(q)
				if err != nil {
					http.Error(w, err.Error(), http.StatusBadGateway)
					return
				}
				resp.Body.Close()
				w.WriteHeader(resp.StatusCode)
			})), false)
			failed := 0
			for i := range 90 {
				if i%3 == 0 {
					if resp, body := ask(t, c, front.URL, ""); resp.StatusCode != 200 {
						failed++
						t.Logf("%d %s", resp.StatusCode, body)
					}
					continue
				}
				ask(t, c, front.URL, "8")
			}
			if failed > 0 {
				t.Errorf("%d of 30 calls of others failed", failed)
			}
			for _, n := range r.Stats("greeter") {
				if n.Ejected || n.Outcomes[router.Timeout] > 5 { // 20 calls had a short one; a busy machine may be silent itself
					t.Errorf("%s is blamed: %v, ejected %v", n.ID, n.Outcomes, n.Ejected)
				}
			}
		})
	}
}

// The twin: an instance that lets every call wait until a usual deadline of this
// program's own is to blame.
func TestOwnDeadlinesAreBlamed(t *testing.T) {
	srv := hole(t)
	r := realRouter(t, []string{srv.addr()})
	w := newWrapper(t, wrapper.WithRouter(r))
	call := func() int64 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		q, _ := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
		if resp, err := w.Client().Do(q); err == nil {
			t.Errorf("got %v", resp.Status)
		}
		return srv.hits.Load()
	}
	for call() == 0 { // a busy machine may come to send it after the deadline
	}
	if n := outcomes(r, srv.addr()); n.Outcomes[router.Timeout] == 0 {
		t.Errorf("the router has %v", n.Outcomes)
	}
}

// What making a connection takes is not the instance's latency.
func TestConnectingIsNotLearntAsLatency(t *testing.T) {
	srv := count(t, answer(200))
	seen := make(attempts, 1)
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithObserver(seen))
	slow := http.DefaultTransport.(*http.Transport).Clone()
	defer slow.CloseIdleConnections()
	dial := slow.DialContext
	slow.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		<-time.After(60 * time.Millisecond)
		return dial(ctx, network, addr)
	}
	c := &http.Client{Transport: w.Transport(slow)}
	for _, fresh := range []bool{true, false} {
		get(t, c, "http://greeter/")
		a := <-seen
		if fresh != (a.Connecting >= 60*time.Millisecond) || a.Latency < a.Connecting {
			t.Errorf("new connection: %v, latency %v, of it connecting %v", fresh, a.Latency, a.Connecting)
		}
	}
}

// attempts hands on attempts that ended.
type attempts chan wrapper.Attempt

func (attempts) Begin(ctx context.Context, _ *wrapper.Call) context.Context           { return ctx }
func (attempts) End(context.Context, *wrapper.Call)                                   {}
func (attempts) BeginAttempt(ctx context.Context, _ *wrapper.Attempt) context.Context { return ctx }
func (c attempts) EndAttempt(_ context.Context, a *wrapper.Attempt)                   { c <- *a }
