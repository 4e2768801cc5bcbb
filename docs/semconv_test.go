package docs_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wconfig "github.com/micro/go-platform/wrapper/config"
	wevent "github.com/micro/go-platform/wrapper/event"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
	"github.com/micro/go-platform/wrapper/store"
)

// TestNamesOfSignals compares semconv.md with what the wrappers make of calls
// of every sort: each metric and its attributes, and each span and its.
func TestNamesOfSignals(t *testing.T) {
	s := observe(t)
	calls(t, s)
	before := s.metrics.Snapshot() // of what is there until Close
	if err := errors.Join(s.client.Close(t.Context()), s.server.Close(t.Context()), s.tracer.Flush(t.Context())); err != nil {
		t.Fatal(err)
	}
	snap := s.metrics.Snapshot()
	for _, f := range before.Families {
		if !slices.ContainsFunc(snap.Families, func(other metrics.Family) bool { return other.Name == f.Name }) {
			snap.Families = append(snap.Families, f)
		}
	}
	compareMetrics(t, snap)
	page, err := s.spans.Search(t.Context(), trace.Query{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	compareSpans(t, page.Traces)
}

func compareMetrics(t *testing.T, snap metrics.Snapshot) {
	written := map[string]string{}
	for _, row := range rowsBelow(t, "## Metrics") {
		written[quoted(row[0])[0]] = row[1] + " " + fmt.Sprint(sorted(quoted(row[2])))
	}
	for _, f := range snap.Families {
		used := map[string]bool{}
		for _, one := range f.Series {
			for i, v := range one.Values {
				used[f.Keys[i]] = used[f.Keys[i]] || v != ""
			}
		}
		for k, ok := range used {
			if !ok {
				t.Errorf("%s never has a value for %s", f.Name, k)
			}
		}
		kind := f.Kind.String()
		if f.Unit != "" {
			kind += ", `" + f.Unit + "`"
		}
		got := kind + " " + fmt.Sprint(sorted(f.Keys))
		if want := written[f.Name]; got != want {
			t.Errorf("%s is\n%s, on the page\n%s", f.Name, got, want)
		}
		delete(written, f.Name)
	}
	for name := range written {
		t.Errorf("nothing made the metric %s", name)
	}
}

func compareSpans(t *testing.T, traces []trace.Trace) {
	type keys struct{ always, some map[string]bool }
	made := map[string]*keys{}
	names := map[string]map[string]bool{}
	for _, tr := range traces {
		for _, s := range tr.Spans {
			of, tags := sort(s), map[string]bool{}
			for _, a := range s.Tags {
				tags[a.Key] = true
			}
			k := made[of]
			if k == nil {
				k = &keys{maps.Clone(tags), map[string]bool{}}
				made[of], names[of] = k, map[string]bool{}
			}
			maps.DeleteFunc(k.always, func(key string, _ bool) bool { return !tags[key] })
			maps.Copy(k.some, tags)
			names[of][s.Name] = true
		}
	}
	for _, row := range rowsBelow(t, "## Spans") {
		of, k := row[0], made[row[0]]
		if k == nil {
			t.Errorf("nothing made a span of %s", of)
			continue
		}
		var always, some []string
		for part := range strings.SplitSeq(row[3], ", ") {
			if some = append(some, quoted(part)...); !strings.HasPrefix(part, "(") {
				always = append(always, quoted(part)...)
			}
		}
		if want, got := sorted(always), slices.Sorted(maps.Keys(k.always)); !slices.Equal(got, want) {
			t.Errorf("%s always has\n%v, on the page\n%v", of, got, want)
		}
		if want, got := sorted(some), slices.Sorted(maps.Keys(k.some)); !slices.Equal(got, want) {
			t.Errorf("%s may have\n%v, on the page\n%v", of, got, want)
		}
		delete(made, of)
	}
	for of := range made {
		t.Errorf("no row for spans of %s", of)
	}
	for of, want := range map[string][]string{
		"HTTP server": {"GET", "GET /users/{id}", "GET /late", "GET /panic", "GET /flaky", "POST /broken", "PUT /broken", "HTTP"}, "HTTP client": {"GET", "POST", "PUT", "HTTP"}, "attempt of HTTP": {"GET", "PUT"},
		"gRPC server": {"grpc.health.v1.Health/Check", "grpc"}, "gRPC client": {"grpc.health.v1.Health/Check", "strange.Service/Method"}, "attempt of gRPC": {"grpc.health.v1.Health/Check"},
		"database, key-value store": {"get", "open orders", "read orders"}, "taking a lock": {"lock", "semaphore", "try_lock"},
		"publishing": {"publish order.created"}, "handling a record": {"process order.created"},
	} {
		slices.Sort(want)
		if got := slices.Sorted(maps.Keys(names[of])); !slices.Equal(got, want) {
			t.Errorf("spans of %s are %q, want %q", of, got, want)
		}
	}
}

// sort is the row of the page that a span belongs to.
func sort(s trace.SpanData) string {
	has := func(key string) bool {
		return slices.ContainsFunc(s.Tags, func(a trace.Tag) bool { return a.Key == key })
	}
	switch s.Kind {
	case trace.Producer:
		return "publishing"
	case trace.Consumer:
		return "handling a record"
	case trace.Server:
		if has("http.request.method") {
			return "HTTP server"
		}
		return "gRPC server"
	}
	switch {
	case has("platform.lock.operation"):
		return "taking a lock"
	case has("db.system.name"):
		return "database, key-value store"
	case has("http.request.resend_count"):
		return "attempt of HTTP"
	case has("platform.resend_count"):
		return "attempt of gRPC"
	case has("http.request.method"):
		return "HTTP client"
	}
	return "gRPC client"
}

// observed is a server and a client with the same metrics and spans.
type observed struct {
	metrics        metrics.Metrics
	spans          *trace.Store
	tracer         trace.Tracer
	server, client *wrapper.Wrapper
	monitor        monitor.Monitor
	http, grpc     string // addresses
	flaky          atomic.Int64
}

func observe(t *testing.T) *observed {
	s := &observed{spans: trace.NewStore(1000, time.Hour)}
	var errs [4]error
	s.metrics, errs[0] = metrics.New()
	s.tracer, errs[1] = trace.New(trace.Memory(s.spans))
	mine := []wrapper.Option{wrapper.WithName("shop"), wrapper.WithMetrics(ownMetrics{s.metrics}), wrapper.WithTrace(ownTracer{s.tracer})}
	s.server, errs[2] = wrapper.New(append(mine, wrapper.WithServerTimeout(time.Second), wrapper.WithGate(noStrangers{}))...)
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("boom") })
	mux.HandleFunc("GET /late", func(rw http.ResponseWriter, r *http.Request) { <-r.Context().Done(); rw.WriteHeader(200) })
	mux.HandleFunc("POST /broken", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(500) })
	mux.HandleFunc("PUT /broken", func(rw http.ResponseWriter, _ *http.Request) { rw.WriteHeader(503) })
	mux.HandleFunc("GET /flaky", func(rw http.ResponseWriter, _ *http.Request) {
		if s.flaky.Add(1)%2 == 1 {
			rw.WriteHeader(503)
		}
	})
	web := httptest.NewServer(s.server.Handler(mux))
	t.Cleanup(web.Close)
	s.http = strings.TrimPrefix(web.URL, "http://")

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer(append(wgrpc.ServerOptions(s.server), grpc.UnknownServiceHandler(func(any, grpc.ServerStream) error {
		return status.Error(codes.Unimplemented, "no")
	}))...)
	health.RegisterHealthServer(rpc, s)
	go rpc.Serve(l)
	t.Cleanup(rpc.Stop)
	s.grpc = l.Addr().String()

	d, err1 := discovery.New(static.Backend(discovery.Instance{Service: "web", ID: "one", Address: s.http}, discovery.Instance{Service: "bad", ID: "one", Address: s.http}, discovery.Instance{Service: "bad", ID: "two", Address: s.http}, discovery.Instance{Service: "rpc", ID: "one", Address: s.grpc}))
	ro, err2 := router.New(router.WithDiscovery(d), router.WithBreakers(router.Breakers{}))
	s.monitor, errs[0] = monitor.New()
	if err := errors.Join(err1, err2, errs[0]); err != nil {
		t.Fatal(err)
	}
	s.client, errs[3] = wrapper.New(append(mine, wrapper.WithRouter(ro), wrapper.WithDiscovery(d), wrapper.WithMonitor(s.monitor),
		wrapper.WithPolicies(wrapper.Policy{Service: s.http, Route: "/limited", Limit: &wrapper.Limit{PerSecond: 1e-9, Burst: 1}}))...)
	home, err1 := discovery.New()
	self, err2 := home.Register(t.Context(), discovery.Instance{Service: "shop", Address: s.http})
	if err := errors.Join(err1, err2, errs[3]); err != nil {
		t.Fatal(err)
	}
	s.client.AddRegistration(self)
	t.Cleanup(func() { home.Close() })
	return s
}

