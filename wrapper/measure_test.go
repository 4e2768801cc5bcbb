package wrapper_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/wrapper"
)

// series returns the values of a metric by its labels, joined.
func series(m metrics.Metrics, name string) map[string]float64 {
	all := map[string]float64{}
	for _, f := range m.Snapshot().Families {
		if f.Name == name {
			for _, s := range f.Series {
				all[strings.Join(s.Values, " ")] = s.Value
			}
		}
	}
	return all
}

func same(t *testing.T, m metrics.Metrics, name string, want map[string]float64) {
	t.Helper()
	if got := series(m, name); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s is\n%v, want\n%v", name, got, want)
	}
}

// fleet is instances of a service "web", some of which can be made to fail, and a
// client with metrics.
type fleet struct {
	client    *wrapper.Wrapper
	metrics   metrics.Metrics
	discovery discovery.Discovery
	router    router.Router
	calls     atomic.Int64
	fails     atomic.Pointer[string]              // the id of the instance that fails
	late      atomic.Pointer[func(*http.Request)] // what web-0 waits for, once it is set
	entries   map[string]discovery.Registration
}

func newFleet(t *testing.T, n int, routing []router.Option, opts ...wrapper.Option) *fleet {
	t.Helper()
	f := &fleet{entries: map[string]discovery.Registration{}}
	none := ""
	f.fails.Store(&none)
	var errs [4]error
	f.metrics, errs[0] = metrics.New()
	f.discovery, errs[1] = discovery.New()
	f.router, errs[2] = router.New(append([]router.Option{router.WithDiscovery(f.discovery), router.WithStrategy(router.RoundRobin())}, routing...)...)
	f.client, errs[3] = wrapper.New(append(opts, wrapper.WithName("client"), wrapper.WithRouter(f.router), wrapper.WithMetrics(f.metrics), wrapper.WithDiscovery(f.discovery))...)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.client.Close(context.Background()); f.discovery.Close() })
	for i := range n {
		id := fmt.Sprint("web-", i)
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			f.calls.Add(1)
			if wait := f.late.Load(); wait != nil && id == "web-0" {
				(*wait)(r)
			}
			if *f.fails.Load() == id {
				rw.WriteHeader(http.StatusInternalServerError)
			}
		}))
		t.Cleanup(srv.Close)
		r, err := f.discovery.Register(t.Context(), discovery.Instance{ID: id, Service: "web", Address: strings.TrimPrefix(srv.URL, "http://")})
		if err != nil {
			t.Fatal(err)
		}
		f.entries[id] = r
	}
	return f
}

func (f *fleet) post(t *testing.T, url string) error {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := f.client.Client().Do(r)
	if err == nil {
		resp.Body.Close()
	}
	return err
}

// until waits for what happens in the background.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("within 30 s not %s", what)
		}
	}
}

