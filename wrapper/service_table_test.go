package wrapper_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/auth/authtest"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// What an adapter may read of a caller's header: all, or at the border what is the
// caller's own to say, in a copy.
func TestBorderOfAdapters(t *testing.T) {
	yes, no := func(context.Context, *wrapper.Call) bool { return true }, func(context.Context, *wrapper.Call) bool { return false }
	fails := func(context.Context, *wrapper.Call) bool { panic("boom") }
	for name, c := range map[string]struct {
		opts     []wrapper.Option
		stranger bool
	}{
		"inside": {nil, false}, "the border": {[]wrapper.Option{wrapper.WithEdge()}, true}, "not trusted": {[]wrapper.Option{wrapper.WithEdge(no, no)}, true}, "trusted": {[]wrapper.Option{wrapper.WithEdge(no, yes)}, false},
		"trusted by another option": {[]wrapper.Option{wrapper.WithEdge(no), wrapper.WithEdge(yes)}, false}, "a function that panics": {[]wrapper.Option{wrapper.WithEdge(fails)}, true}, "and one that trusts": {[]wrapper.Option{wrapper.WithEdge(fails, yes)}, false},
	} {
		lg, err := log.New(log.ToWriter(io.Discard, log.JSON()))
		if err != nil {
			t.Fatal(err)
		}
		a := newWrapper(t, append(c.opts, wrapper.WithLoadReport(), wrapper.WithLog(lg))...).Adapter()
		many, one := map[string][]string{"x-micro-tail": {"1"}}, map[string]string{"x-micro-tail": "1"}
		kept, keptOne := map[string][]string{}, map[string]string{}
		for k, v := range genuine {
			many[k], one[k], kept[k], keptOne[k] = []string{v}, v, []string{v}, v
		}
		for k, v := range forged {
			many[k], one[strings.ToUpper(k)] = []string{v}, v
		}
		if !c.stranger {
			kept, keptOne = maps.Clone(many), maps.Clone(one)
		}
		size := len(many)
		asks, sends := &wrapper.Call{Side: wrapper.Server}, &wrapper.Call{Side: wrapper.Server, Message: true}
		if got := a.Border(t.Context(), asks, many); !maps.EqualFunc(got, kept, slices.Equal) || a.Stranger(asks) != c.stranger {
			t.Errorf("%s: kept %v, a stranger %v; want %v", name, got, a.Stranger(asks), kept)
		}
		if got := a.MessageBorder(t.Context(), sends, one); !maps.Equal(got, keptOne) || a.Stranger(sends) != c.stranger {
			t.Errorf("%s: kept %v of a message, a stranger %v; want %v", name, got, a.Stranger(sends), keptOne)
		}
		if len(many) != size || len(one) != size {
			t.Errorf("%s: the header that was given has changed", name)
		}
		if shown := a.LoadReport(asks) != ""; shown == c.stranger {
			t.Errorf("%s: the load is shown: %v", name, shown)
		}
	}
	if _, err := wrapper.New(wrapper.WithName("x"), wrapper.WithEdge(yes, nil)); !errors.Is(err, wrapper.ErrInvalid) {
		t.Errorf("a nil function: %v", err)
	}
}

// The border holds for probes of the load, too, and only GET is one.
func TestWhoMayProbeTheLoad(t *testing.T) {
	local := func(_ context.Context, c *wrapper.Call) bool { return c.Request().RemoteAddr == "10.0.0.1:1" }
	for _, c := range []struct {
		opts             []wrapper.Option
		method, path, by string
		code             int
	}{
		{[]wrapper.Option{wrapper.WithLoadReport()}, "GET", "/loadz", "10.0.0.2:1", 204}, {[]wrapper.Option{wrapper.WithLoadReport()}, "POST", "/loadz", "10.0.0.2:1", 404}, {[]wrapper.Option{wrapper.WithLoadReport()}, "GET", "/loadz/", "10.0.0.2:1", 404}, {nil, "GET", "/loadz", "10.0.0.2:1", 404},
		{[]wrapper.Option{wrapper.WithLoadReport(), wrapper.WithEdge()}, "GET", "/loadz", "10.0.0.1:1", 404}, {[]wrapper.Option{wrapper.WithLoadReport(), wrapper.WithEdge(local)}, "GET", "/loadz", "10.0.0.1:1", 204}, {[]wrapper.Option{wrapper.WithLoadReport(), wrapper.WithEdge(local)}, "GET", "/loadz", "10.0.0.2:1", 404},
	} {
		r, out := httptest.NewRequest(c.method, c.path, nil), httptest.NewRecorder()
		r.RemoteAddr = c.by
		newWrapper(t, c.opts...).Handler(nil).ServeHTTP(out, r)
		if out.Code != c.code || (out.Header().Get(wrapper.HeaderLoad) == "inflight=0") != (c.code == 204) {
			t.Errorf("%s %s by %s: %d, %v, want %d", c.method, c.path, c.by, out.Code, out.Header(), c.code)
		}
	}
}