// Check is unavailable the first time that "flaky" is asked for, and answers
// "late" after the server's timeout.
func (s *observed) Check(ctx context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	switch {
	case r.Service == "late":
		<-ctx.Done()
	case r.Service == "flaky" && s.flaky.Add(1)%2 == 1:
		return nil, status.Error(codes.Unavailable, "not yet")
	}
	return &health.HealthCheckResponse{}, nil
}

func (s *observed) List(context.Context, *health.HealthListRequest) (*health.HealthListResponse, error) {
	return nil, status.Error(codes.Unimplemented, "")
}

func (s *observed) Watch(*health.HealthCheckRequest, health.Health_WatchServer) error { return nil }

// calls makes calls of every sort.
func calls(t *testing.T, s *observed) {
	ctx := t.Context()
	web := func(client *http.Client, method, url, agent string) {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, method, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("User-Agent", agent)
		resp, err := client.Do(r)
		if err == nil {
			resp.Body.Close()
		}
	}
	plain := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	web(s.client.Client(), "GET", "http://web/users/1", "tests")
	web(s.client.Client(), "GET", "http://web/flaky", "tests")
	web(s.client.Client(), "GET", "http://web/panic", "tests")
	s.flaky.Store(0)
	web(s.client.Client(), "BREW", "http://"+s.http+"/", "tests")
	web(s.client.Client(), "GET", "http://127.0.0.1:1/", "tests") // nobody listens
	web(plain, "GET", "http://"+s.http+"/late", "")
	web(plain, "GET", "http://"+s.http+"/forbidden", "")

	for range 12 { // ejected, breakers open, no budget for retries
		web(s.client.Client(), "POST", "http://bad/broken", "tests")
		web(s.client.Client(), "PUT", "http://"+s.http+"/broken", "tests")
	}
	for range 2 {
		web(s.client.Client(), "GET", "http://"+s.http+"/limited", "tests")
	}

	again := []wgrpc.Option{wgrpc.WithIdempotent(func(string) bool { return true })}
	conn, err := wgrpc.NewClientWith(s.client, "rpc", again, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.flaky.Store(0)
	for name, want := range map[string]codes.Code{"": codes.OK, "flaky": codes.OK, "late": codes.DeadlineExceeded} {
		if _, err := health.NewHealthClient(conn).Check(ctx, &health.HealthCheckRequest{Service: name}); status.Code(err) != want {
			t.Errorf("%q: %v, want %v", name, err, want)
		}
	}
	straight, err := grpc.NewClient(s.grpc, append(wgrpc.DialOptions(s.client, again...), grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	defer straight.Close()
	if err := straight.Invoke(ctx, "/strange.Service/Method", &health.HealthCheckRequest{}, &health.HealthCheckResponse{}); status.Code(err) != codes.Unimplemented {
		t.Error(err)
	}
	s.flaky.Store(0)
	if _, err := health.NewHealthClient(straight).Check(ctx, &health.HealthCheckRequest{Service: "flaky"}); err != nil {
		t.Error(err)
	}
	events(t, s)
	stores(t, s)
	parts(t, s)
}

// parts are what is measured beside calls.
func parts(t *testing.T, s *observed) {
	settings, err := config.New(config.WithSource(config.Memory("app", map[string]any{})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { settings.Close() })
	t.Cleanup(wconfig.Measure(s.metrics, settings))
	if err := s.monitor.Register(monitor.Check{Name: "database", Func: func(context.Context) error { return nil }}); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(30 * time.Second); len(s.metrics.Snapshot().Match("platform.check.status")) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the check has no metric within 30 s")
		}
	}
}

func stores(t *testing.T, s *observed) {
	items, err1 := kv.New()
	records, err2 := db.New()
	locks, err3 := dsync.New()
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	items, records, locks = store.KV(s.client, items, "memory"), store.DB(s.client, records, "memory"), store.Sync(s.client, locks, "memory")
	handler := s.server.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { // whose request id they have
		ctx := context.WithoutCancel(r.Context()) // however long it takes
		_, err1 := items.GetMany(ctx, "a", "b")
		_, err2 := locks.Lock(ctx, "jobs/1")
		s.metrics.Snapshot() // while it is held
		orders, err3 := records.Table(ctx, "orders")
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Error(err)
			return
		}
		if _, err := orders.Read(ctx, "1"); !errors.Is(err, db.ErrNotFound) {
			t.Error(err)
		}
	}))
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if err := errors.Join(items.Close(), records.Close(), locks.Close()); err != nil {
		t.Error(err)
	}
	_, err1 = items.Get(t.Context(), "a")
	_, err2 = locks.TryLock(t.Context(), "jobs/1")
	_, err3 = locks.Semaphore(t.Context(), "jobs/1", 2)
	if !errors.Is(err1, kv.ErrClosed) || !errors.Is(err2, dsync.ErrClosed) || !errors.Is(err3, dsync.ErrClosed) {
		t.Error(err1, err2, err3)
	}
}

