package page_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor/page"
)

// barriers are what axe-core finds in what a tab shows. What is stale is pale on purpose, and may
// be on a busy machine.
func barriers(t *testing.T, tab *servertest.Tab) (out []string) {
	t.Helper()
	tab.Eval("{ const plain = new CSSStyleSheet(); plain.replaceSync('main.old > * { opacity: 1 }'); document.adoptedStyleSheets = [plain] } 0")
	found := tab.Eval("axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.target.join(' ') + ' ' + n.html.slice(0, 120) + ' ' + n.any.map((a) => a.message).join('; ')))))")
	if err := json.Unmarshal([]byte(found), &out); err != nil {
		t.Fatalf("%v: %s", err, found)
	}
	return out
}

// No part bars anybody who reads it by a screen reader, with bad eyes or by
// keyboard, as far as axe-core can tell.
func TestNoPartBarsAnybody(t *testing.T) {
	axe, browser := servertest.Axe(t), servertest.SharedBrowser(t)
	p := start(t, page.WithAccess(func(*http.Request) page.Access { return page.Write }))
	p.settled(t)
	var found struct{ Traces []page.TraceSummary }
	p.get(t, "traces?name=checkout", &found)
	var spans []page.Span
	p.get(t, "trace?id="+found.Traces[0].ID, &spans)
	tab := servertest.OpenTab(t, browser, p.url, 1280, 900)
	tab.Eval(axe + ";0")
	for _, part := range []struct{ fragment, text string }{
		{"cluster", "orders-2"}, {"cluster?over=1h", "1 h ago"}, {"service?name=orders&instance=orders-2", "GET /orders/{id}"}, {"service?name=nobody", "No service"}, {"map", "reports"}, {"map?service=never", "calls nobody"},
		{"timeline", "by mistake"}, {"timeline?kind=ejection", "Nothing happened"}, {"router", "in rotation"}, {"traces", "checkout"}, {"traces?id=" + found.Traces[0].ID + "&open=" + spans[2].ID, "<b>bold</b>"},
		{"events", "order.created"}, {"config", "greeting"}, {"config?tab=changes", "began to watch"}, {"config?tab=documents", "version 3"}, {"locks", "elected"}, {"levels", "db"}, {"search?q=orders", "orders-1"},
	} {
		tab.Go(p.url + "#" + part.fragment)
		tab.AwaitText("main", part.text)
		for _, dark := range []bool{false, true} {
			tab.Dark(dark)
			if got := barriers(t, tab); len(got) > 0 {
				t.Errorf("#%s, dark %t:\n%.1000s", part.fragment, dark, strings.Join(got, "\n"))
			}
		}
	}
	tab.Size(360, 800)
	for _, fragment := range []string{"cluster", "map", "timeline"} {
		tab.Go(p.url + "#" + fragment)
		tab.Await("document.querySelector('nav [aria-current=page]')?.hash === '#" + fragment + "'")
		if got := barriers(t, tab); len(got) > 0 {
			t.Errorf("#%s on a phone:\n%s", fragment, strings.Join(got, "\n"))
		}
	}
	tab.Size(1280, 900)
	tab.Key("?")
	tab.AwaitText("dialog[open]", "Keyboard")
	if got := barriers(t, tab); len(got) > 0 {
		t.Errorf("the dialog:\n%s", strings.Join(got, "\n"))
	}
	tab.Key("Escape")
	tab.Await("!document.querySelector('dialog[open]')")
	tab.Eval("document.querySelector('main').append(document.createElement('button'))")
	if got := barriers(t, tab); len(got) != 1 || !strings.Contains(got[0], "button-name") {
		t.Errorf("a button without a name: %q", got)
	}
	quiet(t, tab)
}

// A cluster of many services is a list, which is asked for without its plots, and
// can be narrowed to those in trouble and to those with a word.
func TestALargeClusterIsAList(t *testing.T) {
	axe, browser := servertest.Axe(t), servertest.SharedBrowser(t)
	for _, n := range []int{12, 13} {
		calls := map[string][]string{}
		for i := range n - 1 { // and the one that watches
			calls[fmt.Sprintf("service-%02d", i)] = nil
		}
		url := landscape(t, calls)
		tab := servertest.OpenTab(t, browser, url, 1280, 900)
		tab.AwaitText("main", fmt.Sprintf("of %d", n))
		tab.Await(fmt.Sprintf("document.querySelectorAll('main a[href^=\"#service?name=service-\"]').length >= %d", n-1))
		cards, list := tab.Eval("document.querySelectorAll('.cards .card').length"), tab.Eval("[...document.querySelectorAll('th')].some((e) => e.textContent === 'why')")
		if n == 12 && (cards != "12" || list != "false") || n == 13 && (cards != "0" || list != "true") {
			t.Errorf("%d services: %s cards, a list: %s", n, cards, list)
		}
		asked := "performance.getEntriesByType('resource').filter((e) => e.name.includes('/api/series')).length > 0"
		if got, want := tab.Eval(asked), fmt.Sprint(n == 12); got != want {
			t.Errorf("%d services: samples asked for: %s, want %s", n, got, want)
		}
		tab.Eval(axe + ";0")
		for _, width := range []int{1280, 360} {
			tab.Size(width, 900)
			if got := barriers(t, tab); len(got) > 0 {
				t.Errorf("%d services, %d pixels:\n%.1000s", n, width, strings.Join(got, "\n"))
			}
			if over := tab.Eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); over != "0" {
				t.Errorf("%d services, %d pixels: %s are beyond the window", n, width, over)
			}
			picture(t, tab, fmt.Sprint("cluster", n), fmt.Sprint(width))
		}
		tab.Size(1280, 900)
		tab.Key("/") // where the page is drawn again, a click may miss
		tab.Await("document.activeElement?.type === 'search'")
		tab.Type("ICE-07")
		tab.Await("document.querySelectorAll('.cards .card').length === 1 && location.hash.includes('f=ICE-07')")
		tab.AwaitText("main", "service-07")
		tab.Go(url + "#cluster?f=nothing")
		tab.AwaitText("main", "No service fits")
		tab.Go(url + "#cluster?show=trouble")
		tab.Await("document.querySelector('.choice[aria-current]')?.textContent.endsWith('not well')")
		quiet(t, tab)
	}
}
