package page_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor/page"
)

// dbSystem marks a span as one that asks a database.
var dbSystem = slog.String("db.system.name", "postgresql")

type results struct {
	Found []page.Found
	More  map[string]int
}

func (p *parts) search(t *testing.T, q string) results {
	t.Helper()
	var got results
	p.get(t, "search?q="+url.QueryEscape(q), &got)
	return got
}

func TestSearchFindsWhatThePageKnows(t *testing.T) {
	p := start(t)
	p.settled(t)
	var found struct{ Traces []page.TraceSummary }
	p.get(t, "traces?name=checkout", &found)
	id := found.Traces[0].ID
	for _, late := range []string{"scheduler", "edge-2:80"} { // others tell of them
		for end := time.Now().Add(30 * time.Second); len(p.search(t, late).Found) == 0 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		}
	}
	for q, want := range map[string]string{
		"orders-2":       "instance orders-2 orders warn",
		"ORDERS-2":       "instance orders-2 orders warn",
		"team=blue":      "instance orders-1 orders pass, instance orders-2 orders warn",
		"edge-2:80":      "instance edge-2 edge unknown",
		"1.2 orders-1":   "instance orders-1 orders pass",
		"{id}":           "endpoint GET /orders/{id} orders ",
		id:               "trace " + id + " edge ",
		"  " + id + "  ": "trace " + id + " edge ",
		id[:31]:          "", // traces are found by the whole id
		"greeting":       "config greeting  ",
		"hello":          "config greeting  ",
		"s3cret":         "", // a value that is hidden is not found either
		"hunter2":        "",
		"password":       "config password  ",
		"shop":           "document shop  ",
		"scheduler":      "lock scheduler  ",
		"leader edge-1":  "lock scheduler  ",
		"db":             "logger db  ",
		"nonsense":       "",
	} {
		var got []string
		for _, f := range p.search(t, q).Found {
			got = append(got, fmt.Sprintf("%s %s %s %s", f.Kind, f.Name, f.Service, f.State))
		}
		if text := strings.Join(got, ", "); text != want {
			t.Errorf("%q: got %q, want %q", q, text, want)
		}
	}
	if got := fmt.Sprint(p.search(t, "password")); strings.Contains(got, "s3cret") {
		t.Errorf("a secret: %s", got)
	}
}

func TestSearchIsBounded(t *testing.T) {
	calls := map[string][]string{}
	for i := range 21 {
		calls[fmt.Sprintf("many-%02d", i)] = nil
	}
	p := &parts{url: landscape(t, calls)}
	got := p.search(t, "many")
	if n := len(got.Found); n != 60 || got.More["service"] != 1 || got.More["instance"] != 1 || got.More["endpoint"] != 1 {
		t.Errorf("%d results, more %v, want 60 and one more of each of three kinds", n, got.More)
	}
	if got := p.search(t, "many-1"); got.More["service"] != 0 {
		t.Errorf("ten services: more %v", got.More)
	}
	for q, want := range map[string]int{"": 400, "   ": 400, "x": 200, strings.Repeat("x", 200): 200, strings.Repeat("x", 201): 400} {
		resp, err := http.Get(p.url + "api/search?q=" + url.QueryEscape(q))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%d bytes: %s, want %d", len(q), resp.Status, want)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// Names that mean something to scripts, and things of the same name, are shown
// as any other.
func TestOddNamesAreShown(t *testing.T) {
	browser := servertest.SharedBrowser(t)
	tab := servertest.OpenTab(t, browser, landscape(t, map[string][]string{"constructor": {"__proto__"}, "__proto__": nil}), 1280, 800)
	tab.AwaitText("main", "constructor-1")
	tab.AwaitText("main", "__proto__-1")
	tab.Eval("series.last = new Date().toISOString(), delete series.services.constructor, delete series.services['__proto__'], refresh()") // as if they came later
	if got := tab.Eval("problem"); got != "" {
		t.Errorf("services that came later: %s", got)
	}
	tab.Eval("location.hash = 'constructor'")
	tab.Await("shown === '#constructor'")
	tab.AwaitText("h1", "Cluster")
	if got := tab.Eval("(() => { const list = () => el('ul', {}, ['a', 'b'].map((x) => el('li', { 'data-key': 'same' }, x))), ul = list(); morph(ul, list()); return ul.textContent })()"); got != "ab" {
		t.Errorf("two of the same key become %q", got)
	}
	quiet(t, tab)
}

// What somebody looks at is in the address: who opens it sees the same.
func TestLinksCanBeShared(t *testing.T) {
	browser := servertest.SharedBrowser(t)
	p := start(t, page.WithAccess(func(*http.Request) page.Access { return page.Write }))
	p.settled(t)
	var found struct{ Traces []page.TraceSummary }
	p.get(t, "traces?name=checkout", &found)
	for name, c := range map[string]struct {
		at    string
		do    func(*servertest.Tab)
		shown string // what do brings about
	}{
		"an open span": {"traces?id=" + found.Traces[0].ID, func(tab *servertest.Tab) {
			tab.Await("document.querySelector('.fall .time i')?.getBoundingClientRect().width > 100")
			tab.Click(".fall li:last-child button")
		}, "document.querySelector('main')?.innerText.includes('<b>bold</b>')"},
		"an open event": {"events", func(tab *servertest.Tab) { tab.Click("tr:last-child button.data") }, "document.querySelector('tr:last-child button.data')?.ariaExpanded === 'true'"},
		"filtered configuration": {"config", func(tab *servertest.Tab) {
			tab.Key("/")
			tab.Await("document.activeElement.type === 'search'")
			tab.Type("greet")
		},
			"document.querySelector('main input')?.value === 'greet' && !document.querySelector('tbody').innerText.includes('password')"},
		"a search": {"search", func(tab *servertest.Tab) { tab.Await("document.activeElement.name === 'q'"); tab.Type("orders-2") }, "document.querySelector('.found a')?.innerText === 'orders-2'"},
		"a time":   {"service?name=orders", func(tab *servertest.Tab) { tab.Click(".ranges a:nth-child(2)") }, "document.querySelector('.ranges [aria-current]')?.innerText === '1 h' && document.querySelector('.chart .x')?.innerText.includes('1 h ago')"},
		"kinds of the timeline": {"timeline", func(tab *servertest.Tab) { tab.Click(".choice:nth-child(6)") },
			"document.querySelector('.choice[aria-current]')?.innerText === 'configuration' && document.querySelector('.line')?.innerText.includes('by mistake')"},
		"neighbours on the map": {"map", func(tab *servertest.Tab) {
			tab.Await("document.querySelector('main select')")
			tab.Eval("(() => { const s = document.querySelector('main select'); s.value = 'orders'; s.dispatchEvent(new Event('change')) })()")
		}, "document.querySelector('main select')?.value === 'orders' && document.querySelector('.map')?.innerText.includes('edge')"},
		"an instance": {"search?q=orders-2", func(tab *servertest.Tab) { tab.Click(".found a") }, "document.querySelector('tr.aim')?.innerText.includes('orders-2')"},
	} {
		t.Run(name, func(t *testing.T) {
			tab := servertest.OpenTab(t, browser, p.url+"#"+c.at, 1280, 800)
			tab.AwaitText("#stale", "live")
			if tab.Eval("!!("+c.shown+")") == "true" {
				t.Fatal("it is shown before anybody asked for it")
			}
			c.do(tab)
			tab.Await(c.shown)
			link := tab.Eval("location.href")
			other := servertest.OpenTab(t, browser, link, 1280, 800)
			other.Await(c.shown)
			quiet(t, tab)
			quiet(t, other)
		})
	}
}