func TestRouterIsMeasured(t *testing.T) {
	f := newFleet(t, 4, []router.Option{router.WithBreakers(router.Breakers{BreakerPolicy: router.BreakerPolicy{Open: time.Hour, Longest: time.Hour}}), router.WithEjection(router.Ejection{Base: time.Hour, Max: time.Hour})})
	if got := series(f.metrics, "platform.router.instances"); len(got) != 0 {
		t.Errorf("nobody was called, and there are %v", got)
	}
	for range 8 {
		f.post(t, "http://web/")
	}
	same(t, f.metrics, "platform.router.instances", map[string]float64{"web in_rotation": 4, "web ejected": 0, "web out_of_aperture": 0})
	same(t, f.metrics, "platform.router.breakers", map[string]float64{"web closed": 4, "web open": 0, "web half-open": 0, "web ramping": 0})
	same(t, f.metrics, "platform.router.outcomes", map[string]float64{"web web-0 ok": 2, "web web-1 ok": 2, "web web-2 ok": 2, "web web-3 ok": 2})
	if latency := series(f.metrics, "platform.router.latency"); len(latency) != 4 || latency["web web-2"] <= 0 || latency["web web-2"] > 10 {
		t.Errorf("latencies %v, want some of 4", latency)
	}
	bad := "web-1"
	f.fails.Store(&bad)
	for range 60 {
		f.post(t, "http://web/")
	}
	for range 2 { // collecting again adds nothing
		outcomes, sum := series(f.metrics, "platform.router.outcomes"), 0.0
		for _, n := range outcomes {
			sum += n
		}
		if int64(sum) != f.calls.Load() || outcomes["web web-1 server_error"] != 5 || outcomes["web web-1 ok"] != 2 {
			t.Errorf("%v: %v, want %d in all, and 5 failures in a row of web-1", sum, outcomes, f.calls.Load())
		}
		same(t, f.metrics, "platform.router.ejections", map[string]float64{"web web-0": 0, "web web-1": 1, "web web-2": 0, "web web-3": 0})
		same(t, f.metrics, "platform.router.breaker.trips", map[string]float64{"web web-0": 0, "web web-1": 1, "web web-2": 0, "web web-3": 0})
		same(t, f.metrics, "platform.router.instances", map[string]float64{"web in_rotation": 3, "web ejected": 1, "web out_of_aperture": 0})
		same(t, f.metrics, "platform.router.breakers", map[string]float64{"web closed": 3, "web open": 1, "web half-open": 0, "web ramping": 0})
	}
	if err := f.entries["web-1"].Deregister(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "gone from the router", func() bool { return len(f.router.Stats("web")) == 3 })
	same(t, f.metrics, "platform.router.ejections", map[string]float64{"web web-0": 0, "web web-2": 0, "web web-3": 0})
	same(t, f.metrics, "platform.router.breaker.trips", map[string]float64{"web web-0": 0, "web web-2": 0, "web web-3": 0})
	same(t, f.metrics, "platform.router.instances", map[string]float64{"web in_rotation": 3, "web ejected": 0, "web out_of_aperture": 0})
	if got := series(f.metrics, "platform.router.outcomes"); len(got) != 3 || got["web web-0 ok"] < 2 {
		t.Errorf("outcomes %v, want those of the three that are left", got)
	}
}

// A router without breakers has no breakers to be measured.
func TestWithoutBreakersThereIsNoMetricOfThem(t *testing.T) {
	f := newFleet(t, 2, nil)
	f.post(t, "http://web/")
	for range 2 {
		same(t, f.metrics, "platform.router.instances", map[string]float64{"web in_rotation": 2, "web ejected": 0, "web out_of_aperture": 0})
		same(t, f.metrics, "platform.router.breakers", map[string]float64{})
		same(t, f.metrics, "platform.router.breaker.trips", map[string]float64{})
	}
}

// changing is a router whose answers the test chooses.
type changing struct {
	router.Router
	services []string
	stats    map[string][]router.NodeStats
}

func (c *changing) Services() []string                      { return c.services }
func (c *changing) Stats(service string) []router.NodeStats { return c.stats[service] }
func (c *changing) Close(context.Context) error             { return nil }

