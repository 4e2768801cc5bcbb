// Package docs_test holds the snippets of the pages beside it. Each runs as an example.
package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/micro/go-platform"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/router"
	routerkv "github.com/micro/go-platform/router/kv"
	"github.com/micro/go-platform/router/limits"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/baggage"
	traceotlp "github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/wrapper"
)

// check ends an example that can't go on.
func check(errs ...error) {
	if err := errors.Join(errs...); err != nil {
		panic(err)
	}
}

func Example_auth() {
	local := auth.NewAuthority()
	// snippet: auth
	au, err := auth.New(auth.Local(local), auth.WithService("orders"), auth.WithRules(
		auth.Rule{ID: "shop reads", Effect: auth.Allow, Subjects: []string{"shop"}, Actions: []string{"GET"}},
	))
	check(err)
	handler := auth.Handler(au, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		caller, _ := auth.FromContext(r.Context())
		fmt.Fprint(w, "hello ", caller.Subject)
	}))
	// end snippet
	defer au.Close()
	token, err := local.Issue("shop", "orders", nil)
	check(err)
	for _, method := range []string{"GET", "DELETE"} {
		r := httptest.NewRequest(method, "/orders/17", nil)
		r.Header.Set("Authorization", "Bearer "+string(token.AccessToken))
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		fmt.Println(method, w.Code)
	}
	// Output:
	// GET 200
	// DELETE 403
}

func Example_config() {
	// snippet: config
	defaults := config.Memory("defaults", map[string]any{"server": map[string]any{"workers": 4}})
	cfg, err := config.New(config.WithSource(defaults), config.WithSource(config.Env("SHOP"))) // the last one wins
	check(err)
	defer cfg.Close()
	type Server struct {
		Workers int `config:"workers" min:"1"`
	}
	server, err := config.Bind[Server](cfg, "server")
	check(err)

	check(defaults.Set(map[string]any{"server": map[string]any{"workers": 0}})) // refused: less than 1
	err = cfg.Reload(context.Background())
	fmt.Println(err != nil, server.Load().Workers)
	// end snippet
	// Output: true 4
}

func Example_references() {
	secrets, err := os.MkdirTemp("", "")
	check(err)
	defer os.RemoveAll(secrets)
	check(os.WriteFile(filepath.Join(secrets, "db"), []byte("hunter2\n"), 0o600))
	// snippet: references
	doc := config.Memory("app", []byte(`{"dsn": "postgres://app:${file:db}@db/shop"}`)) // or any other source
	cfg, err := config.New(config.WithSource(doc), config.WithResolver("file", config.Files(secrets)))
	check(err)
	defer cfg.Close()
	fmt.Println(cfg.Get("dsn").String(""))
	fmt.Println(cfg.Snapshot())
	// end snippet
	// Output:
	// postgres://app:hunter2@db/shop
	// {"dsn":"[redacted]"}
}

func Example_db() {
	ctx := context.Background()
	// snippet: db
	d, err := db.New() // in this process
	check(err)
	defer d.Close()
	orders, err := d.Table(ctx, "orders", db.Index("customer"))
	check(err)
	order := &db.Record{Metadata: map[string]any{"customer": "ann", "total": 42}}
	check(orders.Create(ctx, order))

	stale := *order
	order.Metadata = map[string]any{"customer": "ann", "total": 43}
	fmt.Println(orders.Update(ctx, order))
	fmt.Println(errors.Is(orders.Update(ctx, &stale), db.ErrConflict)) // it was changed since
	// end snippet
	// Output:
	// <nil>
	// true
}

func Example_discovery() {
	ctx := context.Background()
	// snippet: discovery
	d, err := discovery.New() // or discovery.New(consul.Backend("127.0.0.1:8500"))
	check(err)
	defer d.Close() // deregisters
	_, err = d.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "10.0.0.7:8080"})
	check(err)

	s, err := d.Get(ctx, "greeter") // follows the service from here on
	check(err)
	fmt.Println(s.State, s.Instances[0].Address)
	// end snippet
	// Output: live 10.0.0.7:8080
}

