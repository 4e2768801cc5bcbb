package wrapper_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// A second attempt for which there is no other instance leaves no pick open, and the
// first one goes on.
func TestSecondAttemptWithoutAnotherInstanceLeavesNothingOpen(t *testing.T) {
	for n := 1; n <= 2; n++ {
		synctest.Test(t, func(t *testing.T) {
			var all []discovery.Instance
			for i := range n {
				all = append(all, discovery.Instance{Service: "greeter", ID: fmt.Sprint("i", i), Address: fmt.Sprintf("10.0.0.%d:80", i+1)})
			}
			d, err := discovery.New(static.Backend(all...))
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			r, err := router.New(router.WithDiscovery(d))
			if err != nil {
				t.Fatal(err)
			}
			w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithRouter(r))
			if err != nil {
				t.Fatal(err)
			}
			took := 10 * time.Millisecond
			client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(took):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}))}
			for range 30 {
				get(t, client, "http://greeter/")
			}
			took = 5 * time.Second
			get(t, client, "http://greeter/")
			synctest.Wait()
			cancelled, picks := uint64(0), uint64(0)
			for _, s := range r.Stats("greeter") {
				if s.InFlight != 0 {
					t.Errorf("of %d: %d picks of %s are open", n, s.InFlight, s.ID)
				}
				cancelled += s.Outcomes[router.Cancelled]
				picks += s.Picks
			}
			if cancelled != 1 || picks != 32 {
				t.Errorf("of %d: %d picks, %d of them cancelled, want 32 and the one that was not needed", n, picks, cancelled)
			}
			w.Close(context.Background())
		})
	}
}

// taught is a limiter that notes what it learns.
type taught struct{ outcomes []router.Outcome }

func (l *taught) Acquire(context.Context) (limits.Permit, error) { return l, nil }
func (l *taught) Release(o router.Outcome)                       { l.outcomes = append(l.outcomes, o) }

// What a limiter learns of a call that came in: not that a deadline was over which the
// caller brought.
func TestWhatALimiterLearns(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		status int
		waits  bool
		want   router.Class
	}{
		"good": {"", 200, false, router.OK}, "the caller's error": {"", 404, false, router.ClientError}, "the server's error": {"", 500, false, router.ServerError}, "busy": {"", 503, false, router.Overload},
		"too late for the server": {"", 0, true, router.Timeout}, "too late for the caller": {"1000", 0, true, router.Cancelled}, "in time for the caller": {"1000", 200, false, router.OK},
		"a timeout of what it calls": {"", 504, false, router.Timeout}, "of what it calls for the caller": {"1000", 504, false, router.Cancelled},
	} {
		synctest.Test(t, func(t *testing.T) {
			l := &taught{}
			w := newWrapper(t, wrapper.WithLimit(l), wrapper.WithServerTimeout(time.Minute))
			r := httptest.NewRequest("GET", "/", nil)
			if c.header != "" {
				r.Header.Set(wrapper.HeaderDeadline, c.header)
			}
			w.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				if c.waits {
					<-r.Context().Done()
					return
				}
				rw.WriteHeader(c.status)
			})).ServeHTTP(httptest.NewRecorder(), r)
			if len(l.outcomes) != 1 || l.outcomes[0].Class != c.want {
				t.Errorf("%s: the limiter learns %v, want %v", name, l.outcomes, c.want)
			}
		})
	}
}

// What a handler's protocol says at the end of its answer decides, however it is
// written.
func TestStatusOfAnAnswerHoweverItIsWritten(t *testing.T) {
	end := frame(2, `{"error":{"code":"internal"}}`)
	for name, write := range map[string]func(w http.ResponseWriter){
		"Write": func(w http.ResponseWriter) { io.Copy(struct{ io.Writer }{w}, strings.NewReader(end)) }, "WriteString": func(w http.ResponseWriter) { io.WriteString(w, end) },
		"ReadFrom": func(w http.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(strings.NewReader(end)) },
	} {
		for kind, want := range map[string]router.Class{"application/connect+json": router.ServerError, "text/plain": router.OK} {
			rec, out := newRecorder(), httptest.NewRecorder()
			newWrapper(t, wrapper.WithObserver(rec)).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", kind)
				write(w)
			})).ServeHTTP(fromReader{out}, httptest.NewRequest("POST", "/", nil))
			if call := rec.last(t); call.Class != want || call.BytesOut != int64(len(end)) || out.Body.String() != end {
				t.Errorf("%s of %s: recorded %v and %d bytes, want %v and %d", name, kind, call.Class, call.BytesOut, want, len(end))
			}
		}
	}
}

// The host that is called by a router's choice is the service's name, or what the
// request says.
func TestHostOfARoutedRequest(t *testing.T) {
	for host, want := range map[string]string{"": "greeter", "shop.example": "shop.example"} {
		var sent, to string
		w := newWrapper(t, wrapper.WithRouter(instances("10.0.0.1:80")))
		r, err := http.NewRequestWithContext(t.Context(), "GET", "http://greeter/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			sent, to = r.Host, r.URL.Host
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})).RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if sent != want || to != "10.0.0.1:80" {
			t.Errorf("a request with the host %q goes to %s as %q, want %q", host, to, sent, want)
		}
	}
}

// The wait before a retry is a second at the most, if nothing else is said.
func TestDefaultsOfARetry(t *testing.T) {
	for _, c := range []struct {
		pushback time.Duration
		policy   wrapper.RetryPolicy
		want     bool
	}{{time.Second, wrapper.RetryPolicy{}, true}, {time.Second + 1, wrapper.RetryPolicy{}, false}, {2 * time.Second, wrapper.RetryPolicy{Max: 2 * time.Second}, true}} {
		w := newWrapper(t, wrapper.WithRetry(c.policy))
		if _, got := w.Adapter().Again(t.Context(), &wrapper.Call{Side: wrapper.Client, Service: "greeter"}, router.Unsent, 1, true, c.pushback); got != c.want {
			t.Errorf("%+v, when the server says in %v: again %v, want %v", c.policy, c.pushback, got, c.want)
		}
	}
}

// How long calls took lately is the median of those that were served: not of those
// that were refused, cancelled or taken over.
func TestWhichCallsALoadReportCounts(t *testing.T) {
	for name, c := range map[string]struct {
		refuse bool
		class  router.Class
		hijack bool
		want   bool
	}{"served": {want: true}, "failed": {class: router.ServerError, want: true}, "refused": {refuse: true}, "cancelled": {class: router.Cancelled}, "taken over": {hijack: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWrapper(t, wrapper.WithLoadReport(), wrapper.WithGate(enterFunc(func(ctx context.Context) (context.Context, error) {
				if c.refuse {
					return ctx, router.ErrLimited
				}
				return ctx, nil
			})))
			one := &wrapper.Call{Side: wrapper.Server, Protocol: "micro", Start: time.Now()}
			ctx, _ := w.Begin(t.Context(), one)
			one.Class, one.Duration, one.Hijacked = c.class, 70*time.Millisecond, c.hijack
			w.End(ctx, one)
			time.Sleep(time.Second) // the median is looked at again
			report := wrapper.ParseLoad(w.Adapter().LoadReport(&wrapper.Call{}))
			if got := report.Latency == 70*time.Millisecond; got != c.want || !report.Reported || report.InFlight != 0 {
				t.Errorf("%s: %+v, want it counted: %v", name, report, c.want)
			}
		})
	}
}
