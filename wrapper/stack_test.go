package wrapper_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// parts are all the packages that a service puts into its wrapper.
type parts struct {
	log      log.Log
	lines    *strings.Builder
	trace    trace.Tracer
	spans    *trace.Store
	metrics  metrics.Metrics
	monitor  monitor.Monitor
	auth     auth.Auth
	registry discovery.Discovery
	router   router.Router
}

func newParts(t testing.TB, service string, shared *discovery.Registry, authority *auth.Authority, spans *trace.Store) *parts {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	p := &parts{lines: &strings.Builder{}, spans: spans}
	var err error
	p.log, err = log.New(log.ToWriter(p.lines, log.JSON()), log.WithLevel("", slog.LevelInfo), log.WithContext(trace.ContextAttrs))
	must(err)
	p.trace, err = trace.New(trace.WithService(service), trace.Memory(spans))
	must(err)
	p.metrics, err = metrics.New()
	must(err)
	p.monitor, err = monitor.New(monitor.WithService(service))
	must(err)
	p.auth, err = auth.New(auth.Local(authority), auth.WithService(service), auth.WithRules(
		auth.Rule{ID: "edge", Effect: auth.Allow, Subjects: []string{"edge"}, Services: []string{"greeter"}, Actions: []string{"GET"}},
	))
	must(err)
	p.registry, err = discovery.New(discovery.Memory(shared))
	must(err)
	t.Cleanup(func() {
		if err := p.registry.Close(); err != nil {
			t.Error(err)
		}
	})
	p.router, err = router.New(router.WithDiscovery(p.registry))
	must(err)
	return p
}

func (p *parts) options() []wrapper.Option {
	return []wrapper.Option{
		wrapper.WithLog(p.log), wrapper.WithTrace(p.trace), wrapper.WithMetrics(p.metrics), wrapper.WithMonitor(p.monitor),
		wrapper.WithAuth(p.auth), wrapper.WithRouter(p.router),
	}
}