// How long calls took lately is worked out again after 5 ms, and how busy the processor
// is after 250 ms. The newest 32 calls count.
func TestHowOftenTheLoadIsWorkedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		w := newWrapper(t, wrapper.WithLoadReport())
		report := func() string { return w.Adapter().LoadReport(&wrapper.Call{}) }
		took := func(n int, d time.Duration) {
			for range n {
				one := &wrapper.Call{Side: wrapper.Server, Protocol: "micro", Start: time.Now()}
				ctx, _ := w.Begin(t.Context(), one)
				one.Duration = d
				w.End(ctx, one)
			}
		}
		latency := func() time.Duration { return wrapper.ParseLoad(report()).Latency }
		if got := report(); got != "inflight=0" {
			t.Errorf("at first: %q", got)
		}
		for i, step := range []struct {
			after time.Duration
			calls int
			took  time.Duration
			want  time.Duration
		}{
			{5 * ms, 1, 70 * ms, 70 * ms}, {0, 9, 10 * ms, 70 * ms}, {5*ms - 1, 0, 0, 70 * ms}, {1, 0, 0, 10 * ms}, {time.Second, 11, 90 * ms, 90 * ms}, {time.Second, 31, 20 * ms, 20 * ms}, {time.Second, 0, 0, 20 * ms},
			{time.Second, 16, 30 * ms, 30 * ms}, {time.Second, 32, 0, 0},
		} {
			took(step.calls, step.took)
			time.Sleep(step.after)
			if got := latency(); got != step.want {
				t.Errorf("step %d: %v, want %v", i, got, step.want)
			}
		}
		for i, step := range []struct {
			after time.Duration
			known bool
		}{{0, true}, {time.Hour, true}} {
			time.Sleep(step.after)
			if got := strings.Contains(report(), ";util="); got != step.known {
				t.Errorf("step %d: the processor is known: %v", i, got)
			}
		}
		fresh := newWrapper(t, wrapper.WithLoadReport())
		for i, step := range []struct {
			after time.Duration
			known bool
		}{{0, false}, {0, false}, {250*ms - 1, false}, {1, true}, {1, true}} {
			time.Sleep(step.after)
			if got := strings.Contains(fresh.Adapter().LoadReport(&wrapper.Call{}), ";util="); got != step.known {
				t.Errorf("from the start, step %d: the processor is known: %v, want %v", i, got, step.known)
			}
		}
	})
}

// A caller that sends proofs gets the nonce of the next one, if nonces are wanted.
func TestWhoGetsANonce(t *testing.T) {
	authority := authtest.NewBound(t)
	for name, c := range map[string]struct {
		opts  []auth.Option
		proof bool
		want  bool
	}{"wanted": {[]auth.Option{auth.WithNonces(nil)}, true, true}, "no proof": {[]auth.Option{auth.WithNonces(nil)}, false, false}, "not wanted": {nil, true, false}} {
		out, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		if c.proof {
			r.Header.Set("DPoP", "x")
		}
		newWrapper(t, wrapper.WithAuth(authority.Auth(t, "greeter", c.opts...))).Handler(nil).ServeHTTP(out, r)
		if got := out.Header().Get("DPoP-Nonce") != ""; got != c.want || out.Code != 401 {
			t.Errorf("%s: a nonce %v, %d, want %v and 401", name, got, out.Code, c.want)
		}
	}
}

