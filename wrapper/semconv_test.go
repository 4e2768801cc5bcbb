package wrapper_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// observed is a wrapper whose spans and metrics can be looked at.
func observed(t *testing.T, opts ...wrapper.Option) (w *wrapper.Wrapper, spans func() []trace.SpanData, mt metrics.Metrics) {
	t.Helper()
	memory := trace.NewStore(100, time.Hour)
	tr, err := trace.New(trace.Memory(memory))
	if err != nil {
		t.Fatal(err)
	}
	if mt, err = metrics.New(); err != nil {
		t.Fatal(err)
	}
	return newWrapper(t, append(opts, wrapper.WithTrace(tr), wrapper.WithMetrics(mt))...), func() (all []trace.SpanData) {
		t.Helper()
		if err := tr.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := memory.Search(t.Context(), trace.Query{Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page.Traces {
			all = append(all, one.Spans...)
		}
		return all
	}, mt
}

func tag(s trace.SpanData, key string) string {
	for _, a := range s.Tags {
		if a.Key == key {
			return a.Value.String()
		}
	}
	return ""
}

// What only the caller did wrong is no failure of a server, and one of a client.
func TestErrorTypeSaysWhoFailed(t *testing.T) {
	for _, c := range []struct {
		path           string
		status         int
		server, client string
	}{
		{"/200", 200, "", ""},
		{"/304", 304, "", ""},
		{"/399", 399, "", ""},
		{"/400", 400, "", "400"},
		{"/404", 404, "", "404"},
		{"/429", 429, "", "429"},
		{"/499", 499, "", "499"},
		{"/500", 500, "500", "500"},
		{"/503", 503, "503", "503"},
		{"/599", 599, "599", "599"},
		{"/panic", 500, "panic", "500"},
		{"/grpc/0", 200, "", ""},
		{"/grpc/5", 200, "", "client_error"},
		{"/grpc/13", 200, "server_error", "server_error"},
	} {
		t.Run(c.path, func(t *testing.T) {
			served, serverSpans, serverMetrics := observed(t)
			srv := httptest.NewServer(served.Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				var n int
				switch {
				case r.URL.Path == "/panic":
					panic("boom")
				case strings.HasPrefix(r.URL.Path, "/grpc"):
					rw.Header().Set("Content-Type", "application/grpc")
					rw.Header().Set("Grpc-Status", strings.TrimPrefix(r.URL.Path, "/grpc/"))
				default:
					fmt.Sscan(r.URL.Path[1:], &n)
					rw.WriteHeader(n)
				}
			})))
			defer srv.Close()
			caller, clientSpans, clientMetrics := observed(t, wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
			get(t, caller.Client(), srv.URL+c.path)
			for side, got := range map[string]struct {
				span trace.SpanData
				want string
				mt   metrics.Metrics
			}{"server": {serverSpans()[0], c.server, serverMetrics}, "client": {clientSpans()[0], c.client, clientMetrics}} {
				if tag(got.span, "error.type") != got.want || (got.span.Err != "") != (got.want != "") {
					t.Errorf("%s: error.type %q, error %q, want %q", side, tag(got.span, "error.type"), got.span.Err, got.want)
				}
				if got := tag(got.span, "http.response.status_code"); got != fmt.Sprint(c.status) {
					t.Errorf("%s: status %s, want %d", side, got, c.status)
				}
				all := got.mt.Snapshot().Match("http."+side+".request.duration", metrics.Label{Key: "error.type", Value: got.want},
					metrics.Label{Key: "http.response.status_code", Value: fmt.Sprint(c.status)})
				if len(all) != 1 || all[0].Count != 1 {
					t.Errorf("%s: no series of %q and %d in %+v", side, got.want, c.status, got.mt.Snapshot())
				}
			}
		})
	}
}

