package wrapper_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// send makes a call and returns its error or status.
func send(t *testing.T, c *http.Client, method, url string) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, nil
}

// Retries, by service, route and method: what a call matches most narrowly
// decides, alone.
func TestPoliciesOfCallsThatGoOut(t *testing.T) {
	times := func(n int) *wrapper.RetryPolicy {
		return &wrapper.RetryPolicy{Attempts: n, PerSecond: 1000, Statuses: []int{500}, Min: 1, Max: 1}
	}
	policies := []wrapper.Policy{
		{Retry: times(2)},
		{Service: "greeter", Retry: times(3)},
		{Service: "greeter", Route: "/users/", Retry: times(4)},
		{Service: "greeter", Route: "/users/{id}", Retry: times(5)},
		{Service: "greeter", Route: "/users/{id}", Method: "PUT", Retry: times(6)},
		{Service: "greeter", Route: "/never", Retry: times(1)},
	}
	for _, c := range []struct {
		method, url, route string
		want               int64
	}{
		{"GET", "http://other/x", "", 2}, {"GET", "http://greeter/", "", 3}, {"GET", "http://greeter", "", 3}, {"GET", "http://greeter/users", "", 3},
		{"GET", "http://greeter/users/1/a", "/users/", 4}, {"GET", "http://greeter/users/1", "/users/{id}", 5}, {"HEAD", "http://greeter//users/./1", "/users/{id}", 5},
		{"PUT", "http://greeter/users/1", "/users/{id}", 6}, {"GET", "http://greeter/never", "/never", 1}, {"POST", "http://greeter/users/1", "/users/{id}", 1},
	} {
		bad, rec := count(t, answer(500)), newRecorder()
		w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())), wrapper.WithPolicies(policies...), wrapper.WithObserver(rec))
		if code, err := send(t, w.Client(), c.method, c.url); code != 500 {
			t.Errorf("%s %s: %d, %v", c.method, c.url, code, err)
		}
		if n := bad.hits.Load(); n != c.want {
			t.Errorf("%s %s: sent %d times, want %d", c.method, c.url, n, c.want)
		}
		if call := rec.last(t); call.Route != c.route {
			t.Errorf("%s %s: route %q, want %q", c.method, c.url, call.Route, c.route)
		}
	}
}

func TestPoliciesBoundTime(t *testing.T) {
	stuck, rec := hole(t), newRecorder()
	w := newWrapper(t, wrapper.WithRouter(instances(stuck.addr())), wrapper.WithObserver(rec), wrapper.WithPolicies(
		wrapper.Policy{Service: "greeter", Route: "/call", Timeout: 30 * time.Millisecond},
		wrapper.Policy{Service: "greeter", Route: "/attempt", AttemptTimeout: 20 * time.Millisecond, Retry: &wrapper.RetryPolicy{Attempts: 2}}))
	for route, want := range map[string]int{"/call": 1, "/attempt": 2} {
		if _, err := send(t, w.Client(), "GET", "http://greeter"+route); err == nil {
			t.Errorf("%s: got an answer", route)
		}
		if c := rec.last(t); c.Class != router.Timeout || c.Attempts != want {
			t.Errorf("%s: recorded %v after %d attempts, want a timeout after %d", route, c.Class, c.Attempts, want)
		}
	}
	served := newWrapper(t, wrapper.WithPolicies(wrapper.Policy{Inbound: true, Route: "/slow", Timeout: 20 * time.Millisecond}))
	srv, c := serve(t, served.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, bounded := r.Context().Deadline(); bounded {
			<-r.Context().Done()
		}
	})), false)
	for path, want := range map[string]int{"/slow": 504, "/other": 200} {
		if code, err := send(t, c, "GET", srv.URL+path); code != want {
			t.Errorf("%s: %d, %v, want %d", path, code, err, want)
		}
	}
}

func TestPoliciesLimit(t *testing.T) {
	release := make(chan struct{})
	arrived := make(chan struct{}, 100)
	srv := count(t, func(w http.ResponseWriter, r *http.Request) { arrived <- struct{}{}; <-release })
	w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithPolicies(
		wrapper.Policy{Service: "greeter", Limit: &wrapper.Limit{Concurrency: 2}},
		wrapper.Policy{Service: "waits", Limit: &wrapper.Limit{PerSecond: 20, Burst: 1, Wait: true}},
		wrapper.Policy{Service: "both", Limit: &wrapper.Limit{Concurrency: 1, PerSecond: 1e-6, Burst: 2}}))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() { send(t, w.Client(), "GET", "http://greeter/") })
		<-arrived
	}
	if _, err := send(t, w.Client(), "GET", "http://greeter/"); !errors.Is(err, router.ErrLimited) || srv.hits.Load() != 2 {
		t.Errorf("the third: %v, after %d were sent", err, srv.hits.Load())
	}
	close(release)
	wg.Wait()
	for range 3 { // the places are free again
		if code, err := send(t, w.Client(), "GET", "http://greeter/"); code != 200 {
			t.Errorf("later: %d, %v", code, err)
		}
	}
	start := time.Now()
	for range 3 {
		if code, err := send(t, w.Client(), "GET", "http://waits/"); code != 200 {
			t.Errorf("waits: %d, %v", code, err)
		}
	}
	if d := time.Since(start); d < 90*time.Millisecond {
		t.Errorf("three calls at 20 a second took %v", d)
	}
	var got []bool
	for range 3 {
		_, err := send(t, w.Client(), "GET", "http://both/")
		got = append(got, err == nil)
	}
	if fmt.Sprint(got) != "[true true false]" {
		t.Errorf("both: %v", got)
	}

	in := newWrapper(t, wrapper.WithPolicies(wrapper.Policy{Inbound: true, Method: "POST", Limit: &wrapper.Limit{PerSecond: 1e-6, Burst: 1}}))
	front, c := serve(t, in.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})), false)
	for i, q := range []struct {
		method string
		want   int
	}{{"POST", 200}, {"POST", 429}, {"GET", 200}} {
		if code, err := send(t, c, q.method, front.URL); code != q.want {
			t.Errorf("%d: %s: %d, %v, want %d", i, q.method, code, err, q.want)
		}
	}
}

