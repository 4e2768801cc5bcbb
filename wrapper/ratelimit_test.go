package wrapper_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/wrapper"
)

// hour is a limit of n calls an hour.
func hour(t *testing.T, n int) limits.Limiter {
	t.Helper()
	l, err := limits.TokenBucket(float64(n)/3600, n)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func named(t *testing.T, name string, l limits.Limiter) limits.Limiter {
	t.Helper()
	l, err := limits.Named(name, l)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAnswersTellWhereLimitsStand(t *testing.T) {
	places, err := limits.Concurrency(10)
	if err != nil {
		t.Fatal(err)
	}
	type answered struct {
		code                 int
		limit, policy, after string
	}
	const policy2 = `"default";q=2;w=3600`
	for name, c := range map[string]struct {
		opts []wrapper.Option
		h    http.HandlerFunc
		want []answered
	}{
		"one limit": {opts: []wrapper.Option{wrapper.WithLimit(hour(t, 2))}, want: []answered{
			{code: 200, limit: `"default";r=1;t=1800`, policy: policy2}, {code: 200, limit: `"default";r=0;t=1800`, policy: policy2},
			{code: 429, limit: `"default";r=0;t=1800`, policy: policy2, after: "1800"}}},
		"no limit":                     {want: []answered{{code: 200}}},
		"a limit of calls in progress": {opts: []wrapper.Option{wrapper.WithLimit(places)}, want: []answered{{code: 200}}},
		"two limits and a place": {opts: []wrapper.Option{wrapper.WithLimit(named(t, "burst", hour(t, 1))), wrapper.WithLimit(places), wrapper.WithLimit(named(t, `a "day"`, hour(t, 9)))}, want: []answered{
			{code: 200, limit: `"burst";r=0;t=3600, "a \"day\"";r=8;t=400`, policy: `"burst";q=1;w=3600, "a \"day\"";q=9;w=3600`},
			{code: 429, limit: `"burst";r=0;t=3600`, policy: `"burst";q=1;w=3600`, after: "3600"}}},
		"two without names": {opts: []wrapper.Option{wrapper.WithLimit(hour(t, 3)), wrapper.WithLimit(hour(t, 1))}, want: []answered{
			{code: 200, limit: `"default";r=2;t=1200, "default-2";r=0;t=3600`, policy: `"default";q=3;w=3600, "default-2";q=1;w=3600`}}},
		"by a policy": {opts: []wrapper.Option{wrapper.WithPolicies(wrapper.Policy{Inbound: true, Limit: &wrapper.Limit{Name: "gold", PerSecond: 2. / 3600, Burst: 2, Concurrency: 5}})}, want: []answered{
			{code: 200, limit: `"gold";r=1;t=1800`, policy: `"gold";q=2;w=3600`}}},
		"a panic": {opts: []wrapper.Option{wrapper.WithLimit(hour(t, 2))}, h: func(http.ResponseWriter, *http.Request) { panic("boom") }, want: []answered{
			{code: 500, limit: `"default";r=1;t=1800`, policy: policy2}}},
		"the handler's own": {opts: []wrapper.Option{wrapper.WithLimit(hour(t, 2))}, h: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("RateLimit", `"own";r=7`)
			w.WriteHeader(204)
		}, want: []answered{{code: 204, limit: `"own";r=7`}}},
		"turned off": {opts: []wrapper.Option{wrapper.WithLimit(hour(t, 1)), wrapper.WithoutLimitHeaders()}, want: []answered{
			{code: 200}, {code: 429, after: "3600"}}},
		"a limiter of the user's own": {opts: []wrapper.Option{wrapper.WithLimit(refusing{&limits.Error{After: 90 * time.Second}})}, want: []answered{
			{code: 429, limit: `"default";r=0;t=90`, after: "90"}}},
		"one that says more": {opts: []wrapper.Option{wrapper.WithLimit(refusing{&limits.Error{After: time.Second, State: limits.State{Policy: "own", Limit: 5, Window: time.Minute, Reset: 1001 * time.Millisecond}}})}, want: []answered{
			{code: 429, limit: `"own";r=0;t=2`, policy: `"own";q=5;w=60`, after: "2"}}},
		"one that says nothing": {opts: []wrapper.Option{wrapper.WithLimit(refusing{&limits.Error{}})}, want: []answered{{code: 429, after: "0"}}},
	} {
		t.Run(name, func(t *testing.T) {
			h := c.h
			if h == nil {
				h = func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }
			}
			srv, client := serve(t, newWrapper(t, c.opts...).Handler(h), false)
			for i, want := range c.want {
				resp, _ := get(t, client, srv.URL)
				got := answered{code: resp.StatusCode, limit: resp.Header.Get("RateLimit"), policy: resp.Header.Get("RateLimit-Policy"), after: resp.Header.Get("Retry-After")}
				if got != want {
					t.Errorf("call %d:\n got %+v\nwant %+v", i, got, want)
				}
			}
		})
	}
}

