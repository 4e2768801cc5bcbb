package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/router"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
)

func TestMain(m *testing.M) { leak.Main(m) }

// parts is a small world with something to show in every part.
type parts struct {
	log       log.Log
	mo        monitor.Monitor
	stream    event.Stream
	documents store.Store
	url       string
	user      string      // who asks, if anybody
	broken    atomic.Bool // the endpoints fail
}

func start(t *testing.T, opts ...page.Option) *parts {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	shared := monitor.NewReports()
	for _, id := range []string{"orders-1", "orders-2"} {
		mo, err := monitor.New(monitor.Memory(shared), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders", Version: "1.2", Zone: "eu-1"}), monitor.WithInterval(5*time.Second))
		must(err)
		t.Cleanup(func() { mo.Close(context.Background()) })
		for i := range 100 {
			mo.Observe(monitor.Endpoint{Service: "orders", Method: "GET /orders/{id}"}, time.Duration(i)*time.Millisecond, nil)
		}
		must(mo.Register(monitor.Check{Name: "database", Severity: monitor.Soft, Func: func(context.Context) error {
			if id == "orders-2" {
				return errors.New("connection refused <script>alert(1)</script>")
			}
			return nil
		}}))
	}
	p := &parts{}
	var err error
	p.mo, err = monitor.New(monitor.Memory(shared), monitor.WithInstance(monitor.Instance{ID: "edge-1", Service: "edge"}), monitor.WithInterval(5*time.Second),
		monitor.WithExpected(func(string) ([]string, bool) { return []string{"a", "b"}, true }))
	must(err)
	p.mo.Observe(monitor.Endpoint{Client: true, Service: "orders", Method: "GET"}, time.Millisecond, nil)
	d, err := discovery.New()
	must(err)
	for _, id := range []string{"orders-1", "orders-2"} {
		_, err = d.Register(ctx, discovery.Instance{ID: id, Service: "orders", Address: id + ":80", Labels: map[string]string{"team": "blue"}})
		must(err)
	}
	_, err = d.Register(ctx, discovery.Instance{ID: "edge-2", Service: "edge", Address: "edge-2:80"}) // of which nobody hears
	must(err)
	ro, err := router.New(router.WithDiscovery(d))
	must(err)
	for range 10 {
		pick, err := ro.Pick(ctx, "orders")
		must(err)
		pick.Done(router.Outcome{Latency: time.Millisecond})
	}
	tr, err := trace.New(trace.WithService("edge"), trace.Memory(trace.NewStore(100, time.Hour)))
	must(err)
	outer, root := tr.Start(ctx, "checkout")
	_, long := tr.Start(outer, "/shop.checkout.v1.PaymentService/AuthoriseAndCapture", trace.OfKind(trace.Client))
	long.End()
	_, child := tr.Start(outer, "pay", trace.OfKind(trace.Client))
	child.Tag("card", "<b>bold</b>")
	child.Error(errors.New("declined"))
	child.End()
	root.End()
	must(tr.Flush(ctx))
	p.stream, err = event.New()
	must(err)
	must(p.stream.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42", Data: []byte(`{"total":7}`)}))
	must(p.stream.Publish(ctx, &event.Record{Type: "db.orders.created", Source: "orders", Subject: "orders/4f5e6d7c8b9a4f5e6d7c8b9a", ContentType: "application/json",
		Data: []byte(`{"table":"orders","record":{"created":"2026-11-29T04:00:00Z","data":"eyJjdXN0b21lciI6ImFubiIsInRvdGFsIjo3LCJsaW5lcyI6W3siYXJ0aWNsZSI6InRlYSIsImNvdW50IjoyfV19"}}`)}))
	cfg, err := config.New(config.WithSource(config.Memory("defaults", map[string]any{"greeting": "hello", "password": "s3cret"})), config.WithSecrets("password"))
	must(err)
	p.log, err = log.New(log.ToWriter(io.Discard, log.JSON()), log.WithLevel("db", slog.LevelWarn))
	must(err)
	locks, err := dsync.New(dsync.WithDefaults(dsync.Owner("edge-1")))
	must(err)
	_, err = locks.Lock(ctx, "reports")
	must(err)
	go locks.Lock(ctx, "reports") // waits until Close
	leader, err := locks.Leader("scheduler")
	must(err)
	_, err = leader.Elect(ctx)
	must(err)
	p.documents = documents(t)
	pg, err := page.New(p.mo, append([]page.Option{page.WithDiscovery(d), page.WithSync(locks), page.WithDocuments(p.documents), page.WithRouter(ro), page.WithTrace(tr), page.WithEvents(p.stream), page.WithConfig(cfg), page.WithLog(p.log)}, opts...)...)
	must(err)
	mux := http.NewServeMux()
	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p.broken.Load() {
			http.Error(w, "broken", http.StatusInternalServerError)
			return
		}
		pg.ServeHTTP(w, r)
	})))
	srv := httptest.NewServer(mux)
	p.url = srv.URL + "/debug/platform/"
	t.Cleanup(func() {
		srv.Close()
		if err := errors.Join(pg.Close(), pg.Close(), leader.Close(), locks.Close(), p.documents.Close(), ro.Close(context.Background()), d.Close(), tr.Close(context.Background()),
			p.stream.Close(context.Background()), cfg.Close(), p.log.Close(context.Background()), p.mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *parts) get(t *testing.T, path string, into any) int {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, p.url+"api/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.user != "" {
		r.SetBasicAuth(p.user, "")
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return resp.StatusCode
}

// settled waits until the observer has heard of everybody.
func (p *parts) settled(t *testing.T) page.Overview {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); ; {
		// Each of the two may warn before its check has run, and pass before it has one.
		one, two := p.search(t, "orders-1").Found, p.search(t, "orders-2").Found
		right := len(one) == 1 && one[0].State == "pass" && len(two) == 1 && two[0].State == "warn"
		var o page.Overview
		p.get(t, "overview", &o)
		for _, v := range o.Services {
			if right && len(o.Registry) == 2 && v.Service == "orders" && v.Warn == 1 && v.Pass == 1 {
				return o
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the services were not seen within 30 s: %+v", o.Services)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestEndpointsTellWhatThePartsKnow(t *testing.T) {
	p := start(t)
	o := p.settled(t)
	for _, part := range []string{"router", "traces", "events", "config", "documents", "locks", "levels"} {
		if !o.Parts[part] {
			t.Errorf("part %s is missing", part)
		}
	}
	var e router.Explanation
	if p.get(t, "router?service=orders", &e); len(e.Nodes) != 2 || e.Strategy == "" {
		t.Errorf("router: %+v", e)
	}
	var found struct{ Traces []page.TraceSummary }
	p.get(t, "traces?name=checkout", &found)
	if len(found.Traces) != 1 || found.Traces[0].Spans != 3 || found.Traces[0].Errors != 1 {
		t.Fatalf("traces: %+v", found)
	}
	var spans []page.Span
	p.get(t, "trace?id="+found.Traces[0].ID, &spans)
	if len(spans) != 3 || spans[2].Depth != 1 || spans[2].Error != "declined" || spans[2].Parent != spans[0].ID {
		t.Errorf("trace: %+v", spans)
	}
	var events []page.EventLine
	if p.get(t, "events?type=order.*", &events); len(events) != 1 || events[0].Data != `{"total":7}` {
		t.Errorf("events: %+v", events)
	}
	var c struct{ Values []page.ConfigValue }
	p.get(t, "config", &c)
	if got := fmt.Sprintf("%+v", c); len(c.Values) != 2 || strings.Contains(got, "s3cret") || !strings.Contains(c.Values[0].Origin, "defaults") {
		t.Errorf("config: %s", got)
	}
	var changes struct{ Changes []page.ConfigChange }
	if p.get(t, "config", &changes); len(changes.Changes) != 1 || changes.Changes[0].Version != 1 || len(changes.Changes[0].Changes) != 0 {
		t.Errorf("changes: %+v", changes)
	}
	var locks []page.LockLine
	for end := time.Now().Add(30 * time.Second); len(locks) < 3 && time.Now().Before(end); {
		p.get(t, "locks", &locks)
	}
	if len(locks) != 3 || locks[0].Kind != dsync.KindLeader || locks[1].Token == 0 || locks[1].Left <= 0 || !locks[2].Waiting {
		t.Errorf("locks: %+v", locks)
	}
	if len(o.Registry) != 2 || len(o.Registry[1].Instances) != 2 || o.Registry[1].Instances[0].Labels["team"] != "blue" {
		t.Errorf("registry: %+v", o.Registry)
	}
	var levels map[string]string
	if p.get(t, "levels", &levels); levels["db"] != "WARN" {
		t.Errorf("levels: %v", levels)
	}
}

func TestLogin(t *testing.T) {
	p := start(t, page.WithLogin(func(user, password string) page.Access {
		return map[string]page.Access{"op:1": page.Write, "reader:2": page.Read}[user+":"+password]
	}))
	for _, c := range []struct {
		user, password string
		read, write    int
	}{{"", "", 401, 401}, {"op", "2", 401, 401}, {"reader", "2", 200, 403}, {"op", "1", 200, 200}} {
		for method, want := range map[string]int{http.MethodGet: c.read, http.MethodPost: c.write} {
			r, err := http.NewRequest(method, p.url+"api/levels?name=db&level=debug", nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			asks := strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Basic ")
			if resp.StatusCode != want || asks != (want == 401) {
				t.Errorf("%s %s:%s: %d, asks for a password: %t, want %d", method, c.user, c.password, resp.StatusCode, asks, want)
			}
		}
	}
}

func TestDocumentsHaveAHistory(t *testing.T) {
	p := start(t, page.WithLogin(func(string, string) page.Access { return page.Write }))
	p.user = "eve"
	var names []string
	if p.get(t, "documents", &names); fmt.Sprint(names) != "[shop]" {
		t.Errorf("documents: %v", names)
	}
	var versions []store.Version
	if p.get(t, "versions?namespace=shop", &versions); len(versions) != 3 || versions[0].Number != 3 || versions[0].Comment != "by mistake" {
		t.Errorf("versions: %v", versions)
	}
	for query, want := range map[string]string{
		"from=2&to=3": "[limits.rate 20 30]", "from=3&to=1": "[limits.rate 30 10]", "from=2": "[limits.rate 20 30]", "from=3&to=3": "[]",
		"from=none&to=1": `[ <nil> {"limits":{"rate":10},"password":"[redacted]"}]`,
	} {
		var list []page.Difference
		p.get(t, "diff?namespace=shop&"+query, &list)
		got := "["
		for _, d := range list {
			old, now := any(string(d.Old)), any(string(d.New))
			if d.Old == nil {
				old = nil
			}
			got += fmt.Sprint(d.Path, " ", old, " ", now)
		}
		if got += "]"; got != want {
			t.Errorf("diff %s: got %s, want %s", query, got, want)
		}
	}
	rollback := func(query, origin string) int {
		r, err := http.NewRequest(http.MethodPost, p.url+"api/rollback?"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.SetBasicAuth("eve", "")
		r.Header.Set("Origin", origin)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	own := strings.TrimSuffix(p.url, "/debug/platform/")
	for _, c := range []struct {
		query, origin string
		want          int
	}{
		{"namespace=shop&to=1&newest=3", "http://elsewhere.example", 403}, {"namespace=shop&to=1&newest=2", own, 409}, {"namespace=shop&to=9&newest=3", own, 404},
		{"namespace=shop&newest=3", own, 400}, {"namespace=shop&to=one&newest=3", own, 400}, {"namespace=shop&to=1&newest=3&comment=back", own, 200},
	} {
		if got := rollback(c.query, c.origin); got != c.want {
			t.Errorf("rollback %s from %s: %d, want %d", c.query, c.origin, got, c.want)
		}
	}
	d, err := p.documents.Get(t.Context(), "shop")
	if err != nil || d.Number != 4 || d.Author != "eve" || d.Comment != "back" || d.Get("limits.rate").Int(0) != 10 {
		t.Errorf("got %v, %v", d, err)
	}
}

func TestChangesOfTheConfigurationAreKept(t *testing.T) {
	defaults := config.Memory("defaults", map[string]any{"rate": 1, "password": "s3cret"})
	cfg, err := config.New(config.WithSource(defaults), config.WithDebounce(time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cfg.Close()
	p := start(t, page.WithConfig(cfg))
	var got struct{ Changes []page.ConfigChange }
	wait := func(n int) {
		t.Helper()
		for end := time.Now().Add(30 * time.Second); len(got.Changes) < n; p.get(t, "config", &got) {
			if time.Now().After(end) {
				t.Fatalf("got %+v, want %d changes", got, n)
			}
		}
	}
	wait(1)
	if err := errors.Join(defaults.Set(map[string]any{"rate": 2, "password": "0ther"}), cfg.Reload(t.Context())); err != nil {
		t.Fatal(err)
	}
	wait(2)
	text := fmt.Sprintf("%s", got.Changes[0].Changes)
	if !strings.Contains(text, "{rate 1 2 memory defaults") || strings.Contains(text, "s3cret") || strings.Contains(text, "0ther") {
		t.Errorf("got %s", text)
	}
}

// hotConfig and hotSync panic at first.
type hotConfig struct {
	config.Config
	watches atomic.Int32
}

func (c *hotConfig) Watch(ctx context.Context, path string) iter.Seq2[config.Change, error] {
	if c.watches.Add(1) == 1 {
		panic("no watch")
	}
	return c.Config.Watch(ctx, path)
}

type hotSync struct {
	dsync.Sync
	asked atomic.Int32
}

func (s *hotSync) Holds() []dsync.Hold {
	if s.asked.Add(1) == 1 {
		panic("no holds")
	}
	return s.Sync.Holds()
}

// What the page looks at may panic: it looks again.
func TestThePageOutlivesPanicsOfItsParts(t *testing.T) {
	inner, err := config.New(config.WithSource(config.Memory("defaults", map[string]any{"rate": 1})))
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	locks, err := dsync.New()
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	cfg, all := &hotConfig{Config: inner}, &hotSync{Sync: locks}
	p := start(t, page.WithConfig(cfg), page.WithSync(all))
	var got struct{ Changes []page.ConfigChange }
	for end := time.Now().Add(time.Minute); len(got.Changes) == 0 || all.asked.Load() == 0; p.get(t, "config", &got) {
		if time.Now().After(end) {
			t.Fatalf("%d watches, asked %d times for holds", cfg.watches.Load(), all.asked.Load())
		}
	}
}

func TestSeriesGrows(t *testing.T) {
	p := start(t)
	var s page.Series
	for end := time.Now().Add(30 * time.Second); len(s.Services["orders"]) == 0; {
		if p.get(t, "series", &s); time.Now().After(end) {
			t.Fatalf("no sample within 10 s: %v", s)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if pt := s.Services["orders"][0]; pt.P99 < 90*time.Millisecond {
		t.Errorf("got %+v", pt)
	}
}

func TestBadQuestionsAreErrors(t *testing.T) {
	p := start(t)
	for path, want := range map[string]int{
		"router": 400, "trace?id=xyz": 400, "trace?id=" + strings.Repeat("0", 31) + "1": 404, "traces?min=soon": 400, "traces?limit=0": 400, "events?limit=99999": 400,
		"versions": 400, "versions?namespace=none": 200, "diff?namespace=none": 404, "diff?namespace=shop&from=x": 400, "nothing": 404,
	} {
		var e struct{ Error string }
		got, err := http.Get(p.url + "api/" + path)
		if err != nil {
			t.Fatal(err)
		}
		json.NewDecoder(got.Body).Decode(&e)
		got.Body.Close()
		if got.StatusCode != want || (e.Error == "") != (want == 200 || path == "nothing") {
			t.Errorf("%s: %d %q, want %d", path, got.StatusCode, e.Error, want)
		}
	}
}

func TestReadersMayNotChangeAnything(t *testing.T) {
	for name, c := range map[string]struct {
		access page.Access
		read   int
		write  int
	}{"none": {page.None, 403, 403}, "read": {page.Read, 200, 403}, "write": {page.Write, 200, 200}} {
		t.Run(name, func(t *testing.T) {
			p := start(t, page.WithAccess(func(*http.Request) page.Access { return c.access }))
			var v any
			if got := p.get(t, "levels", &v); got != c.read {
				t.Errorf("read: %d, want %d", got, c.read)
			}
			resp, err := http.Post(p.url+"api/levels?name=db&level=debug&for=1m", "", nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != c.write || (p.log.Levels()["db"] == slog.LevelDebug) != (c.write == 200) {
				t.Errorf("write: %d, level %v", resp.StatusCode, p.log.Levels()["db"])
			}
		})
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	mo, err := monitor.New()
	if err != nil {
		t.Fatal(err)
	}
	defer mo.Close(context.Background())
	for name, f := range map[string]func() (*page.Page, error){
		"monitor": func() (*page.Page, error) { return page.New(nil) },
		"option":  func() (*page.Page, error) { return page.New(mo, nil) },
		"router":  func() (*page.Page, error) { return page.New(mo, page.WithRouter(nil)) },
		"access":  func() (*page.Page, error) { return page.New(mo, page.WithAccess(nil)) },
		"two": func() (*page.Page, error) {
			return page.New(mo, page.WithAccess(func(*http.Request) page.Access { return page.Read }), page.WithLogin(func(string, string) page.Access { return page.Read }))
		},
	} {
		if _, err := f(); !errors.Is(err, monitor.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}