func TestTheWholeStackOverTwoServices(t *testing.T) {
	shared, authority, spans := discovery.NewRegistry(), auth.NewAuthority(), trace.NewStore(1000, time.Hour)
	server := newParts(t, "greeter", shared, authority, spans)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		token, ok := auth.FromContext(r.Context())
		if !ok || trace.FromContext(r.Context()).Context().TraceID.IsZero() {
			t.Error("the handler finds neither token nor span")
		}
		server.log.Logger("greeter").InfoContext(r.Context(), "greeting")
		io.WriteString(w, "hello "+r.PathValue("name")+" from "+token.Subject)
	})
	mux.HandleFunc("GET /fail", func(w http.ResponseWriter, r *http.Request) { panic("boom") })
	mux.Handle("GET /readyz", server.monitor.Handler())
	sw, err := wrapper.New(append(server.options(), wrapper.WithName("greeter"))...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(sw.Handler(mux))
	defer srv.Close()
	if _, err := server.registry.Register(t.Context(), discovery.Instance{Service: "greeter", Address: srv.Listener.Addr().String()}); err != nil {
		t.Fatal(err)
	}
	client := newParts(t, "edge", shared, authority, spans)
	cw, err := wrapper.New(append(client.options(), wrapper.WithName("edge"))...)
	if err != nil {
		t.Fatal(err)
	}

	if _, body := get(t, cw.Client(), "http://greeter/hello/ada"); body != "hello ada from edge" {
		t.Errorf("got %q", body)
	}
	if resp, _ := get(t, cw.Client(), "http://greeter/fail"); resp.StatusCode != 500 {
		t.Errorf("a panic is answered with %d, want 500", resp.StatusCode)
	}
	// A stranger without a token, one with a bad one, and a probe.
	for _, c := range []struct {
		path, token string
		want        int
		challenge   string
	}{
		{"/hello/eve", "", 401, "Bearer"},
		{"/hello/eve", "Bearer nonsense", 401, `Bearer error="invalid_token"`},
		{"/hello/eve", "Basic ZXZlOmV2ZQ==", 401, "Bearer"},
		{"/readyz", "", 200, ""},
	} {
		r, _ := http.NewRequest("GET", srv.URL+c.path, nil)
		if c.token != "" {
			r.Header.Set("Authorization", c.token)
		}
		resp, err := srv.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != c.want || !strings.HasPrefix(got, c.challenge) {
			t.Errorf("%s with token %q: %d %q, want %d %q", c.path, c.token, resp.StatusCode, got, c.want, c.challenge)
		}
	}
	// Known, but not allowed.
	mallory, err := authority.Issue("mallory", "greeter", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := http.NewRequest("GET", srv.URL+"/hello/x", nil)
	r.Header.Set("Authorization", "Bearer "+string(mallory.AccessToken))
	if resp, err := srv.Client().Do(r); err != nil || resp.StatusCode != 403 {
		t.Errorf("mallory: %v, %v, want 403", resp, err)
	} else {
		resp.Body.Close()
	}

	ctx := context.Background()
	if err := errors.Join(cw.Close(ctx), sw.Close(ctx)); err != nil {
		t.Errorf("Close: %v", err)
	}
	checkTraces(t, spans)
	checkNumbers(t, server, client)
	checkLog(t, server)
}

func checkTraces(t *testing.T, spans *trace.Store) {
	t.Helper()
	page, err := spans.Search(t.Context(), trace.Query{Service: "edge"})
	if err != nil || len(page.Traces) != 2 {
		t.Fatalf("%d traces of the client, %v, want 2", len(page.Traces), err)
	}
	for _, tr := range page.Traces {
		if len(tr.Spans) != 2 {
			t.Fatalf("%d spans, want call and server:\n%s", len(tr.Spans), tr.Tree())
		}
		call, served := tr.Spans[0], tr.Spans[1]
		if call.Kind != trace.Client || served.Kind != trace.Server || served.Context.ParentID != call.Context.SpanID ||
			served.Local.Service != "greeter" || call.Remote.Service != "greeter" || call.Remote.Address == "" {
			t.Errorf("wrong shape:\n%s", tr.Tree())
		}
		if failed := served.Name == "GET /fail"; failed != (served.Err != "") || (!failed && served.Name != "GET /hello/{name}") {
			t.Errorf("server span %q with error %q", served.Name, served.Err)
		}
	}
}

func checkNumbers(t *testing.T, server, client *parts) {
	t.Helper()
	count := func(m metrics.Metrics, name string, values ...string) uint64 {
		for _, f := range m.Snapshot().Families {
			for _, s := range f.Series {
				if f.Name == name && slices.Equal(s.Values, values) {
					return s.Count
				}
			}
		}
		return 0
	}
	for _, c := range []struct {
		m      metrics.Metrics
		name   string
		values []string
		want   uint64
	}{
		{server.metrics, "http.server.request.duration", []string{"GET", "/hello/{name}", "200", "http", "1.1", ""}, 1},
		{server.metrics, "http.server.request.duration", []string{"GET", "/fail", "500", "http", "1.1", "panic"}, 1},
		{server.metrics, "http.server.request.duration", []string{"GET", "", "401", "http", "1.1", ""}, 3}, // refused before the mux
		{server.metrics, "http.server.request.duration", []string{"GET", "", "403", "http", "1.1", ""}, 1},
		{client.metrics, "http.client.request.duration", []string{"GET", "greeter", "", "200", "1.1", ""}, 1},
		{client.metrics, "http.client.request.duration", []string{"GET", "greeter", "", "500", "1.1", "500"}, 1},
		{client.metrics, "platform.client.attempts", []string{"greeter", "", "first", "server_error"}, 1},
	} {
		if got := count(c.m, c.name, c.values...); got != c.want {
			t.Errorf("%s%q = %d, want %d", c.name, c.values, got, c.want)
		}
	}
	found := false
	for _, e := range server.monitor.Stats().Endpoints {
		found = found || e.Method == "GET /fail" && e.Total.Errors == 1
	}
	if !found {
		t.Errorf("the monitor has %+v", server.monitor.Stats().Endpoints)
	}
	if phase := server.monitor.Status().Phase; phase != monitor.Stopped {
		t.Errorf("phase %v after Close, want stopped", phase)
	}
}

func checkLog(t *testing.T, server *parts) {
	t.Helper()
	lines := server.lines.String()
	for _, want := range []string{`"greeting"`, `"trace_id"`, `"exception.message":"boom"`} {
		if !strings.Contains(lines, want) {
			t.Errorf("no %s in the log:\n%s", want, lines)
		}
	}
	if strings.Contains(lines, "Bearer ey") || strings.Contains(lines, ".eyJ") || strings.Contains(lines, "ZXZlOmV2ZQ") {
		t.Error("the log shows a token")
	}
}

func TestCloseGoesInOrder(t *testing.T) {
	var order []string
	note := func(s string) func(context.Context) error {
		return func(context.Context) error { order = append(order, s); return nil }
	}
	d, err := discovery.New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	reg, err := d.Register(t.Context(), discovery.Instance{Service: "orders", Address: "127.0.0.1:1"})
	if err != nil {
		t.Fatal(err)
	}
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithRegistration(reg), wrapper.WithDrain(time.Millisecond),
		wrapper.WithOnClose(note("first")), wrapper.WithOnClose(note("second")))
	if err != nil {
		t.Fatal(err)
	}
	entered, release := make(chan struct{}), make(chan struct{})
	served := make(chan struct{})
	go func() {
		defer close(served)
		w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
			order = append(order, "call")
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	<-entered
	closed := make(chan error)
	go func() { closed <- w.Close(context.Background()) }()
	poll(t, "the deregistration", func() bool { s, err := d.Get(t.Context(), "orders"); return err == nil && len(s.Instances) == 0 })
	close(release)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	<-served
	if got := strings.Join(order, " "); got != "call first second" {
		t.Errorf("order %q, want the call in progress before what OnClose does", got)
	}
}

func TestCloseIsBoundedByItsContext(t *testing.T) {
	w, err := wrapper.New(wrapper.WithName("orders"))
	if err != nil {
		t.Fatal(err)
	}
	entered, release, served := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(served)
		w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	}()
	<-entered
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 calls in progress") {
		t.Errorf("Close = %v", err)
	}
	close(release)
	<-served
}