// refusing is a limiter that refuses.
type refusing struct{ err error }

func (r refusing) Acquire(context.Context) (limits.Permit, error) { return nil, r.err }

// answers is a transport that answers with the next of its headers, and 200 when
// there are no more.
type answers struct {
	code    int
	headers []http.Header
	sent    []time.Time
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	n := len(a.sent)
	a.sent = append(a.sent, time.Now())
	resp := &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}
	if n < len(a.headers) {
		resp.StatusCode, resp.Header = a.code, a.headers[n]
	}
	return resp, nil
}

func TestClientWaitsForTheResetOfALimit(t *testing.T) {
	field := func(values ...string) http.Header { return http.Header{"Ratelimit": values} }
	both := func(limit, after string) http.Header {
		return http.Header{"Ratelimit": {limit}, "Retry-After": {after}}
	}
	for name, c := range map[string]struct {
		code   int
		method string
		header http.Header
		wait   time.Duration // until it is sent again; below 0: never
	}{
		"spent":                     {429, "GET", field(`"default";r=0;t=2`), 2 * time.Second},
		"the longest of the spent":  {429, "GET", field(`"a";r=0;t=1`, `"b";r=5;t=9, "c";r=0;t=3`), 3 * time.Second},
		"503":                       {503, "GET", field(`"default";r=0;t=2`), 2 * time.Second},
		"Retry-After goes before":   {429, "GET", both(`"default";r=0;t=4`, "1"), time.Second},
		"and is too long":           {429, "GET", both(`"default";r=0;t=1`, "6"), -1},
		"at the bound":              {429, "GET", field(`"default";r=0;t=5`), 5 * time.Second},
		"above the bound":           {429, "GET", field(`"default";r=0;t=6`), -1},
		"so far that it overflows":  {429, "GET", field(`"default";r=0;t=18446744074`), -1},
		"far above":                 {429, "GET", field(`"default";r=0;t=999999999999999`), -1},
		"not spent":                 {429, "GET", field(`"default";r=1;t=2`), -1},
		"no reset":                  {429, "GET", field(`"default";r=0`), -1},
		"no remaining":              {429, "GET", field(`"default";t=2`), -1},
		"not idempotent":            {429, "POST", field(`"default";r=0;t=2`), -1},
		"not a failure of overload": {400, "GET", field(`"default";r=0;t=2`), -1},
		"malformed":                 {429, "GET", field(`"default;r=0;t=2`), -1},
		"one item malformed":        {429, "GET", field(`"default";r=0;t=2`, `"b";r=-1`), -1},
		"a token as name":           {429, "GET", field(`default;r=0;t=2`), -1},
		"one reset malformed":       {429, "GET", field(`"a";r=0;t=2, "b";r=0;t=2.5`), -1},
		"502 has another reason":    {502, "GET", field(`"default";r=0;t=2`), 0},
		"a decimal reset":           {429, "GET", field(`"default";r=0;t=2.5`), -1},
		"a negative reset":          {429, "GET", field(`"default";r=0;t=-2`), -1},
		"the older draft":           {429, "GET", field(`limit=100, remaining=0, reset=2`), -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWrapper(t, wrapper.WithRetry(wrapper.RetryPolicy{Max: 5 * time.Second, Min: 1}))
				base := &answers{code: c.code, headers: []http.Header{c.header}}
				req, err := http.NewRequest(c.method, "http://example.com/", nil)
				if err != nil {
					t.Fatal(err)
				}
				resp, err := w.Transport(base).RoundTrip(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				switch {
				case c.wait < 0:
					if len(base.sent) != 1 || resp.StatusCode != c.code {
						t.Errorf("sent %d times, the last answer %d", len(base.sent), resp.StatusCode)
					}
				case len(base.sent) != 2 || resp.StatusCode != 200:
					t.Errorf("sent %d times, the last answer %d", len(base.sent), resp.StatusCode)
				default: // with up to Min of jitter
					if d := base.sent[1].Sub(base.sent[0]); d < c.wait || d > c.wait+10*time.Millisecond {
						t.Errorf("waited %v, want %v", d, c.wait)
					}
				}
				synctest.Wait()
			})
		})
	}
}

