package page_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor/page"
)

var shots = flag.String("shots", "", "folder to write pictures of every part to")

// What a person sees and does, in a real browser.
func TestInABrowser(t *testing.T) {
	browser := servertest.SharedBrowser(t)
	write := page.WithAccess(func(*http.Request) page.Access { return page.Write })
	steady := startSteady(t) // the subtests give it time

	t.Run("every part shows what there is", func(t *testing.T) {
		p := start(t, write, page.WithTitle("Shop <1>"))
		p.settled(t)
		var found struct{ Traces []page.TraceSummary }
		p.get(t, "traces", &found)
		tab := servertest.OpenTab(t, browser, p.url, 1360, 850)
		for _, part := range []struct {
			fragment string
			want     []string
		}{
			{"cluster", []string{"orders-1", "orders-2", "eu-1", "1.2", "team=blue", "connection refused <script>alert(1)</script>", "not heard", "of 2 instances healthy"}},
			{"service?name=orders", []string{"GET /orders/{id}", "Latency", "Error rate", "p99", "MiB"}},
			{"map", []string{"edge", "orders", "reports"}},
			{"timeline", []string{"by mistake", "newest 1000"}},
			{"search?q=orders", []string{"orders-1", "GET /orders/{id}"}},
			{"router", []string{"least cost", "2 of 2 in rotation", "orders-1:80", "in rotation"}},
			{"traces", []string{"checkout", "edge"}},
			{"traces?errors=1&min=1h", []string{"No trace fits"}},
			{"traces?id=" + found.Traces[0].ID, []string{"declined", "pay", "client", "1 error"}},
			{"events", []string{"order.created", "order/42", `{"total":7}`}},
			{"config", []string{"greeting", "hello", "memory defaults"}},
			{"config?tab=changes", []string{"began to watch here"}},
			{"config?tab=documents", []string{"version 3", "limits.rate", "20", "30", "by mistake", "ann"}},
			{"config?tab=documents&v=1", []string{"version 1", "Roll back to this", "first"}},
			{"locks", []string{"reports", "held", "leadership", "elected", "waiting"}},
			{"levels", []string{"WARN", "db"}},
		} {
			tab.Go(p.url + "#" + part.fragment)
			for _, w := range part.want {
				tab.AwaitText("main", w)
			}
			for _, never := range []string{"s3cret", "hunter2"} {
				if strings.Contains(tab.Eval("document.documentElement.outerHTML"), never) {
					t.Errorf("#%s shows a secret", part.fragment)
				}
			}
			for width, name := range map[int]string{1280: "laptop", 1600: "wide", 768: "tablet", 360: "phone"} {
				tab.Size(width, 850)
				if over := tab.Eval("document.documentElement.scrollWidth - document.documentElement.clientWidth"); over != "0" {
					t.Errorf("#%s, %s: %s pixels are beyond the window: %s", part.fragment, name, over, tab.Eval("[...document.querySelectorAll('body, body *')].filter((e) => e.getBoundingClientRect().right > innerWidth && !e.closest('nav')).map((e) => e.outerHTML.slice(0, 80)).join('; ')"))
				}
				if narrow := tab.Eval("[...document.querySelectorAll('td, .fall .name')].filter((e) => e.offsetParent && e.textContent.length > 12 && e.getBoundingClientRect().width < 70).map((e) => e.outerHTML.slice(0, 80)).join('; ')"); narrow != "" {
					t.Errorf("#%s, %s: too narrow to be read: %s", part.fragment, name, narrow)
				}
				if out := tab.Eval("[...document.querySelectorAll('nav a')].filter((e) => { const r = e.getBoundingClientRect(); return r.width < 20 || r.left < 0 || r.right > innerWidth }).map((e) => e.textContent).join(', ')"); out != "" {
					t.Errorf("#%s, %s: parts that can't be reached: %s", part.fragment, name, out)
				}
				picture(t, tab, part.fragment, name)
			}
			tab.Size(1360, 850)
		}
		if got := tab.Text("#title"); got != "Shop <1>" {
			t.Errorf("the title is %q", got)
		}
		quiet(t, tab)
	})

	t.Run("a click leads from a service to its instances and back", func(t *testing.T) {
		p := start(t)
		p.settled(t)
		tab := servertest.OpenTab(t, browser, p.url, 1360, 850)
		tab.Click("section[aria-label=orders] .h3 a")
		tab.AwaitText("h1", "orders")
		tab.AwaitText("main", "GET /orders/{id}")
		tab.Eval("history.back()")
		tab.AwaitText("h1", "Cluster")
		quiet(t, tab)
	})

	t.Run("a span opens and stays open", func(t *testing.T) {
		p := start(t)
		tab := servertest.OpenTab(t, browser, p.url+"#traces", 1360, 850)
		tab.Click("tbody td a")
		tab.Await("document.querySelector('.fall .time i')?.getBoundingClientRect().width > 100")
		if strings.Contains(tab.Text("main"), "<b>bold</b>") {
			t.Error("a closed span shows its tags")
		}
		tab.Click(".fall li:last-child button")
		tab.AwaitText("main", "<b>bold</b>")
		tab.Eval("refresh()")
		tab.AwaitText("main", "<b>bold</b>")
		quiet(t, tab)
	})

	t.Run("events are found by type and come by themselves", func(t *testing.T) {
		p := start(t)
		tab := servertest.OpenTab(t, browser, p.url+"#events", 1360, 850)
		tab.AwaitText("tbody", "order.created")
		tab.Key("/")
		tab.Type("order.paid")
		tab.Key("Enter")
		tab.AwaitText("main", "No event fits")
		if err := p.stream.Publish(t.Context(), &event.Record{Type: "order.paid", Subject: "order/43"}); err != nil {
			t.Fatal(err)
		}
		tab.AwaitText("main", "order/43")
		if got := tab.Eval("document.querySelector('input[name=type]').value"); got != "order.paid" {
			t.Errorf("the filter is %q", got)
		}
		quiet(t, tab)
	})

	t.Run("a document is rolled back", func(t *testing.T) {
		p := start(t, write)
		tab := servertest.OpenTab(t, browser, p.url+"#config?tab=documents&v=2", 1360, 850)
		tab.AwaitText("main", "version 2")
		tab.Click("main section button")
		tab.AwaitText("dialog", "Roll shop back to version 2?")
		tab.Click("dialog input")
		tab.Type("as it was")
		picture(t, tab, "rollback", "wide")
		tab.Click("dialog button[value=yes]")
		tab.AwaitText("main", "version 4")
		tab.AwaitText("main", "as it was")
		d, err := p.documents.Get(t.Context(), "shop")
		if err != nil || d.Get("limits.rate").Int(0) != 20 || d.Author != "page" || d.Comment != "as it was" {
			t.Errorf("got %v, %v", d, err)
		}
		quiet(t, tab)
	})

	t.Run("nobody may change what he may only read", func(t *testing.T) {
		p := start(t)
		tab := servertest.OpenTab(t, browser, p.url+"#config?tab=documents&v=2", 1360, 850)
		tab.AwaitText("main", "version 2")
		if tab.Eval("document.querySelectorAll('main button').length") != "0" {
			t.Error("there is a button to roll back")
		}
		tab.Go(p.url + "#levels")
		tab.AwaitText("main", "You may look, not change.")
		if tab.Eval("document.querySelectorAll('main button').length") != "0" {
			t.Error("there is a button to set a level")
		}
		quiet(t, tab)
	})

	t.Run("a level is set", func(t *testing.T) {
		p := start(t, write)
		tab := servertest.OpenTab(t, browser, p.url+"#levels", 1360, 850)
		tab.Click("main input[name=name]")
		tab.Type("api")
		tab.Key("Enter")
		tab.AwaitText("tbody", "api")
		tab.AwaitText("tbody", "DEBUG")
		tab.Click("main input[name=name]")
		tab.Eval("document.querySelector('main select[name=for]').selectedIndex = 2; document.querySelector('main input[name=name]').value = ''") // for good
		tab.Type("kept")
		tab.Key("Enter")
		tab.AwaitText("tbody", "kept")
		quiet(t, tab)
	})

	t.Run("the keyboard is enough", func(t *testing.T) {
		p := start(t)
		p.settled(t)
		tab := servertest.OpenTab(t, browser, p.url, 1360, 850)
		tab.AwaitText("h1", "Cluster")
		tab.Key("j")
		tab.Key("Enter")
		tab.Await("location.hash.startsWith('#service?name=')")
		tab.AwaitText("main", "Endpoints")
		tab.Key("Escape")
		tab.AwaitText("h1", "Cluster")
		tab.Key("5")
		tab.AwaitText("h1", "Traces")
		tab.Key("?")
		tab.AwaitText("dialog[open]", "Keyboard")
		tab.Key("Escape")
		tab.Await("!document.querySelector('dialog[open]')")
		tab.Key("t")
		tab.Key("t")
		tab.Await("document.documentElement.style.colorScheme === 'dark'")
		tab.Key("Tab")
		tab.Await("document.activeElement !== document.body")
		quiet(t, tab)
	})

	t.Run("what does not change is not drawn again", func(t *testing.T) {
		p := start(t)
		p.settled(t)
		tab := servertest.OpenTab(t, browser, p.url, 1360, 850)
		tab.AwaitText("h1", "Cluster")
		tab.Await("document.querySelector('section[aria-label=orders] .plot .p99')")
		tab.Eval("window.before = [document.querySelector('section[aria-label=orders]'), document.querySelector('tbody tr:last-child'), document.querySelector('.plot svg')]")
		tab.Eval("refresh().then(refresh)")
		if got := tab.Eval("before.every((e) => e.isConnected)"); got != "true" {
			t.Error("elements were replaced")
		}
		quiet(t, tab)
	})

	t.Run("stale data is said to be stale", func(t *testing.T) {
		p := start(t)
		p.settled(t)
		tab := servertest.OpenTab(t, browser, p.url, 1360, 850)
		tab.AwaitText("#stale", "live")
		tab.AwaitText("main", "orders-1")
		p.broken.Store(true)
		tab.AwaitText("#stale", "stale")
		tab.AwaitText("#notice", "What is shown is of")
		picture(t, tab, "stale", "wide")
		if !strings.Contains(tab.Text("main"), "orders-1") {
			t.Error("the last that was known is gone")
		}
		p.broken.Store(false)
		tab.AwaitText("#stale", "live")
		tab.Await("document.querySelector('#notice').hidden")
		tab.Key("p")
		tab.AwaitText("#stale", "paused")
		tab.Click("#stale")
		tab.AwaitText("#stale", "live")
	})

	t.Run("a known load is shown as it is", func(t *testing.T) {
		tab := servertest.OpenTab(t, browser, steady+"#service?name=steady", 1360, 850)
		tab.Await("[...document.querySelectorAll('.plot path.rate')].length > 0 && last.data.series.steady.length > 5")
		// A machine that does something else for a second does not call steadily: then later.
		const shown = "[Math.min(...last.data.series.steady.slice(-5).map((p) => p.rate)), Math.max(...last.data.series.steady.slice(-5).map((p) => p.rate))," +
			"parseFloat(document.querySelector('figcaption i.rate').textContent.replace('served ', ''))].join(' ')"
		for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
			var rates [3]float64 // least, most, now
			_, err := fmt.Sscan(tab.Eval(shown), &rates[0], &rates[1], &rates[2])
			if err == nil && slices.Min(rates[:]) >= 36 && slices.Max(rates[:]) <= 44 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%v calls per second (%v), want 40 ± 10 %%", rates, err)
			}
		}
		quiet(t, tab)
	})

	t.Run("a stranger signs in", func(t *testing.T) {
		authority := auth.NewAuthority()
		au, err := auth.New(auth.Local(authority), auth.WithService("edge"), auth.WithRules(
			auth.Rule{ID: "operators", Effect: auth.Allow, Subjects: []string{"ann"}, Resources: []string{"platform/page"}},
			auth.Rule{ID: "readers", Effect: auth.Allow, Subjects: []string{"bob"}, Actions: []string{"read"}, Resources: []string{"platform/page"}},
		))
		if err != nil {
			t.Fatal(err)
		}
		defer au.Close()
		p := start(t, page.WithAuth(au))
		tab := servertest.OpenTab(t, browser, p.url+"#levels", 1360, 850)
		as := func(user string) {
			tab.AwaitText("dialog[open]", "token")
			raw := "nonsense"
			if user != "" {
				token, err := authority.Issue(user, "edge", nil)
				if err != nil {
					t.Fatal(err)
				}
				raw = string(token.AccessToken)
			}
			tab.Click("dialog input")
			tab.Type(raw)
			tab.Key("Enter")
		}
		as("")
		tab.AwaitText("dialog[open]", "not accepted")
		as("bob")
		tab.AwaitText("main", "You may look, not change.")
		tab.AwaitText("#user", "bob")
		tab.Eval("sessionStorage.clear(); location.reload()")
		as("ann")
		tab.AwaitText("#user", "ann")
		tab.Await("document.querySelector('main form')")
		resp, err := http.Post(p.url+"api/levels?name=db&level=debug", "", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusUnauthorized || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer") {
			t.Errorf("without a token: %d %q", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		}
	})
}