// A call that does not end leaves time for what is closed after it.
func TestCallsInProgressLeaveTimeForOnClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithOnClose(func(ctx context.Context) error {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return ctx.Err()
		}))
		if err != nil {
			t.Fatal(err)
		}
		entered, release := make(chan struct{}), make(chan struct{})
		go w.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
			close(entered)
			<-release
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		<-entered
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		if err := w.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 calls in progress") {
			t.Errorf("Close = %v", err)
		}
		if left != 2*time.Second {
			t.Errorf("what OnClose gave had %v of 20 s, want 2 s", left)
		}
		close(release)
	})
}

func TestBadOptionsAreRefused(t *testing.T) {
	name := wrapper.WithName("orders")
	for what, opts := range map[string][]wrapper.Option{
		"no name": nil, "empty name": {wrapper.WithName("")}, "nil option": {name, nil}, "nil log": {name, wrapper.WithLog(nil)},
		"nil trace": {name, wrapper.WithTrace(nil)}, "nil auth": {name, wrapper.WithAuth(nil)}, "timeout": {name, wrapper.WithClientTimeout(-1)},
		"retry": {name, wrapper.WithRetry(wrapper.RetryPolicy{Attempts: -1})}, "ratio": {name, wrapper.WithRetry(wrapper.RetryPolicy{Ratio: 2})},
		"hedge": {name, wrapper.WithHedge(wrapper.HedgePolicy{Quantile: 1})}, "limit": {name, wrapper.WithLimit(nil)},
		"gate": {name, wrapper.WithGate(nil)}, "observer": {name, wrapper.WithObserver(nil)},
		"nil metrics": {name, wrapper.WithMetrics(nil)}, "nil monitor": {name, wrapper.WithMonitor(nil)}, "nil router": {name, wrapper.WithRouter(nil)},
		"nil discovery": {name, wrapper.WithDiscovery(nil)}, "nil registration": {name, wrapper.WithRegistration(nil)},
		"nil function of keys": {name, wrapper.WithKey(nil)}, "of services": {name, wrapper.WithServices(nil)}, "of what is public": {name, wrapper.WithPublic(nil)},
		"of tokens": {name, wrapper.WithTokens(nil)}, "of identities": {name, wrapper.WithIdentity(nil)}, "of the edge": {name, wrapper.WithEdge(nil)},
		"on close": {name, wrapper.WithOnClose(nil)}, "on drain": {name, wrapper.WithOnDrain(nil)}, "slow": {name, wrapper.WithSlow(0)}, "drain": {name, wrapper.WithDrain(0)},
		"server's timeout": {name, wrapper.WithServerTimeout(0)}, "attempt's timeout": {name, wrapper.WithAttemptTimeout(0)},
		"public path": {name, wrapper.WithPublicPaths("/ok", "metrics")}, "baggage": {name, wrapper.WithBaggage("tenant", "")},
	} {
		if _, err := wrapper.New(opts...); !errors.Is(err, wrapper.ErrInvalid) || !strings.HasPrefix(err.Error(), "wrapper: new: ") {
			t.Errorf("%s: %v, want ErrInvalid", what, err)
		}
	}
	w, err := wrapper.New(name, wrapper.WithSlow(1), wrapper.WithDrain(1), wrapper.WithServerTimeout(1), wrapper.WithClientTimeout(1), wrapper.WithAttemptTimeout(1),
		wrapper.WithPublicPaths("/"), wrapper.WithBaggage("tenant"), wrapper.WithEdge())
	if err != nil {
		t.Fatalf("the least of each: %v", err)
	}
	if err := w.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestLimitRefusesWhatIsTooMuch(t *testing.T) {
	bucket, err := limits.TokenBucket(0.001, 2)
	if err != nil {
		t.Fatal(err)
	}
	places, err := limits.Concurrency(1)
	if err != nil {
		t.Fatal(err)
	}
	w := newWrapper(t, wrapper.WithLimit(places), wrapper.WithLimit(bucket))
	h := w.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panic" {
			panic("boom")
		}
	}))
	for i, c := range []struct {
		path string
		want int
	}{{"/panic", 500}, {"/", 200}, {"/", 429}, {"/", 429}, {"/readyz", 200}} {
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", c.path, nil))
		if rec.Code != c.want || (rec.Code == 429) != (rec.Header().Get("Retry-After") != "") {
			t.Errorf("call %d to %s: %d with Retry-After %q, want %d", i, c.path, rec.Code, rec.Header().Get("Retry-After"), c.want)
		}
	}
	if p, err := places.Acquire(t.Context()); err != nil {
		t.Errorf("a place was not given back: %v", err)
	} else {
		p.Release(router.Outcome{})
	}
}