func TestPoliciesChangeLive(t *testing.T) {
	bad := count(t, answer(500))
	w := newWrapper(t, wrapper.WithRouter(instances(bad.addr())))
	limited := wrapper.Policy{Service: "limited", Limit: &wrapper.Limit{PerSecond: 1e-6, Burst: 1}}
	retry := func(n int) wrapper.Policy {
		return wrapper.Policy{Service: "greeter", Retry: &wrapper.RetryPolicy{Attempts: n, Statuses: []int{500}}}
	}
	sent := func() int64 {
		before := bad.hits.Load()
		send(t, w.Client(), "GET", "http://greeter/")
		return bad.hits.Load() - before
	}
	for i, c := range []struct {
		list []wrapper.Policy
		want int64
	}{{nil, 1}, {[]wrapper.Policy{limited, retry(2)}, 2}, {[]wrapper.Policy{retry(3), limited}, 3}, {nil, 1}} {
		if err := w.SetPolicies(c.list...); err != nil {
			t.Fatal(err)
		}
		if n := sent(); n != c.want {
			t.Errorf("%d: sent %d times, want %d", i, n, c.want)
		}
		if _, err := send(t, w.Client(), "GET", "http://limited/"); c.list != nil && (err != nil) != (i == 2) {
			t.Errorf("%d: the limit of a policy that stayed is another one: %v", i, err)
		}
	}
	if err := w.SetPolicies(retry(2)); err != nil {
		t.Fatal(err)
	}
	if err := w.SetPolicies(wrapper.Policy{Route: "x"}); !errors.Is(err, wrapper.ErrInvalid) || sent() != 2 {
		t.Errorf("a bad list: %v, and the old one is not in force", err)
	}
}

