package wrapper_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// What is usual begins as the longest of twenty answers, rises a little with each one
// above it and falls a little with each other. A deadline blames from twice that on.
func TestWhatIsUsual(t *testing.T) {
	const ms, us = time.Millisecond, time.Microsecond
	for _, c := range []struct {
		name   string
		first  time.Duration // of twenty answers; the others take 1 ms
		others []time.Duration
		want   time.Duration // twice what is usual
	}{
		{"the longest of twenty", 100 * ms, nil, 200 * ms},
		{"one above", 100 * ms, []time.Duration{101 * ms}, 209900 * us},
		{"far above is not more", 100 * ms, []time.Duration{time.Hour}, 209900 * us},
		{"the same again", 100 * ms, []time.Duration{100 * ms}, 199900 * us},
		{"one below", 100 * ms, []time.Duration{ms}, 199900 * us},
		{"up and down", 100 * ms, []time.Duration{time.Hour, ms}, 209795050},
	} {
		w := newWrapper(t)
		one := &wrapper.Call{Side: wrapper.Client, Service: "greeter"}
		w.Adapter().Took(one, c.first)
		for range 19 {
			w.Adapter().Took(one, ms)
		}
		for _, d := range c.others {
			w.Adapter().Took(one, d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		below, above := w.Adapter().Blame(ctx, one, router.Timeout, c.want-us), w.Adapter().Blame(ctx, one, router.Timeout, c.want+us)
		cancel()
		if below != router.Cancelled || above != router.Timeout {
			t.Errorf("%s: below %v it is %v, above it %v", c.name, c.want, below, above)
		}
	}
}

// A call is hedged once its answer takes longer than is usual, if it may be sent twice.
func TestWhenACallIsHedged(t *testing.T) {
	const ms = time.Millisecond
	body := func() io.Reader { return strings.NewReader("body") }
	once := func() io.Reader { return io.MultiReader(strings.NewReader("body")) }
	for _, c := range []struct {
		name   string
		known  int // answers before
		code   int // of those
		took   time.Duration
		policy wrapper.HedgePolicy
		opts   []wrapper.Option
		method string
		key    bool
		body   func() io.Reader
		url    string
		want   time.Duration // when; 0: never
	}{
		{name: "as late as the latest of twenty", want: 100 * ms}, {name: "of nineteen it is not known what is late", known: 19},
		{name: "the shortest wait", policy: wrapper.HedgePolicy{Min: 300 * ms}, want: 300 * ms}, {name: "and less than is usual", policy: wrapper.HedgePolicy{Min: 99 * ms}, want: 100 * ms},
		{name: "by default a millisecond", took: 1, want: ms}, {name: "answers that fail teach nothing", code: 500}, {name: "those to callers' faults do", code: 404, want: 100 * ms},
		{name: "no budget", policy: wrapper.HedgePolicy{Ratio: 1e-9}}, {name: "half a hedge in the budget", policy: wrapper.HedgePolicy{Ratio: .01}}, {name: "just enough", policy: wrapper.HedgePolicy{Ratio: .05}, want: 100 * ms},
		{name: "not idempotent", method: "POST"}, {name: "with a key", method: "POST", key: true, want: 100 * ms}, {name: "PATCH", method: "PATCH"}, {name: "PUT", method: "PUT", want: 100 * ms},
		{name: "a body that is made again", method: "PUT", body: body, want: 100 * ms}, {name: "a body that is not", method: "PUT", body: once},
		{name: "not routed", url: "http://greeter.example/"}, {name: "one attempt", opts: []wrapper.Option{wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1})}, want: 100 * ms},
		{name: "attempts have a timeout", opts: []wrapper.Option{wrapper.WithAttemptTimeout(time.Minute)}, want: 100 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			orDefault(&c.known, 20)
			orDefault(&c.code, 200)
			orDefault(&c.took, 100*ms)
			orDefault(&c.method, "GET")
			orDefault(&c.url, "http://greeter/")
			orDefault(&c.policy.Quantile, .5)
			orDefault(&c.policy.Ratio, 1)
			w := newWrapper(t, append(c.opts, wrapper.WithRouter(instances("a:80", "b:80")), wrapper.WithHedge(c.policy))...)
			var began time.Time
			var sent, second, bodies atomic.Int64
			slow := false
			client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				code := c.code
				n := sent.Add(1)
				if slow {
					code = 200
					if n == 2 {
						second.Store(int64(time.Since(began)))
					}
					if r.Body != nil {
						got, _ := io.ReadAll(r.Body)
						bodies.Add(int64(len(got)))
						r.Body.Close()
					}
					time.Sleep(10 * time.Second)
				} else {
					time.Sleep(c.took)
				}
				return &http.Response{StatusCode: code, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
			}))}
			for range c.known {
				get(t, client, c.url)
			}
			sent.Store(0)
			slow, began = true, time.Now()
			var sends io.Reader
			if c.body != nil {
				sends = c.body()
			}
			r, err := http.NewRequestWithContext(t.Context(), c.method, c.url, sends)
			if err != nil {
				t.Fatal(err)
			}
			if c.key {
				r.Header.Set("Idempotency-Key", "k")
			}
			resp, err := client.Do(r)
			if err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
			resp.Body.Close()
			synctest.Wait()
			times := int64(1)
			if c.want > 0 {
				times = 2
			}
			if got := time.Duration(second.Load()); got != c.want || sent.Load() != times || c.body != nil && bodies.Load() != 4*times {
				t.Errorf("%s: hedged after %v, sent %d times, %d bytes of bodies; want %v", c.name, got, sent.Load(), bodies.Load(), c.want)
			}
		})
	}
}

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