// What is not called any more has no series; an instance that begins again adds
// what it has counted since.
func TestServicesThatAreForgotten(t *testing.T) {
	last := &pushed{}
	m, err := metrics.New(metrics.WithDriver("last", func(context.Context) (metrics.Driver, error) { return last, nil }), metrics.WithInterval(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	node := func(ok, ejections, trips uint64) router.NodeStats {
		n := router.NodeStats{ID: "i", InSubset: true, Picks: ok, Ejections: ejections, Trips: trips, Latency: time.Second, Breakers: [4]int{1}}
		n.Outcomes[router.OK] = ok
		return n
	}
	r := &changing{services: []string{"a", "b"}, stats: map[string][]router.NodeStats{"a": {node(5, 2, 3)}, "b": {node(1, 0, 0)}}}
	w := newWrapper(t, wrapper.WithRouter(r), wrapper.WithMetrics(m))
	same(t, m, "platform.router.outcomes", map[string]float64{"a i ok": 5, "b i ok": 1})
	r.stats["a"] = []router.NodeStats{node(7, 2, 4)}
	same(t, m, "platform.router.outcomes", map[string]float64{"a i ok": 7, "b i ok": 1})
	r.stats["a"] = []router.NodeStats{node(3, 1, 0)} // another process of the same id
	same(t, m, "platform.router.outcomes", map[string]float64{"a i ok": 10, "b i ok": 1})
	same(t, m, "platform.router.ejections", map[string]float64{"a i": 3, "b i": 0})
	same(t, m, "platform.router.breaker.trips", map[string]float64{"a i": 4, "b i": 0})
	r.stats["a"] = []router.NodeStats{node(2, 1, 0)} // and another one
	same(t, m, "platform.router.outcomes", map[string]float64{"a i ok": 12, "b i ok": 1})
	same(t, m, "platform.router.ejections", map[string]float64{"a i": 4, "b i": 0})
	r.stats["a"][0].InSubset = false
	same(t, m, "platform.router.instances", map[string]float64{"a in_rotation": 0, "a ejected": 0, "a out_of_aperture": 1, "b in_rotation": 1, "b ejected": 0, "b out_of_aperture": 0})
	r.services = []string{"b"}
	for name, want := range map[string]int{"outcomes": 1, "ejections": 1, "breaker.trips": 1, "instances": 3, "breakers": 4, "latency": 1} {
		if got := series(m, "platform.router."+name); len(got) != want {
			t.Errorf("%s has %v, want only what is of b", name, got)
		}
	}
	r.services = []string{"a", "b"} // it is called again
	same(t, m, "platform.router.outcomes", map[string]float64{"a i ok": 2, "b i ok": 1})
	r.services = []string{"b"}
	r.stats["b"] = []router.NodeStats{node(9, 0, 0)}
	if err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.stats["b"] = []router.NodeStats{node(20, 0, 0)}
	if s, _ := last.Find("platform.router.outcomes", "b", "i", "ok"); s.Value != 9 {
		t.Errorf("the last push had %v, want 9", s.Value)
	}
	same(t, m, "platform.router.outcomes", map[string]float64{"b i ok": 9}) // nobody is asked any more
}

// pushed keeps the last snapshot.
type pushed struct{ metrics.Snapshot }

func (p *pushed) Export(_ context.Context, s *metrics.Snapshot) (metrics.Sent, error) {
	p.Snapshot = *s
	return metrics.Sent{}, nil
}
func (p *pushed) Ping(context.Context) error { return nil }
func (p *pushed) Close() error               { return nil }

func TestDiscoveryIsMeasured(t *testing.T) {
	f := newFleet(t, 2, nil)
	same(t, f.metrics, "platform.discovery.instances", map[string]float64{})
	f.post(t, "http://web/")
	same(t, f.metrics, "platform.discovery.instances", map[string]float64{"web confirmed": 2, "web unconfirmed": 0, "web preserved": 0})
	same(t, f.metrics, "platform.discovery.status", map[string]float64{"web": 1})
	same(t, f.metrics, "platform.discovery.staleness", map[string]float64{"web": 0})
}

// known is a Discovery that says what the test makes it say.
type known struct {
	discovery.Discovery
	is map[string]discovery.Snapshot
}

func (k *known) Lookup(service string) (discovery.Snapshot, bool) {
	s, ok := k.is[service]
	return s, ok && s.State != discovery.Cold
}

func TestDiscoveryThatIsStaleIsMeasured(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	d := &known{is: map[string]discovery.Snapshot{
		"a": {Instances: make([]discovery.Instance, 9), Unconfirmed: 2, Preserved: 3, State: discovery.Live, AsOf: time.Now().Add(-time.Minute)},
		"b": {Instances: make([]discovery.Instance, 1), State: discovery.Stale, AsOf: time.Now().Add(-time.Hour)},
		"c": {State: discovery.Cold},
	}}
	r := &changing{services: []string{"a", "b", "c", "d"}}
	newWrapper(t, wrapper.WithRouter(r), wrapper.WithMetrics(m), wrapper.WithDiscovery(d))
	same(t, m, "platform.discovery.instances", map[string]float64{"a confirmed": 4, "a unconfirmed": 2, "a preserved": 3, "b confirmed": 1, "b unconfirmed": 0, "b preserved": 0})
	same(t, m, "platform.discovery.status", map[string]float64{"a": 1, "b": 0})
	if got := series(m, "platform.discovery.staleness"); got["a"] != 0 || got["b"] < 3600 || got["b"] > 3700 || len(got) != 2 {
		t.Errorf("staleness %v, want 0 of what is live and an hour of what is not", got)
	}
	r.services = []string{"b"}
	same(t, m, "platform.discovery.status", map[string]float64{"b": 0})
	same(t, m, "platform.discovery.instances", map[string]float64{"b confirmed": 1, "b unconfirmed": 0, "b preserved": 0})
}

// entry is a registration that has failed, or not.
type entry struct {
	discovery.Registration
	service string
	err     error
}

func (e entry) Instance() discovery.Instance     { return discovery.Instance{Service: e.service} }
func (e entry) Err() error                       { return e.err }
func (e entry) Deregister(context.Context) error { return nil }

func TestRegistrationsAreMeasured(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	w := newWrapper(t, wrapper.WithMetrics(m), wrapper.WithRegistration(entry{service: "a"}))
	same(t, m, "platform.registration.status", map[string]float64{"a": 1})
	w.AddRegistration(entry{service: "b", err: errors.New("no registry")})
	w.AddRegistration(entry{service: "b"})
	w.AddRegistration(entry{service: "a"})
	same(t, m, "platform.registration.status", map[string]float64{"a": 1, "b": 0})
}

// Retries and hedges are told from first attempts, and counted when the budget
// has none left; what was held back is counted by reason.
func TestAttemptsAreCountedByKind(t *testing.T) {
	f := newFleet(t, 1, nil, wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 3, Min: time.Microsecond, Max: time.Millisecond, PerSecond: 2, Ratio: 1e-9, Statuses: []int{500}}),
		wrapper.WithPolicies(wrapper.Policy{Service: "web", Route: "/limited", Limit: &wrapper.Limit{PerSecond: 1e-9, Burst: 1}}))
	bad := "web-0"
	f.fails.Store(&bad)
	for range 3 { // 2 retries of the first, none of the others
		resp, err := f.client.Client().Get("http://web/")
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
	same(t, f.metrics, "platform.client.attempts", map[string]float64{"web  first server_error": 3, "web  retry server_error": 2})
	same(t, f.metrics, "platform.client.budget.exhausted", map[string]float64{"web  retry": 2})
	same(t, f.metrics, "platform.client.refusals", map[string]float64{})
	for _, url := range []string{"http://web/limited", "http://web/limited", "http://web/limited", "http://nobody/"} {
		f.post(t, url)
	}
	same(t, f.metrics, "platform.client.refusals", map[string]float64{"web  limit": 2, "nobody  no_instance": 1})
}

func TestCallsThatOpenBreakersHoldBackAreCounted(t *testing.T) {
	f := newFleet(t, 1, []router.Option{router.WithBreakers(router.Breakers{FailFast: true, BreakerPolicy: router.BreakerPolicy{Open: time.Hour, Longest: time.Hour}})})
	bad := "web-0"
	f.fails.Store(&bad)
	var held float64
	for range 10 {
		if errors.Is(f.post(t, "http://web/"), router.ErrOpen) {
			held++
		}
	}
	if held == 0 {
		t.Fatal("no breaker opened")
	}
	same(t, f.metrics, "platform.client.refusals", map[string]float64{"web  breaker": held})
}

func TestHedgesAreCounted(t *testing.T) {
	for _, test := range []struct{ ratio, sent, held float64 }{{1e-9, 0, 8}, {1, 8, 0}} {
		f := newFleet(t, 2, nil, wrapper.WithHedge(wrapper.HedgePolicy{Quantile: .5, Ratio: test.ratio}))
		held := func() float64 { return series(f.metrics, "platform.client.budget.exhausted")["web  hedge"] }
		get := func() {
			resp, err := f.client.Client().Get("http://web/")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		for range 20 { // without them no latency is usual yet
			get()
		}
		for range 16 { // each second one goes to web-0
			before := held()
			late := func(r *http.Request) { // until a hedge was faster, or was held back
				for r.Context().Err() == nil && held() == before {
					time.Sleep(100 * time.Microsecond)
				}
			}
			f.late.Store(&late)
			get()
		}
		f.client.Close(t.Context()) // nothing is under way any more
		kinds := map[string]float64{}
		for labels, n := range series(f.metrics, "platform.client.attempts") {
			kinds[strings.Fields(labels)[1]] += n
		}
		if kinds["first"] != 36 || kinds["retry"] != 0 || kinds["hedge"] < test.sent || held() < test.held || test.sent == 0 && kinds["hedge"] > 1 || test.held == 0 && held() > 0 {
			t.Errorf("with a budget of %v: attempts %v, %v held back, want 36 and %v hedges sent, %v held back", test.ratio, kinds, held(), test.sent, test.held)
		}
	}
}