func TestBadPoliciesAreRefused(t *testing.T) {
	nan := math.NaN()
	for name, list := range map[string][]wrapper.Policy{
		"route":      {{Route: "users"}},
		"pattern":    {{Route: "/{"}},
		"method":     {{Method: "GET /"}},
		"timeout":    {{Timeout: -1}},
		"attempt":    {{AttemptTimeout: -1}},
		"retry":      {{Retry: &wrapper.RetryPolicy{Attempts: -1}}},
		"hedge":      {{Hedge: &wrapper.HedgePolicy{}}},
		"limit":      {{Limit: &wrapper.Limit{}}},
		"limit nan":  {{Limit: &wrapper.Limit{PerSecond: nan}}},
		"limit neg":  {{Limit: &wrapper.Limit{Concurrency: -1}}},
		"inbound":    {{Inbound: true, Retry: &wrapper.RetryPolicy{}}},
		"twice":      {{Service: "a"}, {Service: "a"}},
		"as narrow":  {{Route: "/a/{x}"}, {Route: "/{x}/b"}},
		"second bad": {{Service: "a"}, {Route: "x"}},
	} {
		w := newWrapper(t)
		for how, err := range map[string]error{"check": w.CheckPolicies(list...), "set": w.SetPolicies(list...)} {
			if !errors.Is(err, wrapper.ErrInvalid) {
				t.Errorf("%s: %s: %v, want ErrInvalid", name, how, err)
			}
		}
		if _, err := wrapper.New(wrapper.WithName("x"), wrapper.WithPolicies(list...)); !errors.Is(err, wrapper.ErrInvalid) {
			t.Errorf("%s: New: %v, want ErrInvalid", name, err)
		}
	}
	// What a policy may say, each with the nearest that it may not.
	const negative = time.Duration(-1)
	retry := func(r wrapper.RetryPolicy) wrapper.Policy { return wrapper.Policy{Retry: &r} }
	hedge := func(h wrapper.HedgePolicy) wrapper.Policy { return wrapper.Policy{Hedge: &h} }
	limit := func(l wrapper.Limit) wrapper.Policy { return wrapper.Policy{Limit: &l} }
	for _, c := range []struct {
		good, bad wrapper.Policy
		says      string
	}{
		{wrapper.Policy{Route: "/"}, wrapper.Policy{Route: "a/"}, "route"},
		{wrapper.Policy{Method: "GET"}, wrapper.Policy{Method: "GET\t"}, "method"},
		{wrapper.Policy{Inbound: true, Timeout: 1}, wrapper.Policy{Inbound: true, AttemptTimeout: 1}, "calls that go out"},
		{wrapper.Policy{Inbound: true}, wrapper.Policy{Inbound: true, Hedge: &wrapper.HedgePolicy{Quantile: .5}}, "calls that go out"},
		{wrapper.Policy{Timeout: 0}, wrapper.Policy{Timeout: negative}, "negative timeout"},
		{wrapper.Policy{AttemptTimeout: 0}, wrapper.Policy{AttemptTimeout: negative}, "negative timeout"},
		{retry(wrapper.RetryPolicy{Attempts: 1}), retry(wrapper.RetryPolicy{Attempts: -1}), "negative number"},
		{retry(wrapper.RetryPolicy{Min: 1}), retry(wrapper.RetryPolicy{Min: negative}), "negative number"},
		{retry(wrapper.RetryPolicy{Max: 1}), retry(wrapper.RetryPolicy{Max: negative}), "negative number"},
		{retry(wrapper.RetryPolicy{Ratio: 1}), retry(wrapper.RetryPolicy{Ratio: -.1}), "negative number"},
		{retry(wrapper.RetryPolicy{Ratio: 1}), retry(wrapper.RetryPolicy{Ratio: 1.1}), "ratio above 1"},
		{retry(wrapper.RetryPolicy{Ratio: 0}), retry(wrapper.RetryPolicy{Ratio: nan}), "ratio above 1"},
		{retry(wrapper.RetryPolicy{PerSecond: 1}), retry(wrapper.RetryPolicy{PerSecond: -1}), "negative number"},
		{retry(wrapper.RetryPolicy{PerSecond: 0}), retry(wrapper.RetryPolicy{PerSecond: nan}), "no number"},
		{retry(wrapper.RetryPolicy{Buffer: 1}), retry(wrapper.RetryPolicy{Buffer: -1}), "negative number"},
		{retry(wrapper.RetryPolicy{Late: negative}), retry(wrapper.RetryPolicy{Late: negative, Min: negative}), "negative number"},
		{retry(wrapper.RetryPolicy{Statuses: []int{500}}), retry(wrapper.RetryPolicy{Statuses: []int{499}}), "status 499"},
		{retry(wrapper.RetryPolicy{Statuses: []int{500, 599}}), retry(wrapper.RetryPolicy{Statuses: []int{500, 600}}), "status 600"},
		{hedge(wrapper.HedgePolicy{Quantile: .01}), hedge(wrapper.HedgePolicy{Quantile: 0}), "hedge"},
		{hedge(wrapper.HedgePolicy{Quantile: .99}), hedge(wrapper.HedgePolicy{Quantile: 1}), "hedge"},
		{hedge(wrapper.HedgePolicy{Quantile: .5}), hedge(wrapper.HedgePolicy{Quantile: .5, Min: negative}), "hedge"},
		{hedge(wrapper.HedgePolicy{Quantile: .5, Ratio: 1}), hedge(wrapper.HedgePolicy{Quantile: .5, Ratio: 1.1}), "hedge"},
		{hedge(wrapper.HedgePolicy{Quantile: .5, Ratio: 0}), hedge(wrapper.HedgePolicy{Quantile: .5, Ratio: -.1}), "hedge"},
		{limit(wrapper.Limit{Concurrency: 1}), limit(wrapper.Limit{Burst: 1}), "without a number"},
		{limit(wrapper.Limit{PerSecond: .1}), limit(wrapper.Limit{PerSecond: -.1, Concurrency: 1}), "without a number"},
		{limit(wrapper.Limit{PerSecond: 1, Burst: 1}), limit(wrapper.Limit{PerSecond: 1, Burst: -1}), "without a number"},
		{limit(wrapper.Limit{PerSecond: 1e9}), limit(wrapper.Limit{PerSecond: 2e9}), "token bucket"},
		{limit(wrapper.Limit{PerSecond: 1, Name: "~"}), limit(wrapper.Limit{PerSecond: 1, Name: "é"}), "named limit"},
	} {
		w := newWrapper(t)
		if err := w.CheckPolicies(c.good); err != nil {
			t.Errorf("%+v: %v", c.good, err)
		}
		if err := w.CheckPolicies(c.bad); !errors.Is(err, wrapper.ErrInvalid) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%+v: %v, want %q", c.bad, err, c.says)
		}
	}
	if err := newWrapper(t).CheckPolicies(wrapper.Policy{Service: "a"}, wrapper.Policy{Service: "a", Inbound: true}, wrapper.Policy{Service: "b"}); err != nil {
		t.Errorf("good ones: %v", err)
	}
}