// Whoever gives up has not failed, and nor has the server.
func TestACallThatWasGivenUpHasNoErrorType(t *testing.T) {
	served, serverSpans, _ := observed(t)
	entered, ended := make(chan struct{}), make(chan struct{})
	srv := httptest.NewServer(served.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(entered)
		<-r.Context().Done()
		close(ended)
	})))
	defer srv.Close()
	caller, clientSpans, _ := observed(t)
	r, cancel := request(t, srv.URL)
	go func() { <-entered; cancel() }()
	if _, err := caller.Client().Do(r); err == nil {
		t.Fatal("no error")
	}
	<-ended
	poll(t, "the server's span", func() bool { return len(serverSpans()) == 1 })
	for side, s := range map[string]trace.SpanData{"server": serverSpans()[0], "client": clientSpans()[0]} {
		if s.Err != "" || tag(s, "error.type") != "" || tag(s, "platform.outcome") != "cancelled" || tag(s, "http.response.status_code") != "" {
			t.Errorf("%s: %+v", side, s)
		}
	}
}

// What strangers choose is cut, and secrets in queries are nowhere.
func TestWhatStrangersSendIsBoundedInSpans(t *testing.T) {
	served, serverSpans, mt := observed(t)
	srv := httptest.NewServer(served.Handler(http.NotFoundHandler()))
	defer srv.Close()
	caller, clientSpans, _ := observed(t)
	long := strings.Repeat("ü", 5000)
	r, cancel := request(t, srv.URL+"/"+long+"?token=s3cret#part")
	defer cancel()
	r.Method = strings.Repeat("M", 5000)
	r.URL.User = nil
	r.Host = strings.Repeat("h", 5000) + ":80"
	r.Header.Set("User-Agent", strings.Repeat("a", 5000))
	resp, err := caller.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	for side, want := range map[string]map[string]int{
		"server": {"url.path": 511, "server.address": 256, "user_agent.original": 256, "http.request.method_original": 32},
		"client": {"url.full": 512, "http.request.method_original": 32},
	} {
		s := map[string]trace.SpanData{"server": serverSpans()[0], "client": clientSpans()[0]}[side]
		for key, n := range want {
			if got := tag(s, key); len(got) != n {
				t.Errorf("%s: %s has %d bytes, want %d", side, key, len(got), n)
			}
		}
		if text := fmt.Sprint(s); strings.Contains(text, "s3cret") || s.Name != "HTTP" {
			t.Errorf("%s: %s", side, text)
		}
	}
	if all := mt.Snapshot().Match("http.server.request.duration", metrics.Label{Key: "http.request.method", Value: "_OTHER"}); len(all) != 1 {
		t.Errorf("%+v", mt.Snapshot())
	}
}

// The name of a span has the method that was asked for and the route, whatever
// the pattern says beside them.
func TestSpanNames(t *testing.T) {
	for _, c := range []struct{ pattern, method, host, name, route string }{
		{"GET /users/{id}", "GET", "", "GET /users/{id}", "/users/{id}"},
		{"GET /users/{id}", "HEAD", "", "HEAD /users/{id}", "/users/{id}"},
		{"/users/{id}", "PUT", "", "PUT /users/{id}", "/users/{id}"},
		{"GET example.com/users/{id}", "GET", "example.com", "GET /users/{id}", "/users/{id}"},
		{"/users/{id}", "BREW", "", "HTTP /users/{id}", "/users/{id}"},
		{"GET /other", "GET", "", "GET", ""},
	} {
		w, spans, _ := observed(t)
		mux := http.NewServeMux()
		mux.HandleFunc(c.pattern, func(http.ResponseWriter, *http.Request) {})
		r := httptest.NewRequest(c.method, "/users/17", nil)
		if c.host != "" {
			r.Host = c.host
		}
		w.Handler(mux).ServeHTTP(httptest.NewRecorder(), r)
		if s := spans()[0]; s.Name != c.name || tag(s, "http.route") != c.route {
			t.Errorf("%s %s: %q with route %q, want %q with %q", c.method, c.pattern, s.Name, tag(s, "http.route"), c.name, c.route)
		}
	}
}

func request(t *testing.T, url string) (*http.Request, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r, cancel
}