// Of two attempts beside each other the first good answer counts; if there is none, it
// is the first attempt's. Nobody waits for the other, and the router learns of both.
func TestWhoseAnswerCounts(t *testing.T) {
	const ms = time.Millisecond
	const ok, failed, cancelled, timeout, connect = router.OK, router.ServerError, router.Cancelled, router.Timeout, router.Connect
	type reply struct {
		after time.Duration
		code  int  // 0: an error
		deaf  bool // it does not hear that nobody waits
	}
	retry := func(p wrapper.RetryPolicy) []wrapper.Option { return []wrapper.Option{wrapper.WithRetry(p)} }
	hedge := append(retry(wrapper.RetryPolicy{Attempts: 1}), wrapper.WithHedge(wrapper.HedgePolicy{Quantile: .5, Ratio: 1}))
	late := retry(wrapper.RetryPolicy{Late: 1})
	for _, c := range []struct {
		name          string
		how           []wrapper.Option // hedge after 100 ms, late after 300 ms
		first, second reply            // the second's counts from when it was sent
		counts        int
		took          time.Duration
		learns        [2]router.Class
	}{
		{"the second is faster", hedge, reply{5000 * ms, 200, false}, reply{200 * ms, 200, false}, 2, 300 * ms, [2]router.Class{cancelled, ok}},
		{"the first is faster", hedge, reply{150 * ms, 200, false}, reply{200 * ms, 200, false}, 1, 150 * ms, [2]router.Class{ok, cancelled}},
		{"the first is faster, and the second deaf", hedge, reply{150 * ms, 200, false}, reply{9000 * ms, 200, true}, 1, 150 * ms, [2]router.Class{ok, cancelled}},
		{"the first fails", hedge, reply{150 * ms, 500, false}, reply{200 * ms, 200, false}, 2, 300 * ms, [2]router.Class{failed, ok}},
		{"both fail", hedge, reply{150 * ms, 500, false}, reply{200 * ms, 501, false}, 1, 300 * ms, [2]router.Class{failed, failed}},
		{"the second fails", hedge, reply{350 * ms, 200, false}, reply{200 * ms, 500, false}, 1, 350 * ms, [2]router.Class{ok, failed}},
		{"the second breaks, and the first is good", hedge, reply{350 * ms, 200, false}, reply{200 * ms, 0, false}, 1, 350 * ms, [2]router.Class{ok, connect}},
		{"the first breaks", hedge, reply{150 * ms, 0, false}, reply{200 * ms, 200, false}, 2, 300 * ms, [2]router.Class{connect, ok}},
		{"the first breaks, the second fails", hedge, reply{150 * ms, 0, false}, reply{200 * ms, 500, false}, 1, 300 * ms, [2]router.Class{connect, failed}},
		{"the second breaks", hedge, reply{150 * ms, 500, false}, reply{200 * ms, 0, false}, 1, 300 * ms, [2]router.Class{failed, connect}},
		{"a caller's fault is an answer", hedge, reply{5000 * ms, 200, false}, reply{200 * ms, 404, false}, 2, 300 * ms, [2]router.Class{cancelled, router.ClientError}},
		{"in a fraction of the time", late, reply{5000 * ms, 200, false}, reply{74 * ms, 200, false}, 2, 374 * ms, [2]router.Class{timeout, ok}},
		{"in a quarter of it", late, reply{5000 * ms, 200, false}, reply{75 * ms, 200, false}, 2, 375 * ms, [2]router.Class{cancelled, ok}},
		{"the late one fails", late, reply{350 * ms, 500, false}, reply{55 * ms, 200, false}, 2, 355 * ms, [2]router.Class{failed, ok}},
		{"a hedge in a fraction of the time", hedge, reply{5000 * ms, 200, false}, reply{ms, 200, false}, 2, 101 * ms, [2]router.Class{cancelled, ok}},
	} {
		synctest.Test(t, func(t *testing.T) {
			rec := newRecorder()
			r := realRouter(t, []string{"a:80", "b:80"})
			w := newWrapper(t, append(c.how[:len(c.how):len(c.how)], wrapper.WithRouter(r), wrapper.WithObserver(rec))...)
			var sent, open atomic.Int64
			var went [3]string
			broke := errors.New("cable cut")
			slow := false
			transport := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
				as := reply{100 * ms, 200, true}
				n := sent.Add(1)
				if slow {
					as = [3]reply{{}, c.first, c.second}[n]
					went[n] = r.URL.Host
				}
				if as.deaf {
					time.Sleep(as.after)
				} else {
					select {
					case <-time.After(as.after):
					case <-r.Context().Done():
						return nil, r.Context().Err()
					}
				}
				if as.code == 0 {
					return nil, broke
				}
				open.Add(1)
				return &http.Response{StatusCode: as.code, Header: http.Header{}, Body: &onClose{io.NopCloser(strings.NewReader("x")), func() { open.Add(-1) }}, Request: r}, nil
			}))
			client := &http.Client{Transport: transport}
			for range 20 {
				get(t, client, "http://greeter/")
				rec.last(t)
			}
			before := map[string]router.NodeStats{"a:80": outcomes(r, "a:80"), "b:80": outcomes(r, "b:80")}
			sent.Store(0)
			slow = true
			began := time.Now()
			resp, err := client.Get("http://greeter/")
			took := time.Since(began)
			want := [3]reply{{}, c.first, c.second}[c.counts]
			if (err != nil) != (want.code == 0) || want.code == 0 && !errors.Is(err, broke) || took != c.took {
				t.Errorf("%s: %v after %v, want %d after %v", c.name, err, took, want.code, c.took)
			}
			if err == nil {
				if resp.StatusCode != want.code {
					t.Errorf("%s: answered %d, want %d", c.name, resp.StatusCode, want.code)
				}
				resp.Body.Close()
			}
			call := rec.last(t)
			time.Sleep(time.Minute) // until the other is over too
			if sent.Load() != 2 || call.Attempts != 2 || call.Instance == nil || call.Instance.Address != went[c.counts] || open.Load() != 0 {
				t.Errorf("%s: sent %d times, recorded %d attempts and %v, want that of %s; %d answers left open", c.name, sent.Load(), call.Attempts, call.Instance, went[c.counts], open.Load())
			}
			for i, class := range c.learns {
				n := outcomes(r, went[i+1])
				if got := n.Outcomes[class] - before[went[i+1]].Outcomes[class]; got != 1 || n.InFlight != 0 {
					t.Errorf("%s: the router learns of attempt %d %v and has %d open, want one more %v", c.name, i+1, n.Outcomes, n.InFlight, class)
				}
			}
		})
	}
}

