package page_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor/page"
)

// barriers are what axe-core finds in what a tab shows.
func barriers(t *testing.T, tab *servertest.Tab) (out []string) {
	t.Helper()
	found := tab.Eval("axe.run(document, {resultTypes: ['violations']}).then((r) => JSON.stringify(r.violations.flatMap((v) => v.nodes.map((n) => v.id + ': ' + n.target.join(' ') + ' ' + n.html.slice(0, 120) + ' ' + n.any.map((a) => a.message).join('; ')))))")
	if err := json.Unmarshal([]byte(found), &out); err != nil {
		t.Fatalf("%v: %s", err, found)
	}
	return out
}

// No part bars anybody who reads it by a screen reader, with bad eyes or by
// keyboard, as far as axe-core can tell.
func TestNoPartBarsAnybody(t *testing.T) {
	axe, browser := servertest.Axe(t), servertest.Browser(t)
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
