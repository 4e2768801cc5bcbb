package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth/issuer"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
	monitorpage "github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/zipkin"
)

// process is what a service has for operators: its page and its probes, at /, and
// its reports in a store.
type process struct {
	monitor monitor.Monitor
	locks   sync.Sync
	url     string
}

func newProcess(t *testing.T, redis, ns, service string) *process {
	t.Helper()
	store, err := kv.New(kvredis.Backend(redis), kv.WithNamespace(ns))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	mo, err := monitor.New(monitorkv.Backend(store), monitor.WithService(service), monitor.WithInstance(monitor.Instance{ID: service + "-1", Version: "v1", Address: "10.0.0.1:80"}), monitor.WithInterval(100*time.Millisecond), monitor.WithPolicy(monitor.Policy{TTL: time.Minute}), monitor.WithDetails(func(*http.Request) bool { return true }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { mo.Close(context.Background()) })
	locks, err := sync.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { locks.Close() })
	p, err := monitorpage.New(mo, monitorpage.WithSync(locks), monitorpage.WithAccess(func(r *http.Request) monitorpage.Access {
		if user, password, _ := r.BasicAuth(); user == "op" && password == "secret" || r.Header.Get("Authorization") == "Bearer secret" {
			return monitorpage.Read
		}
		return monitorpage.None
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	mux := http.NewServeMux()
	mux.Handle("/", p)
	mux.Handle("/statusz", mo.Handler())
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	return &process{mo, locks, srv.URL}
}

func TestMonitorStatus(t *testing.T) {
	t.Parallel()
	redis, ns := engines(t)["redis"], servertest.Namespace(t)
	s := newShell(t, "PLATFORM_MONITOR="+redis, "PLATFORM_MONITOR_NAMESPACE="+ns)
	s.steps([]step{
		{"platform monitor status", "", "", 0},
		{"platform monitor status orders", "", "platform: no instance of \"orders\" has reported\n", 1},
		{"platform monitor status http://127.0.0.1:1", "", "platform: …refused\n", 3},
		{"platform monitor status ftp://127.0.0.1", "", "platform: \"ftp://127.0.0.1\" is no URL with http or https\n", 2},
	})
	p := newProcess(t, redis, ns, "orders")
	if err := p.monitor.Register(monitor.Check{Name: "db", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	await := func(beat error, line, want string) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			p.monitor.Beat("db", beat)
			r := s.run(line)
			if matches(r.out, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: got %+v, want %q", line, r, want)
			}
		}
	}
	await(nil, "platform monitor status", "orders\tunknown\t1\t0\t0\t\tno list of the instances that there should be\n")
	s.steps([]step{
		{"platform monitor status orders", "orders-1\tpass\trunning\tyes\tv1\t10.0.0.1:80\t…Z\t\n", "", 0},
		{"platform monitor status orders -o json", `{"id":"orders-1","version":"v1","address":"10.0.0.1:80","state":"pass","phase":"running","ready":true,"since":"…Z"}` + "\n", "", 0},
		{"platform monitor status " + p.url, "(all)\tpass\t…Z\t\ndb\tpass\t…Z\t\n", "", 0},
		{"platform monitor status " + p.url + " -o json", `{"instance":{"id":"orders-1",…"state":"pass",…}` + "\n", "", 0},
	})
	await(errors.New("no disk"), "platform monitor status orders", "orders-1\tfail\trunning\tno\tv1\t10.0.0.1:80\t…Z\tdb\n")
	s.steps([]step{
		{"platform monitor status", "orders\t…\t0\t0\t1\t\t…\n", "", 1},
		{"platform monitor status orders", "orders-1\tfail\t…\n", "", 1},
		{"platform monitor status " + p.url, "(all)\tfail\t…Z\t\ndb\tfail\t…Z\tno disk\n", "", 1},
	})
}

// What another process says can't write to the operator's terminal.
func TestNotesDoNothingToATerminal(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"instance":{"service":"\u001b[2Jorders","id":"1"},"state":"pass","phase":"running","ready":true}`))
	}))
	defer srv.Close()
	r := newShell(t).run("platform monitor status -o table " + srv.URL)
	if strings.Contains(r.err, "\x1b") || !strings.Contains(r.err, "[2Jorders 1: running, ready: true") || r.code != 0 {
		t.Errorf("got %+v", r)
	}
}

func TestSyncHolds(t *testing.T) {
	t.Parallel()
	p := newProcess(t, engines(t)["redis"], servertest.Namespace(t), "orders")
	if _, err := p.locks.Lock(t.Context(), "job", sync.Owner("me")); err != nil {
		t.Fatal(err)
	}
	with := "http://op:secret@" + p.url[len("http://"):]
	newShell(t).steps([]step{
		{"platform sync holds " + p.url, "", "platform: " + p.url + "/api/locks answers 403 Forbidden\n", 5},
		{"platform sync holds " + with, "lock\tjob\theld\tme\t…Z\t1\t…Z\n", "", 0},
		{"PLATFORM_PAGE_TOKEN=secret platform sync holds " + p.url + " -o json", `{"kind":"lock","id":"job","owner":"me",…}` + "\n", "", 0},
		{"platform sync holds http://op:wrong@" + p.url[len("http://"):], "", "platform: http://op:xxxxx@…/api/locks answers 403 Forbidden\n", 5},
		{"platform sync holds " + with + "/nothing", "", "platform: …/nothing/api/locks answers 404 Not Found: …\n", 1},
		{"platform sync holds op:secret@host", "", "platform: \"xxxxx@host\" is no URL with http or https\n", 2},
	})
}

// A token goes to the page that it was given for, and not to where that page sends.
func TestTokensOfPagesGoNowhereElse(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 10)
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.Header.Get("Authorization")
		w.Write([]byte("[]"))
	}))
	defer other.Close()
	mux := http.NewServeMux()
	mux.Handle("/elsewhere/", http.RedirectHandler(other.URL, http.StatusFound))
	mux.Handle("/moved/api/locks", http.RedirectHandler("/api/locks", http.StatusFound))
	mux.HandleFunc("/api/locks", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "", http.StatusForbidden)
		}
		w.Write([]byte("[]"))
	})
	page := httptest.NewServer(mux)
	defer page.Close()
	newShell(t).steps([]step{
		{"PLATFORM_PAGE_TOKEN=secret platform sync holds " + page.URL + "/elsewhere", "", "platform: …another scheme or host\n", 3},
		{"PLATFORM_PAGE_TOKEN=secret platform sync holds " + page.URL + "/moved", "", "", 0},
		{"platform sync holds " + page.URL + "/elsewhere", "", "", 0},
	})
	if token := <-asked; token != "" || len(asked) > 0 {
		t.Errorf("another server was asked with %q, and %d more times; want it asked once, without a token", token, len(asked))
	}
}

// traced reports a trace of two spans, the second of which fails, and returns when
// the server has it.
func traced(t *testing.T, url, service string) {
	t.Helper()
	tr, err := trace.New(zipkin.Backend(url), trace.WithService(service))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(context.Background())
	ctx, root := tr.Start(t.Context(), "GET /orders", trace.OfKind(trace.Server))
	root.Tag("http.route", "/orders")
	_, query := tr.Start(ctx, "query")
	time.Sleep(60 * time.Millisecond) // the trace is to be a slow one
	query.Error(errors.New("deadlock"))
	query.End()
	root.End()
	if err := tr.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		found, err := tr.Search(t.Context(), trace.Query{Service: service})
		if err == nil && len(found.Traces) > 0 && len(found.Traces[0].Spans) == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(found, err)
		}
	}
}

func TestTrace(t *testing.T) {
	t.Parallel()
	url := "http://" + servertest.SharedZipkin(t).Addr()
	service := servertest.Namespace(t)
	traced(t, url, service)
	s := newShell(t, "PLATFORM_TRACE="+url, "S="+service)
	s.steps([]step{
		{"platform trace find -service $S", "…Z\t…ms\t2\t" + service + " get /orders\t" + service + "\n", "", 0},
		{"platform trace find -service $S -errors -min 50ms -tag http.route=/orders -o json", `{"id":"…","start":"…Z","seconds":0.…,"spans":2,"services":["` + service + `"],"root":"` + service + ` get /orders","errors":1}` + "\n", "", 0},
		{"platform trace find -service $S -min 1h", "", "", 0},
		{"platform trace find -service $S -until 1h", "", "", 0},
		{"platform trace find -limit 0", "", "platform: -limit 0: want 1 or more\n", 2},
		{"platform trace show $(platform trace find -service $S | cut -f2)", service + " get /orders (server)  …ms\n└─ " + service + " query  …ms  error: deadlock\n", "", 0},
		{"platform trace show $(platform trace find -service $S | cut -f2) -o json", `{"id":"…","service":"` + service + `","name":"get /orders","kind":"server",…}` + "\n" + `{…"parent":"…",…"error":"deadlock"}` + "\n", "", 0},
		{"platform trace show 0123456789abcdef", "", "platform: no trace 00000000000000000123456789abcdef\n", 1},
		{"platform trace show xyz", "", "platform: \"xyz\" is no id of a trace: want 32 or 16 hexadecimal digits\n", 2},
		{"platform trace find -trace redis://x", "", "platform: engine: options: invalid: …\n", 2},
	})
}

// authority serves an authorization server with a client "shop".
func authorityServer(t *testing.T) string {
	t.Helper()
	var is *issuer.Issuer
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { is.ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	is, err := issuer.New(issuer.WithURL(srv.URL), issuer.WithHashRounds(1000))
	if err == nil {
		err = is.Create(t.Context(), issuer.Account{ID: "shop", Type: issuer.Service, Roles: []string{"service"}, Scopes: []string{"read", "write"}, Introspects: true, Audiences: []string{issuer.AnyAudience}}, "its secret")
	}
	if err != nil {
		t.Fatal(err)
	}
	return srv.URL
}

func TestAuth(t *testing.T) {
	t.Parallel()
	url := authorityServer(t)
	s := newShell(t, "PLATFORM_AUTH="+url, "PLATFORM_AUTH_CLIENT=shop", "PLATFORM_AUTH_SECRET=its secret")
	s.file("secret", "its secret\n")
	s.file("wrong", "guess")
	s.steps([]step{
		{"platform auth token -audience orders > token && grep -c '^ey' token", "1\n", "", 0},
		{"PLATFORM_AUTH_SECRET= platform auth token -secret-file secret -scope read -o json", `{"token":"ey…","type":"Bearer","expires":"…Z","scopes":["read"]}` + "\n", "", 0},
		{"platform auth token -secret-file wrong", "", "platform: auth/oauth2: …\n", 5},
		{"platform auth token -secret-file nothing", "", "platform: open nothing: no such file or directory\n", 2},
		{"PLATFORM_AUTH_CLIENT= platform auth token", "", "platform: no client: give -client or set PLATFORM_AUTH_CLIENT\n", 2},
		{"platform auth verify < token", "subject\tshop\n…issuer\t" + url + "\naudience\torders\n…expires\t…Z\n…", "", 0},
		{"platform auth verify -audience orders -audience users -o json < token", `{"subject":"shop",…"issuer":"` + url + `","audience":["orders"],…"roles":["service"],…"claims":{…}}` + "\n", "", 0},
		{"platform auth verify -introspect $(cat token) | head -1", "subject\tshop\n", "", 0},
		{"platform auth verify -audience users < token", "", "platform: auth/oauth2: …another service…\n", 1},
		{"platform auth verify abc", "", "platform: auth/oauth2: …\n", 1},
		{"sed 's/.$//;s/...$/abc/' token | platform auth verify", "", "platform: auth/oauth2: …\n", 1},
		{"platform auth verify -auth http://127.0.0.1:1 < token", "", "platform: auth/oauth2: …\n", 3},
		{"platform auth verify -auth http://10.0.0.1 < token", "", "platform: auth/oauth2: …loopback…\n", 2},
	})
}