// quiet finds what a developer would see in red in the console.
func quiet(t *testing.T, tab *servertest.Tab) {
	t.Helper()
	if errs := tab.Errors(); len(errs) > 0 {
		t.Errorf("the console says\n%s", strings.Join(errs, "\n"))
	}
}

func picture(t *testing.T, tab *servertest.Tab, fragment, size string) {
	t.Helper()
	if *shots == "" {
		return
	}
	if err := os.MkdirAll(*shots, 0o755); err != nil {
		t.Fatal(err)
	}
	name := strings.NewReplacer("?", "-", "=", "-", "&", "-").Replace(fragment)
	for _, dark := range []bool{false, true} {
		tab.Dark(dark)
		tab.Shot(filepath.Join(*shots, name+"-"+size+map[bool]string{false: "-light", true: "-dark"}[dark]+".png"), false)
	}
	tab.Dark(false)
}

// documents makes a store with a history.
func documents(t *testing.T) store.Store {
	t.Helper()
	st, err := store.New(store.WithSecrets("password"))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	_, err1 := st.Put(ctx, "shop", map[string]any{"limits": map[string]any{"rate": 10}, "password": "hunter2"}, store.Author("ann"), store.Comment("first"))
	_, err2 := st.Set(ctx, "shop", "limits.rate", 20, store.Author("bob"))
	_, err3 := st.Set(ctx, "shop", "limits.rate", 30, store.Author("ann"), store.Comment("by mistake"))
	if err1 != nil || err2 != nil || err3 != nil {
		t.Fatal(err1, err2, err3)
	}
	return st
}
