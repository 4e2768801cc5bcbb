package page_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
)

func TestMain(m *testing.M) { leak.Main(m) }

var shots = flag.String("shots", "", "folder to write screenshots to")

// parts is a small world with something to show in every part.
type parts struct {
	log log.Log
	mo  monitor.Monitor
	url string
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
	shared := monitor.NewMemory()
	for _, id := range []string{"orders-1", "orders-2"} {
		mo, err := monitor.New(monitor.WithMemory(shared), monitor.WithInstance(monitor.Instance{ID: id, Service: "orders", Version: "1.2", Zone: "eu-1"}), monitor.WithInterval(100*time.Millisecond))
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
	p.mo, err = monitor.New(monitor.WithMemory(shared), monitor.WithInstance(monitor.Instance{ID: "edge-1", Service: "edge"}), monitor.WithInterval(100*time.Millisecond),
		monitor.WithExpected(func(string) ([]string, bool) { return []string{"a", "b"}, true }))
	must(err)
	d, err := discovery.New()
	must(err)
	for _, id := range []string{"orders-1", "orders-2"} {
		_, err = d.Register(ctx, discovery.Instance{ID: id, Service: "orders", Address: id + ":80"})
		must(err)
	}
	ro, err := router.New(router.WithDiscovery(d))
	must(err)
	for range 10 {
		pick, err := ro.Pick(ctx, "orders")
		must(err)
		pick.Done(router.Outcome{Latency: time.Millisecond})
	}
	tr, err := trace.New(trace.WithService("edge"), trace.InMemory(trace.NewMemory(100, time.Hour)))
	must(err)
	outer, root := tr.Start(ctx, "checkout")
	_, child := tr.Start(outer, "pay", trace.WithKind(trace.Client))
	child.Tag("card", "<b>bold</b>")
	child.Error(errors.New("declined"))
	child.End()
	root.End()
	must(tr.Flush(ctx))
	stream, err := event.New()
	must(err)
	must(stream.Publish(ctx, &event.Record{Type: "order.created", Subject: "order/42", Data: []byte(`{"total":7}`)}))
	cfg, err := config.New(config.WithSource(config.NewMemory("defaults", map[string]any{"greeting": "hello", "password": "s3cret"})), config.WithSecrets("password"))
	must(err)
	p.log, err = log.Open(log.ToWriter(io.Discard, log.JSON()), log.WithLevel("db", slog.LevelWarn))
	must(err)
	pg, err := page.New(p.mo, append([]page.Option{page.WithRouter(ro), page.WithTrace(tr), page.WithEvents(stream), page.WithConfig(cfg), page.WithLog(p.log)}, opts...)...)
	must(err)
	mux := http.NewServeMux()
	mux.Handle("/debug/platform/", http.StripPrefix("/debug/platform", pg))
	srv := httptest.NewServer(mux)
	p.url = srv.URL + "/debug/platform/"
	t.Cleanup(func() {
		srv.Close()
		if err := errors.Join(pg.Close(), pg.Close(), ro.Close(context.Background()), d.Close(), tr.Close(context.Background()),
			stream.Close(context.Background()), cfg.Close(), p.log.Close(context.Background()), p.mo.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	return p
}

func (p *parts) get(t *testing.T, path string, into any) int {
	t.Helper()
	resp, err := http.Get(p.url + "api/" + path)
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
	for end := time.Now().Add(5 * time.Second); ; {
		var o page.Overview
		p.get(t, "overview", &o)
		for _, v := range o.Services {
			if v.Service == "orders" && v.Warn == 1 && v.Pass == 1 {
				return o
			}
		}
		if time.Now().After(end) {
			t.Fatalf("the services were not seen within 5 s: %+v", o.Services)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestEndpointsTellWhatThePartsKnow(t *testing.T) {
	p := start(t)
	o := p.settled(t)
	for _, part := range []string{"router", "traces", "events", "config", "levels"} {
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
	if len(found.Traces) != 1 || found.Traces[0].Spans != 2 || found.Traces[0].Errors != 1 {
		t.Fatalf("traces: %+v", found)
	}
	var spans []page.Span
	p.get(t, "trace?id="+found.Traces[0].ID, &spans)
	if len(spans) != 2 || spans[1].Depth != 1 || spans[1].Error != "declined" || spans[1].Parent != spans[0].ID {
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
	var levels map[string]string
	if p.get(t, "levels", &levels); levels["db"] != "WARN" {
		t.Errorf("levels: %v", levels)
	}
}

func TestSeriesGrows(t *testing.T) {
	p := start(t)
	var s map[string][]page.Point
	for end := time.Now().Add(10 * time.Second); len(s["orders"]) == 0; {
		if p.get(t, "series", &s); time.Now().After(end) {
			t.Fatalf("no sample within 10 s: %v", s)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if pt := s["orders"][0]; pt.P99 < 90*time.Millisecond {
		t.Errorf("got %+v", pt)
	}
}

func TestBadQuestionsAreErrors(t *testing.T) {
	p := start(t)
	for path, want := range map[string]int{
		"router": 400, "trace?id=xyz": 400, "trace?id=" + strings.Repeat("0", 31) + "1": 404, "traces?min=soon": 400, "traces?limit=0": 400, "events?limit=99999": 400,
	} {
		var e struct{ Error string }
		if got := p.get(t, path, &e); got != want || e.Error == "" {
			t.Errorf("%s: %d %q, want %d", path, got, e.Error, want)
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
	} {
		if _, err := f(); !errors.Is(err, page.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// What a person sees, in a real browser.
func TestPageInABrowser(t *testing.T) {
	p := start(t, page.WithAccess(func(*http.Request) page.Access { return page.Write }), page.WithTitle("Shop <1>"))
	p.settled(t)
	var found struct{ Traces []page.TraceSummary }
	p.get(t, "traces", &found)
	for fragment, want := range map[string][]string{
		"":                                {"orders-1", "orders-2", "eu-1", "connection refused &lt;script&gt;", "Shop &lt;1&gt;", "live, "},
		"router":                          {"least cost", "in rotation", "orders-1:80"},
		"traces":                          {"checkout", "failed only"},
		"traces?id=" + found.Traces[0].ID: {"declined", "&lt;b&gt;bold&lt;/b&gt;", "pay (client)", "class=\"fall\""},
		"events":                          {"order.created", "order/42"},
		"config":                          {"greeting", "hello", "defaults"},
		"levels":                          {"WARN", "<button>Set</button>"},
	} {
		dom := servertest.DOM(t, p.url+"#"+fragment)
		for _, w := range want {
			if !strings.Contains(dom, w) {
				t.Errorf("#%s shows no %q:\n%s", fragment, w, dom[strings.Index(dom, "<body"):strings.Index(dom, "<script")])
			}
		}
		if strings.Contains(dom, "s3cret") || strings.Contains(dom, "<b>bold") {
			t.Errorf("#%s shows a secret, or takes text for markup", fragment)
		}
		if *shots != "" {
			name := strings.NewReplacer("?", "-", "=", "-").Replace(fragment)
			servertest.Screenshot(t, p.url+"#"+fragment, filepath.Join(*shots, "page-"+name+".png"), 1300, 800)
			servertest.Screenshot(t, p.url+"#"+fragment, filepath.Join(*shots, "phone-"+name+".png"), 390, 800)
		}
	}
}