func events(t *testing.T, s *observed) {
	raw, err := event.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { raw.Close(context.Background()) })
	stream, handled := wevent.Stream(s.server, raw), make(chan bool, 10)
	for _, c := range []struct {
		err  error
		opts []event.SubscribeOption
	}{{errors.New("no"), []event.SubscribeOption{event.Group("billing"), event.MaxAttempts(1)}}, {nil, nil}} {
		if _, err := stream.Subscribe(t.Context(), func(context.Context, *event.Record) error { handled <- true; return c.err }, c.opts...); err != nil {
			t.Fatal(err)
		}
	}
	order := &event.Record{Type: "order.created"}
	if err := errors.Join(stream.Publish(t.Context(), order, order), stream.Publish(t.Context(), order)); err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	if err := stream.Publish(ended, order); err == nil {
		t.Error("published after its deadline")
	}
	for range 6 {
		select {
		case <-handled:
		case <-time.After(30 * time.Second):
			t.Fatal("a record was not handled within 30 s")
		}
	}
}

// noStrangers is a gate that refuses one path.
type noStrangers struct{}

func (noStrangers) Enter(ctx context.Context, c *wrapper.Call) (context.Context, error) {
	if c.Resource == "/forbidden" {
		return ctx, router.ErrLimited
	}
	return ctx, nil
}
func (noStrangers) Leave(context.Context, *wrapper.Call) {}

// What both wrappers would close, and its user closes.
type (
	ownMetrics struct{ metrics.Metrics }
	ownTracer  struct{ trace.Tracer }
)

func (ownMetrics) Close(context.Context) error { return nil }
func (ownTracer) Close(context.Context) error  { return nil }

var code = regexp.MustCompile("`([^`]+)`")

func quoted(cell string) (all []string) {
	for _, m := range code.FindAllStringSubmatch(cell, -1) {
		all = append(all, m[1])
	}
	return all
}

func sorted(all []string) []string { return slices.Sorted(slices.Values(all)) }

// rowsBelow returns the rows of the first table below a heading of semconv.md.
func rowsBelow(t *testing.T, heading string) (rows [][]string) {
	t.Helper()
	f, err := os.Open("semconv.md")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	in := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		switch {
		case line == heading:
			in = true
		case in && strings.HasPrefix(line, "|"):
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		case in && len(rows) > 0:
			return rows[2:]
		}
	}
	t.Fatalf("no table below %q", heading)
	return nil
}