// A handler that is no ServeMux gets paths as they come: those that it may read
// in another way than the policy are refused, and none passes for a probe's.
func TestPolicySeesThroughStrangePaths(t *testing.T) {
	authority := auth.NewAuthority()
	au, err := auth.New(auth.Local(authority), auth.WithService("orders"), auth.WithRules(
		auth.Rule{ID: "all", Effect: auth.Allow, Subjects: []string{"ada"}},
		auth.Rule{ID: "admin", Effect: auth.Deny, Resources: []string{"/admin/**"}}))
	if err != nil {
		t.Fatal(err)
	}
	h := newWrapper(t, wrapper.WithAuth(au)).Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	token, err := authority.Issue("ada", "orders", nil)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/x": 200, "/admin/x": 403, "//admin/x": 400, "/a/../admin/x": 400, "/./admin/x": 400, "/%61dmin/x": 403} {
		r, rec := httptest.NewRequest("GET", "http://orders"+path, nil), httptest.NewRecorder()
		r.Header.Set("Authorization", "Bearer "+string(token.AccessToken))
		if h.ServeHTTP(rec, r); rec.Code != want {
			t.Errorf("%s: %d, want %d", path, rec.Code, want)
		}
	}
	for path, want := range map[string]int{"/livez": 200, "//livez": 400, "/admin/../livez": 400, "/livez/": 401} {
		r, rec := httptest.NewRequest("GET", "http://orders"+path, nil), httptest.NewRecorder()
		if h.ServeHTTP(rec, r); rec.Code != want {
			t.Errorf("without a token, %s: %d, want %d", path, rec.Code, want)
		}
	}
}