func Example_event() {
	ctx := context.Background()
	// snippet: event
	s, err := event.New() // or event.New(redis.Backend("127.0.0.1:6379"))
	check(err)
	defer s.Close(ctx)
	done := make(chan string, 1)
	_, err = s.Subscribe(ctx, func(ctx context.Context, r *event.Record) error {
		done <- r.Subject // nil: done; an error: again, later
		return nil
	}, event.Types("order.*"), event.Group("billing"), event.Ordered(event.BySubject))
	check(err)
	check(s.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42"}))
	fmt.Println(<-done)
	// end snippet
	// Output: order/42
}

func Example_kv() {
	ctx := context.Background()
	// snippet: kv
	store, err := kv.New(kv.WithNamespace("shop")) // or kv.New(redis.Backend("127.0.0.1:6379"))
	check(err)
	defer store.Close()
	rev, err := store.Put(ctx, "users/1", []byte("Ada"), kv.TTL(time.Hour))
	check(err)
	_, err = store.Put(ctx, "users/1", []byte("Ada L."), kv.IfRevision(rev))
	check(err)
	_, err = store.Put(ctx, "users/1", []byte("Bob"), kv.IfRevision(rev)) // too late
	fmt.Println(errors.Is(err, kv.ErrConflict))
	// end snippet
	// Output: true
}

func Example_log() {
	ctx := context.Background()
	// snippet: log
	records := log.NewRecorder(100, log.Logfmt())
	l, err := log.New(log.Memory(records), log.WithRedact("password"))
	check(err)
	l.SetLevel("db", slog.LevelDebug, 10*time.Minute) // and back by itself
	l.Logger("db.pool").DebugContext(ctx, "connected", "password", "hunter2")
	check(l.Close(ctx)) // writes what waits
	// end snippet
	line := records.Records()[0]
	fmt.Print(line[len(line)-len("msg=connected password=[redacted]\n"):])
	// Output: msg=connected password=[redacted]
}

func Example_metrics() {
	// snippet: metrics
	m, err := metrics.New() // and prometheus.Handler(m), or statsd.Backend(addr) among the options
	check(err)
	defer m.Close(context.Background())
	requests := m.CounterVec("http_requests_total", []string{"method", "code"}, metrics.Limit(50))
	requests.With("GET", "200").Inc()
	// end snippet
	one, _ := m.Snapshot().Find("http_requests_total", "GET", "200")
	fmt.Println(one.Count)
	// Output: 1
}

func Example_otlp() {
	ctx := context.Background()
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	// snippet: trace-otlp
	tr, err := trace.New(traceotlp.Backend(collector.URL, engineotlp.WithHeader("X-Scope-OrgID", "shop")), trace.WithService("orders"))
	// end snippet
	check(err)
	// snippet: metrics-otlp
	m, err := metrics.New(metricsotlp.Backend(collector.URL, engineotlp.WithDelta()), metrics.WithInterval(time.Minute))
	// end snippet
	check(err)
	// snippet: log-otlp
	l, err := log.New(log.ToStdout(log.JSON()), logotlp.Backend(collector.URL, engineotlp.WithService("orders")), log.WithContext(trace.ContextAttrs))
	// end snippet
	check(err)
	fmt.Println(tr.Close(ctx), m.Close(ctx), l.Close(ctx))
	// Output: <nil> <nil> <nil>
}

func Example_otlpEnv() {
	ctx := context.Background()
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer collector.Close()
	check(os.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL), os.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"))
	defer os.Unsetenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	defer os.Unsetenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	// snippet: otlp-env
	env, err := otlp.FromEnv(otlpgrpc.Transport()) // without it the environment can't ask for gRPC
	check(err)
	app, err := platform.New("orders", platform.WithTelemetry(env), platform.WithLog(log.ToStdout(log.JSON())))
	// end snippet
	check(err)
	fmt.Println(app.Trace().Stats().Reporters[0].Reporter, app.Close(ctx))
	// Output: otlp <nil>
}

func Example_exemplar() {
	ctx := context.Background()
	m, err := metrics.New()
	check(err)
	defer m.Close(ctx)
	tracer, err := trace.New(trace.Memory(trace.NewStore(10, time.Hour)))
	check(err)
	defer tracer.Close(ctx)
	// snippet: exemplar
	took := m.Histogram("queue_wait_seconds", metrics.Unit("seconds"), metrics.Buckets(.1, 1, 10))
	ctx, span := tracer.Start(ctx, "take")
	defer span.End()
	took.ObserveContext(ctx, .25)
	// end snippet
	one, _ := m.Snapshot().Find("queue_wait_seconds")
	e := one.Exemplars[1] // of the bucket up to 1 s
	fmt.Println(e.Value, e.TraceID == span.Context().TraceID)
	// Output: 0.25 true
}

func Example_monitor() {
	ctx := context.Background()
	// snippet: monitor
	mo, err := monitor.New(monitor.WithService("orders"), monitor.WithPhase(monitor.Starting))
	check(err)
	defer mo.Close(ctx)
	check(mo.Register(monitor.Check{Name: "cache", Severity: monitor.Soft, TTL: time.Minute}))
	mo.Beat("cache", errors.New("slow")) // a soft failure: the probe passes
	mo.SetPhase(monitor.Running)
	// end snippet
	probe := httptest.NewRecorder()
	mo.Handler().ServeHTTP(probe, httptest.NewRequest("GET", "/readyz", nil))
	fmt.Println(probe.Code, mo.Status().State)
	// Output: 200 warn
}

func Example_router() {
	ctx := context.Background()
	d, err := discovery.New()
	check(err)
	defer d.Close()
	_, err = d.Register(ctx, discovery.Instance{Service: "greeter", ID: "one", Address: "10.0.0.7:8080"})
	check(err)
	// snippet: router
	ro, err := router.New(router.WithDiscovery(d))
	check(err)
	defer ro.Close(ctx)
	pick, err := ro.Pick(ctx, "greeter")
	check(err)
	began := time.Now()
	fmt.Println("call", pick.Instance.Address)
	pick.Done(router.Outcome{Class: router.OK, Latency: time.Since(began)}) // what teaches it
	// end snippet
	// Output: call 10.0.0.7:8080
}

func Example_routerShared() {
	ctx := context.Background()
	d, err := discovery.New()
	check(err)
	defer d.Close()
	store, err := kv.New()
	check(err)
	defer store.Close()
	// snippet: router-shared
	exchange, err := routerkv.Exchange(store) // kv.New(redis.Backend(…), kv.WithNamespace("router"))
	check(err)
	ro, err := router.New(router.WithDiscovery(d),
		router.WithBreakers(router.Breakers{}),         // for each instance
		router.WithSharing(exchange, router.Sharing{})) // clients learn from each other
	check(err)
	quota, err := routerkv.NewQuota(store, "partner-api", 100, 100) // a second, over all processes
	check(err)
	// end snippet
	defer ro.Close(ctx)
	defer quota.Close()
	_, err = quota.Acquire(ctx)
	fmt.Println(err)
	// Output: <nil>
}

func Example_routerBreaker() {
	// snippet: router-breaker
	breaker, err := router.NewBreaker(router.BreakerPolicy{Consecutive: 2})
	check(err)
	for range 3 {
		trial, err := breaker.Allow()
		if err != nil {
			fmt.Println("not called:", errors.Is(err, router.ErrOpen))
			continue
		}
		trial.Done(router.Timeout) // how the call went
	}
	// end snippet
	// Output: not called: true
}

func Example_sync() {
	ctx := context.Background()
	// snippet: sync
	s, err := dsync.New() // or dsync.New(etcd.Backend("127.0.0.1:2379"))
	check(err)
	defer s.Close()
	err = dsync.Do(ctx, s, "reports", func(ctx context.Context, token uint64) error {
		fmt.Println("one at a time, with token", token) // ctx ends when the lock is lost
		return nil
	}, dsync.TTL(10*time.Second))
	check(err)
	// end snippet
	// Output: one at a time, with token 1
}

func Example_trace() {
	ctx := context.Background()
	// snippet: trace
	tr, err := trace.New(trace.WithService("orders"), trace.WithSampler(trace.ParentOr(trace.RateLimit(10))),
		trace.WithKeep(0, trace.Failed, trace.SlowerThan(time.Second)))
	check(err)
	defer tr.Close(ctx)
	work, span := tr.Start(ctx, "charge card", trace.OfKind(trace.Client))
	header := http.Header{}
	tr.Inject(work, trace.Header(header)) // for the request that goes out
	span.End()
	// end snippet
	fmt.Println(header.Get("Traceparent") != "")
	// Output: true
}

func Example_baggage() {
	ctx := context.Background()
	tr, err := trace.New(trace.WithBaggage("tenant"))
	check(err)
	defer tr.Close(ctx)
	next := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { fmt.Println(r.Header.Get("Baggage")) }))
	defer next.Close()
	w, err := wrapper.New(wrapper.WithName("shop"), wrapper.WithTrace(tr),
		wrapper.WithServices(func(*http.Request) (string, bool) { return "orders", true }))
	check(err)
	// snippet: baggage
	ctx, err = baggage.Set(ctx, "tenant", "acme, inc")
	check(err)
	r, err := http.NewRequestWithContext(ctx, "GET", next.URL, nil)
	check(err)
	resp, err := w.Client().Do(r) // orders reads it by baggage.FromContext(r.Context()).Value("tenant")
	check(err)
	// end snippet
	check(resp.Body.Close(), w.Close(ctx))
	// Output: tenant=acme%2C%20inc
}

func Example_wrapper() {
	ctx := context.Background()
	mt, err := metrics.New()
	check(err)
	// snippet: wrapper
	few, err := limits.Concurrency(100)
	check(err)
	w, err := wrapper.New(wrapper.WithName("orders"), wrapper.WithMetrics(mt),
		wrapper.WithLimit(few), wrapper.WithServerTimeout(5*time.Second))
	check(err)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(rw http.ResponseWriter, r *http.Request) {})
	handler := w.Handler(mux)
	// end snippet
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/orders/17", nil))
	check(w.Close(ctx))
	for _, f := range mt.Snapshot().Families {
		if f.Name == "http.server.request.duration" {
			fmt.Printf("%q\n", f.Series[0].Values)
		}
	}
	// Output: ["GET" "/orders/{id}" "200" "http" "1.1" ""]
}