// A server of ours and a client of ours: the client comes again when the limit
// that refused it lets it through.
func TestClientFollowsTheServersLimit(t *testing.T) {
	few, err := limits.TokenBucket(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	h := newWrapper(t, wrapper.WithLimit(few)).Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	for name, drop := range map[string]string{"by Retry-After": "Ratelimit", "by RateLimit": "Retry-After"} {
		t.Run(name, func(t *testing.T) {
			srv := count(t, func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(without{w, drop}, r) })
			w := newWrapper(t, wrapper.WithRouter(instances(srv.addr())), wrapper.WithRetry(wrapper.RetryPolicy{Max: 3 * time.Second}))
			for range 2 {
				if code, err := send(t, w.Client(), "GET", "http://greeter/"); code != 200 {
					t.Errorf("%d, %v", code, err)
				}
			}
			if n := srv.hits.Load(); n < 3 {
				t.Errorf("%d requests: none was refused", n)
			}
		})
	}
}

// without drops a header from the answer.
type without struct {
	http.ResponseWriter
	name string
}

func (w without) WriteHeader(code int) {
	w.Header().Del(w.name)
	w.ResponseWriter.WriteHeader(code)
}

func TestPlacesOfAPolicyAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			limit   wrapper.Limit
			timeout time.Duration
			want    string
		}{
			{wrapper.Limit{Concurrency: 2}, 0, "9s 9s refused refused refused"},
			{wrapper.Limit{Concurrency: 2, Wait: true}, time.Hour, "9s 9s 18s 18s 27s"},
			{wrapper.Limit{Concurrency: 1, Wait: true}, 25 * time.Second, "9s 18s late late late"},
			{wrapper.Limit{Concurrency: 1, Wait: true}, wrapper.NoTimeout, "9s 18s 27s 36s 45s"},
			{wrapper.Limit{Concurrency: 1, Wait: true}, 0, "9s 18s 27s late late"}, // 30 s without a deadline
			{wrapper.Limit{Concurrency: 9, PerSecond: .1, Burst: 1, Wait: true}, time.Hour, "9s 19s 29s 39s 49s"},
			{wrapper.Limit{Concurrency: 9, PerSecond: .1, Burst: 1}, time.Hour, "9s refused refused refused refused"},
		} {
			w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithPolicies(wrapper.Policy{Timeout: c.timeout, Limit: &c.limit}))
			if err != nil {
				t.Fatal(err)
			}
			slow := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				select {
				case <-time.After(9 * time.Second):
				case <-r.Context().Done():
					return nil, r.Context().Err()
				}
				return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}))
			got := make(chan string, 10)
			begun := time.Now()
			for range 5 {
				go func() {
					req, _ := http.NewRequest("GET", "http://greeter/", nil)
					_, err := slow.RoundTrip(req)
					switch d := time.Since(begun).Round(time.Millisecond); {
					case err == nil:
						got <- fmt.Sprint(d)
					case d == 0:
						got <- "refused"
					default:
						got <- "late"
					}
				}()
			}
			all := map[string]int{}
			for range 5 {
				all[<-got]++
			}
			want := map[string]int{}
			for _, s := range strings.Fields(c.want) {
				want[s]++
			}
			if fmt.Sprint(all) != fmt.Sprint(want) {
				t.Errorf("%+v with %v: got %v, want %v", c.limit, c.timeout, all, want)
			}
			if err := w.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// A call without a deadline waits 30 s for its turn, however long the one that
// has the place takes.
func TestTurnOfACallWithoutADeadlineIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithPolicies(wrapper.Policy{Limit: &wrapper.Limit{Concurrency: 1, Wait: true}}))
		if err != nil {
			t.Fatal(err)
		}
		slow := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(time.Minute)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))
		call := func(d time.Duration) error {
			ctx := t.Context()
			if d > 0 {
				var cancel context.CancelFunc
				ctx, cancel = context.WithTimeout(ctx, d)
				defer cancel()
			}
			req, err := http.NewRequestWithContext(ctx, "GET", "http://greeter/", nil)
			if err != nil {
				t.Fatal(err)
			}
			_, err = slow.RoundTrip(req)
			return err
		}
		var first, patient error
		done := make(chan struct{}, 2)
		go func() { first = call(time.Hour); done <- struct{}{} }()
		synctest.Wait()
		go func() { patient = call(time.Hour); done <- struct{}{} }()
		synctest.Wait()
		begun := time.Now()
		if err := call(0); err == nil || time.Since(begun) != 30*time.Second {
			t.Errorf("without a deadline: %v after %v", err, time.Since(begun))
		}
		<-done
		<-done
		if first != nil || patient != nil || time.Since(begun) != 2*time.Minute {
			t.Errorf("with one: %v, %v after %v", first, patient, time.Since(begun))
		}
		if err := w.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