// A gate of the user's own that finds no credential asks for a bearer token.
func TestAGatesOwnRefusalHasAChallenge(t *testing.T) {
	out := httptest.NewRecorder()
	newWrapper(t, wrapper.WithGate(enterFunc(func(ctx context.Context) (context.Context, error) {
		return ctx, fmt.Errorf("mine: %w", auth.ErrUnauthenticated)
	}))).Handler(nil).ServeHTTP(out, httptest.NewRequest("GET", "/", nil))
	if got := out.Header().Get("WWW-Authenticate"); out.Code != 401 || !strings.HasPrefix(got, "Bearer") {
		t.Errorf("%d, %q", out.Code, got)
	}
}

// A transport whose TLS is the user's own is used as it is.
func TestTransportsWithTLSOfTheirOwn(t *testing.T) {
	us := newAuthority(t)
	greeter, other := us.serve(t, "", "greeter"), us.serve(t, "", "other")
	trusting := &tls.Config{InsecureSkipVerify: true}
	for name, c := range map[string]struct {
		srv  *httptest.Server
		set  func(*http.Transport)
		good bool
	}{
		"none":                 {greeter, func(*http.Transport) {}, true},
		"none, another's":      {other, func(*http.Transport) {}, false},
		"no configuration":     {greeter, func(b *http.Transport) { b.TLSClientConfig = nil }, false},
		"a name":               {other, func(b *http.Transport) { b.TLSClientConfig.ServerName = "other" }, true},
		"a name that it isn't": {greeter, func(b *http.Transport) { b.TLSClientConfig.ServerName = "other" }, false},
		"it dials itself":      {other, func(b *http.Transport) { b.DialTLSContext = (&tls.Dialer{Config: trusting}).DialContext }, true},
		"it dials itself, as of old": {other, func(b *http.Transport) {
			//lint:ignore SA1019 who uses it still has to be served
			b.DialTLS = func(network, addr string) (net.Conn, error) { return tls.Dial(network, addr, trusting) }
		}, true},
	} {
		base := http.DefaultTransport.(*http.Transport).Clone()
		base.TLSClientConfig = &tls.Config{RootCAs: us.pool()}
		c.set(base)
		w := newWrapper(t, wrapper.WithRouter(instances(c.srv.Listener.Addr().String())), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
		client := &http.Client{Transport: w.Transport(base)}
		if _, err := send(t, client, "GET", "https://greeter/"); (err == nil) != c.good {
			t.Errorf("%s: %v, want it accepted: %v", name, err, c.good)
		}
		client.CloseIdleConnections()
	}
}

// Whatever clock and authorities a transport's TLS has hold for identities that are
// URIs too.
func TestClockOfIdentities(t *testing.T) {
	const id = "spiffe://example.org/greeter"
	us := newAuthority(t)
	srv := us.serve(t, id)
	for name, c := range map[string]struct {
		now  time.Duration
		good bool
	}{"now": {0, true}, "once it has expired": {2 * time.Hour, false}} {
		base := http.DefaultTransport.(*http.Transport).Clone()
		base.TLSClientConfig = &tls.Config{RootCAs: us.pool(), Time: func() time.Time { return time.Now().Add(c.now) }}
		w := newWrapper(t, wrapper.WithRouter(instances(srv.Listener.Addr().String())), wrapper.WithIdentity(func(string) string { return id }), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
		client := &http.Client{Transport: w.Transport(base)}
		resp, err := client.Get("https://greeter/")
		if (err == nil) != c.good {
			t.Errorf("%s: %v, want it accepted: %v", name, err, c.good)
		}
		if err == nil {
			if name, _ := io.ReadAll(resp.Body); string(name) != "greeter" {
				t.Errorf("the service is called as %q", name)
			}
			resp.Body.Close()
		}
		client.CloseIdleConnections()
	}
}

// identified is a monitor that notes as what it reports.
type identified struct {
	phases
	as *[]monitor.Instance
}

func (m identified) Identify(in monitor.Instance) { *m.as = append(*m.as, in) }

// The monitor reports as the first instance of the service itself.
func TestAsWhatTheMonitorReports(t *testing.T) {
	entry := func(service, id string) *listed {
		return &listed{in: discovery.Instance{Service: service, ID: id, Version: "1", Address: "10.0.0.1:80", Zone: "eu"}}
	}
	own := func(id string) []monitor.Instance {
		return []monitor.Instance{{ID: id, Service: "orders", Version: "1", Address: "10.0.0.1:80", Zone: "eu"}}
	}
	for name, c := range map[string]struct {
		all  []discovery.Registration
		want []monitor.Instance
	}{
		"none": {}, "its own": {[]discovery.Registration{entry("orders", "a")}, own("a")}, "the first of two": {[]discovery.Registration{entry("orders", "a"), entry("orders", "b")}, own("a")},
		"another service's": {[]discovery.Registration{entry("admin", "a")}, nil}, "behind another service's": {[]discovery.Registration{entry("admin", "a"), entry("orders", "b"), entry("orders", "c")}, own("b")},
	} {
		var as []monitor.Instance
		w := newWrapper(t, wrapper.WithMonitor(identified{phases{ready: make(chan bool)}, &as}), wrapper.WithDrain(1))
		for _, r := range c.all {
			w.AddRegistration(r)
		}
		if !slices.Equal(as, c.want) {
			t.Errorf("%s: it reports as %+v, want %+v", name, as, c.want)
		}
	}
}

// stubborn is a registration that refuses.
type stubborn struct {
	*listed
	err     error
	removed *atomic.Int32
}

func (s stubborn) Update(context.Context, func(*discovery.Instance)) error { return s.err }
func (s stubborn) Deregister(context.Context) error                        { s.removed.Add(1); return s.err }

// That readiness could not be announced is logged, and Close deregisters all that it
// can, and says what it could not.
func TestARegistryThatRefuses(t *testing.T) {
	for _, refused := range []error{nil, errors.New("registry is down")} {
		synctest.Test(t, func(t *testing.T) {
			var lines strings.Builder
			lg, err := log.New(log.ToWriter(&lines, log.JSON()))
			if err != nil {
				t.Fatal(err)
			}
			var removed atomic.Int32
			m := phases{ready: make(chan bool)}
			opts := []wrapper.Option{wrapper.WithName("orders"), wrapper.WithMonitor(m), wrapper.WithLog(lg), wrapper.WithDrain(1)}
			for range 2 {
				opts = append(opts, wrapper.WithRegistration(stubborn{&listed{in: discovery.Instance{Service: "orders"}}, refused, &removed}))
			}
			w, err := wrapper.New(opts...)
			if err != nil {
				t.Fatal(err)
			}
			m.ready <- false
			m.ready <- false
			synctest.Wait()
			err = w.Close(t.Context())
			if !errors.Is(err, refused) || (err == nil) != (refused == nil) || removed.Load() != 2 {
				t.Errorf("refused with %v: Close: %v, after %d were removed", refused, err, removed.Load())
			}
			if logged := strings.Count(lines.String(), "readiness not announced"); (logged == 2) != (refused != nil) || logged == 1 {
				t.Errorf("refused with %v: logged %d times: %s", refused, logged, lines.String())
			}
		})
	}
}

// A rate lets so many begin at once, and what finds no place costs none of it.
func TestRatesAndPlacesOfAPolicy(t *testing.T) {
	for _, c := range []struct {
		limit wrapper.Limit
		first int         // let through of ten at once that go on
		later map[int]int // by how many of those have ended: let through of ten more, two seconds later
	}{
		{limit: wrapper.Limit{PerSecond: .5}, first: 1, later: map[int]int{0: 1}}, {limit: wrapper.Limit{PerSecond: 3.9}, first: 3, later: map[int]int{0: 3}}, {limit: wrapper.Limit{PerSecond: 1, Burst: 5}, first: 5, later: map[int]int{0: 2}},
		{limit: wrapper.Limit{Concurrency: 4}, first: 4, later: map[int]int{0: 0, 1: 1, 4: 4}}, {limit: wrapper.Limit{Concurrency: 4, PerSecond: .5, Burst: 2}, first: 2, later: map[int]int{0: 1, 2: 1}},
		{limit: wrapper.Limit{Concurrency: 1, PerSecond: 2, Burst: 6}, first: 1, later: map[int]int{0: 0, 1: 1}},
	} {
		for ended, later := range c.later {
			synctest.Test(t, func(t *testing.T) {
				w := newWrapper(t, wrapper.WithPolicies(wrapper.Policy{Inbound: true, Limit: &c.limit}))
				type open struct {
					ctx  context.Context
					call *wrapper.Call
				}
				var in []open
				begin := func() (n int) {
					for range 10 {
						one := &wrapper.Call{Side: wrapper.Server, Protocol: "micro", Method: "M", Start: time.Now()}
						ctx, err := w.Begin(t.Context(), one)
						if err == nil {
							n++
							in = append(in, open{ctx, one})
							continue
						}
						if !errors.Is(err, router.ErrLimited) {
							t.Fatal(err)
						}
						one.Err = err
						w.End(ctx, one)
					}
					return n
				}
				first := begin()
				for _, o := range in[:ended] {
					w.End(o.ctx, o.call)
				}
				in = in[ended:]
				time.Sleep(2 * time.Second)
				if got := begin(); first != c.first || got != later {
					t.Errorf("%+v: %d at once and, with %d over, %d later; want %d and %d", c.limit, first, ended, got, c.first, later)
				}
				for _, o := range in {
					w.End(o.ctx, o.call)
				}
			})
		}
	}
}

// Which policy matches a path, however it is written: of calls that come in over HTTP
// and over other protocols.
func TestWhichPolicyMatches(t *testing.T) {
	const s = time.Second
	w := newWrapper(t, wrapper.WithServerTimeout(9*s), wrapper.WithPolicies(
		wrapper.Policy{Inbound: true, Route: "/users/", Timeout: 2 * s}, wrapper.Policy{Inbound: true, Route: "/users/{id}", Timeout: 3 * s}, wrapper.Policy{Inbound: true, Route: "/exact", Method: "PUT", Timeout: 4 * s},
		wrapper.Policy{Inbound: true, Route: "/a.B/", Timeout: 5 * s}, wrapper.Policy{Inbound: true, Route: "/Orders.Get", Method: "POST", Timeout: 6 * s}, wrapper.Policy{Service: "orders", Timeout: 7 * s}, wrapper.Policy{Inbound: true, Service: "other", Timeout: 8 * s}))
	for _, c := range []struct {
		protocol, action, resource, method string
		want                               time.Duration
	}{
		{"http", "GET", "/users/", "", 2 * s}, {"http", "GET", "/users/1/x", "", 2 * s}, {"http", "GET", "/users/1", "", 3 * s}, {"http", "GET", "/users", "", 9 * s}, {"http", "GET", "users/1", "", 3 * s}, {"http", "GET", "/users/1/", "", 2 * s}, {"http", "GET", "//users/./1", "", 3 * s},
		{"http", "GET", "/users/..", "", 9 * s}, {"http", "GET", "/users/../", "", 9 * s}, {"http", "GET", "", "", 9 * s}, {"http", "GET", "/", "", 9 * s}, {"http", "PUT", "/exact", "", 4 * s}, {"http", "GET", "/exact", "", 9 * s}, {"http", "PUT", "/exact/", "", 9 * s},
		{"grpc", "/a.B/C", "", "/a.B/C", 5 * s}, {"grpc", "/a.B2/C", "", "/a.B2/C", 9 * s}, {"micro", "Orders.Get", "", "Orders.Get", 6 * s}, {"micro", "Orders.Set", "", "Orders.Set", 9 * s},
	} {
		one := &wrapper.Call{Side: wrapper.Server, Protocol: c.protocol, Service: "orders", Action: c.action, Resource: c.resource, Method: c.method}
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := w.Adapter().Bound(t.Context(), one)
			defer cancel()
			if end, _ := ctx.Deadline(); time.Until(end) != c.want || one.Route != "" {
				t.Errorf("%+v: bounded by %v, route %q, want %v", c, time.Until(end), one.Route, c.want)
			}
		})
	}
	message := &wrapper.Call{Side: wrapper.Server, Message: true, Protocol: "event", Service: "orders", Method: "Orders.Get"}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := w.Adapter().Bound(t.Context(), message)
		defer cancel()
		if end, _ := ctx.Deadline(); time.Until(end) != 9*s {
			t.Errorf("a message is bounded by %v", time.Until(end))
		}
	})
}