// Close ends a second attempt, for which it would have to wait; the first goes on.
func TestCloseDoesNotWaitForASecondAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWrapper(t, wrapper.WithRouter(instances("a:80", "b:80")), wrapper.WithHedge(wrapper.HedgePolicy{Quantile: .5, Ratio: 1}))
		var slow atomic.Int64 // calls that are
		client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			takes := 100 * time.Millisecond
			switch slow.Add(1) {
			case 1:
				takes = 10 * time.Second
			case 2:
				takes = time.Hour
			}
			select {
			case <-time.After(takes):
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))}
		slow.Store(2)
		for range 20 {
			get(t, client, "http://greeter/")
		}
		slow.Store(0)
		answered := make(chan error, 1)
		go func() {
			resp, err := client.Get("http://greeter/")
			if err == nil {
				err = resp.Body.Close()
			}
			answered <- err
		}()
		time.Sleep(time.Second)
		if n := slow.Load(); n != 2 {
			t.Fatalf("sent %d times, want 2", n)
		}
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := w.Close(ctx); err != nil || time.Since(began) > 5*time.Second {
			t.Errorf("Close = %v after %v, want to be done within 5 s", err, time.Since(began))
		}
		if err := <-answered; err != nil || time.Since(began) < 8*time.Second {
			t.Errorf("the first attempt ended with %v after %v", err, time.Since(began))
		}
	})
}