func TestNilHandlerIsNotFound(t *testing.T) {
	w := newWrapper(t)
	rec := httptest.NewRecorder()
	w.Handler(nil).ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 404 {
		t.Errorf("got %d", rec.Code)
	}
}

func BenchmarkServer(b *testing.B) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello world") })
	run := func(b *testing.B, h http.Handler) {
		r := httptest.NewRequest("GET", "/hello/ada", nil)
		rw := &discardWriter{h: http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			clear(rw.h)
			h.ServeHTTP(rw, r)
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /hello/{name}", h)
	b.Run("bare", func(b *testing.B) { run(b, mux) })
	b.Run("full", func(b *testing.B) {
		p := newParts(b, "greeter", discovery.NewRegistry(), auth.NewAuthority(), trace.NewStore(1000, time.Hour))
		tr, err := trace.New(trace.WithService("greeter"), trace.Memory(p.spans), trace.WithSampler(trace.Ratio(0.01)))
		if err != nil {
			b.Fatal(err)
		}
		w, err := wrapper.New(wrapper.WithName("greeter"), wrapper.WithLog(p.log), wrapper.WithTrace(tr), wrapper.WithMetrics(p.metrics), wrapper.WithMonitor(p.monitor))
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close(context.Background())
		run(b, w.Handler(mux))
	})
}

type discardWriter struct{ h http.Header }

func (d *discardWriter) Header() http.Header         { return d.h }
func (d *discardWriter) Write(p []byte) (int, error) { return len(p), nil }
func (d *discardWriter) WriteHeader(int)             {}
func (d *discardWriter) Flush()                      {}

func BenchmarkClient(b *testing.B) {
	stub := roundTripper(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
	})
	run := func(b *testing.B, rt http.RoundTripper) {
		b.ReportAllocs()
		for b.Loop() {
			r, _ := http.NewRequest("GET", "http://greeter/hello", nil)
			resp, err := rt.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	b.Run("bare", func(b *testing.B) { run(b, stub) })
	b.Run("full", func(b *testing.B) {
		shared := discovery.NewRegistry()
		p := newParts(b, "edge", shared, auth.NewAuthority(), trace.NewStore(1000, time.Hour))
		for _, id := range []string{"a", "b", "c"} {
			if _, err := p.registry.Register(b.Context(), discovery.Instance{ID: id, Service: "greeter", Address: id + ":80"}); err != nil {
				b.Fatal(err)
			}
		}
		tr, err := trace.New(trace.WithService("edge"), trace.Memory(p.spans), trace.WithSampler(trace.Ratio(0.01)))
		if err != nil {
			b.Fatal(err)
		}
		w, err := wrapper.New(wrapper.WithName("edge"), wrapper.WithLog(p.log), wrapper.WithTrace(tr), wrapper.WithMetrics(p.metrics),
			wrapper.WithMonitor(p.monitor), wrapper.WithRouter(p.router))
		if err != nil {
			b.Fatal(err)
		}
		defer w.Close(context.Background())
		run(b, w.Transport(stub))
	})
}