// Whose token a call to a service shows, by what was chosen and whether it is made on
// behalf of a caller. Strangers get none, and a caller's own header stays.
func TestWhoseTokenIsShown(t *testing.T) {
	authority := auth.NewAuthority()
	a, err := auth.New(auth.Local(authority), auth.WithService("orders"))
	if err != nil {
		t.Fatal(err)
	}
	caller, err := authority.Issue("shop", "orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	checks := map[string]auth.Auth{}
	for _, service := range []string{"orders", "greeter"} {
		checks[service], err = auth.New(auth.Local(authority), auth.WithService(service), auth.WithRules(auth.AllowAuthenticated()))
		if err != nil {
			t.Fatal(err)
		}
		defer checks[service].Close()
	}
	const own = wrapper.Own
	for _, c := range []struct {
		name         string
		mode         wrapper.TokenMode
		behalf       bool
		url, header  string
		subject, aud string // "": none is shown
	}{
		{"its own", own, false, "http://greeter/", "", "orders", "greeter"}, {"its own, for a caller", own, true, "http://greeter/", "", "orders", "greeter"}, {"none", wrapper.None, true, "http://greeter/", "", "", ""},
		{"the caller's", wrapper.PassOn, true, "http://greeter/", "", "shop", "orders"}, {"the caller's, without one", wrapper.PassOn, false, "http://greeter/", "", "orders", "greeter"},
		{"exchanged", wrapper.Exchange, true, "http://greeter/", "", "shop", "greeter"}, {"exchanged, without a caller", wrapper.Exchange, false, "http://greeter/", "", "orders", "greeter"},
		{"strangers", own, true, "http://greeter.example/", "", "", ""}, {"a header is there", own, true, "http://greeter/", "Basic YTpi", "", ""},
	} {
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithAuth(a), wrapper.WithTokens(func(string) wrapper.TokenMode { return c.mode }))
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		if c.behalf {
			ctx = auth.ContextWithToken(ctx, caller)
		}
		r, err := http.NewRequestWithContext(ctx, "GET", c.url, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.header != "" {
			r.Header.Set("Authorization", c.header)
		}
		var shown http.Header
		resp, err := w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			shown = r.Header
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		})).RoundTrip(r)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		resp.Body.Close()
		if c.subject == "" {
			if got := shown.Get("Authorization"); got != c.header || len(shown["Dpop"]) != 0 {
				t.Errorf("%s: shown %q, want %q", c.name, got, c.header)
			}
			continue
		}
		seen := &http.Request{Header: http.Header{"Authorization": shown["Authorization"]}}
		got, _, err := auth.CredentialFromRequest(seen)
		if err != nil {
			t.Fatal(err)
		}
		token, err := checks[c.aud].Authorized(auth.ContextWithCredential(t.Context(), got), auth.Request{Service: c.aud, Action: "GET", Resource: "/"})
		if err != nil || token.Subject != c.subject {
			t.Errorf("%s: %s is shown %v, %v; want that of %s", c.name, c.aud, token, err, c.subject)
		}
	}
	a.Close()
}

// A Wrapper that is closed while two attempts are on their way still ends both: the
// call then waits for the one that lost.
func TestCloseWhileTwoAttemptsAreOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const ms = time.Millisecond
		d, ended := 100*ms, make(attempts, 100)
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithRouter(instances("a:80", "b:80")), wrapper.WithObserver(ended), wrapper.WithHedge(wrapper.HedgePolicy{Quantile: .5, Ratio: 1}))
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: w.Transport(roundTripper(func(r *http.Request) (*http.Response, error) {
			time.Sleep(d)
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
		}))}
		for range 20 {
			get(t, client, "http://greeter/")
		}
		d = time.Second
		began := time.Now()
		time.AfterFunc(500*ms, func() { w.Close(context.Background()) })
		get(t, client, "http://greeter/")
		if took := time.Since(began); took != 1100*ms || len(ended) != 22 {
			t.Errorf("after %v, %d of 22 attempts have ended, want all after 1.1s", took, len(ended))
		}
	})
}
