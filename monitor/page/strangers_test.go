package page_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
)

func bare(t *testing.T, opts ...page.Option) *page.Page {
	t.Helper()
	mo, err := monitor.New()
	if err != nil {
		t.Fatal(err)
	}
	p, err := page.New(mo, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(); mo.Close(context.Background()) })
	return p
}

func ask(h http.Handler, method, target string, change func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestNamesThatAStrangerMayOwnDoNotReachThePage(t *testing.T) {
	write := page.WithAccess(func(*http.Request) page.Access { return page.Write })
	login := page.WithLogin(func(_, password string) page.Access { return page.Write })
	for name, c := range map[string]struct {
		opts  []page.Option
		hosts map[string]bool
	}{
		"by place": {[]page.Option{write}, map[string]bool{
			"127.0.0.1:8080": true, "10.1.2.3": true, "[::1]:8080": true, "[fd00::1]": true, "localhost:8080": true, "LOCALHOST.": true, "a.localhost": true, "box": true,
			"box.local": true, "orders.prod.svc.cluster.local": true, "ops.internal": true, "router.home.arpa:80": true, "x.test": true,
			"evil.example.com": false, "evil.com:8080": false, "localhost.evil.com": false, "127.0.0.1.nip.io": false, "internal.evil.com": false, "evilinternal.com": false, "ops.example.com": false,
		}},
		"open":    {nil, map[string]bool{"localhost": true, "evil.com": false}},
		"login":   {[]page.Option{login}, map[string]bool{"ops.example.com": true, "evil.com": true}},
		"by name": {[]page.Option{write, page.WithHosts("ops.example.com", "127.0.0.1")}, map[string]bool{"ops.example.com": true, "OPS.example.com:443": true, "127.0.0.1:80": true, "127.0.0.2": false, "localhost": false, "evil.com": false, "x.ops.example.com": false}},
		"both":    {[]page.Option{login, page.WithHosts("ops.example.com")}, map[string]bool{"ops.example.com": true, "evil.com": false}},
	} {
		l, err := log.New()
		if err != nil {
			t.Fatal(err)
		}
		p := bare(t, append(c.opts, page.WithLog(l))...)
		for host, well := range c.hosts {
			for _, what := range []string{"GET /", "GET /api/levels", "POST /api/levels?level=DEBUG&name=" + url.QueryEscape(host)} {
				method, target, _ := strings.Cut(what, " ")
				w := ask(p, method, target, func(r *http.Request) {
					r.Host = host
					r.SetBasicAuth("ann", "right")
					r.Header.Set("Sec-Fetch-Site", "same-origin") // as the browser says after the name was made to point here
				})
				if (w.Code == http.StatusMisdirectedRequest) == well {
					t.Errorf("%s, Host %s: %s answered %d", name, host, what, w.Code)
				}
			}
			if _, set := l.Levels()[host]; set && !well {
				t.Errorf("%s, Host %s: the level was changed", name, host)
			}
		}
		l.Close(t.Context())
	}
	for _, bad := range [][]string{nil, {""}, {"http://a"}, {"a:80"}} {
		mo, _ := monitor.New()
		if _, err := page.New(mo, page.WithHosts(bad...)); err == nil {
			t.Errorf("WithHosts(%q) was accepted", bad)
		}
		mo.Close(t.Context())
	}
}

func TestSignInsOfOneSourceAreThrottled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var checked atomic.Int64
		p := bare(t, page.WithLogin(func(user, password string) page.Access {
			checked.Add(1)
			if user == "ann" && password == "right" {
				return page.Read
			}
			return page.None
		}))
		try := func(from, password string) *httptest.ResponseRecorder {
			return ask(p, "GET", "/api/session", func(r *http.Request) {
				r.RemoteAddr = from
				r.SetBasicAuth("ann", password)
			})
		}
		const eve, ann, bob = "10.0.0.1:1", "10.0.0.2:1", "10.0.0.3:1"
		if w := try(ann, "right"); w.Code != http.StatusOK { // signs in before all that
			t.Fatalf("the right password: %d", w.Code)
		}
		for i := range 5 {
			if w := try(eve, fmt.Sprint(i)); w.Code != http.StatusUnauthorized {
				t.Errorf("guess %d: %d, want 401", i+1, w.Code)
			}
		}
		w := try(eve, "6")
		if w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") != "1" {
			t.Errorf("guess 6: %d with Retry-After %q, want 429 and 1", w.Code, w.Header().Get("Retry-After"))
		}
		if w := try("10.0.0.1:2", "right2"); w.Code != http.StatusTooManyRequests {
			t.Errorf("from another port: %d, want 429", w.Code)
		}
		if w := try(bob, "wrong"); w.Code != http.StatusUnauthorized {
			t.Errorf("another source waits: %d", w.Code)
		}
		if w := try(eve, "right"); w.Code != http.StatusOK {
			t.Errorf("who has signed in before, behind the same address: %d", w.Code)
		}
		before := checked.Load()
		got := 0
		for start := time.Now(); time.Since(start) < time.Hour; time.Sleep(100 * time.Millisecond) {
			if w := try(eve, "x"); w.Code == http.StatusUnauthorized {
				got++
			}
		}
		if got < 50 || got > 70 || checked.Load()-before != int64(got) {
			t.Errorf("%d of 36000 guesses in an hour were checked (%d), want about one a minute", got, checked.Load()-before)
		}
		time.Sleep(20 * time.Minute)
		for i := range 5 { // forgotten
			if w := try(eve, "y"); w.Code != http.StatusUnauthorized {
				t.Errorf("later, guess %d: %d, want 401", i+1, w.Code)
			}
		}
	})
}

func TestGuessesAtTheSameTimeCountToo(t *testing.T) {
	var checked atomic.Int64
	p := bare(t, page.WithLogin(func(string, string) page.Access {
		checked.Add(1)
		time.Sleep(10 * time.Millisecond)
		return page.None
	}))
	done := make(chan int)
	for i := range 200 {
		go func() {
			done <- ask(p, "GET", "/api/session", func(r *http.Request) { r.SetBasicAuth("ann", strconv.Itoa(i)) }).Code
		}()
	}
	for range 200 {
		<-done
	}
	if n := checked.Load(); n != 5 {
		t.Errorf("%d of 200 guesses at once were checked, want 5", n)
	}
}

func TestLevelRulesOfThePageAreBounded(t *testing.T) {
	l, err := log.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close(t.Context())
	p := bare(t, page.WithLog(l), page.WithAccess(func(*http.Request) page.Access { return page.Write }))
	set := func(name string) int {
		return ask(p, "POST", "http://localhost/api/levels?level=DEBUG&name="+name, nil).Code
	}
	for i := range 999 { // and the root
		if code := set(fmt.Sprint("n", i)); code != http.StatusOK {
			t.Fatalf("rule %d: %d", i, code)
		}
	}
	for name, want := range map[string]int{"one.more": http.StatusConflict, "n5": http.StatusOK, strings.Repeat("x", 200): http.StatusConflict, strings.Repeat("x", 201): http.StatusBadRequest} {
		if code := set(name); code != want {
			t.Errorf("%.10s of %d bytes: %d, want %d", name, len(name), code, want)
		}
	}
	if n := len(l.Levels()); n != 1000 {
		t.Errorf("%d rules, want 1000", n)
	}
}

// Nothing stays of names that strangers invent.
func TestStrangersNamesLeaveNothingAtThePage(t *testing.T) {
	p := bare(t, page.WithLogin(func(string, string) page.Access { return page.None }))
	open := bare(t)
	heap := func() (int, uint64) {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), m.HeapAlloc
	}
	burst := func(from, to int) {
		for i := from; i < to; i++ {
			name := fmt.Sprintf("stranger-%d-%s", i, strings.Repeat("x", 1000))
			for _, path := range []string{"series?service=", "router?service=", "trace?id=", "traces?service=", "events?type=", "levels?name=", "nothing/"} {
				ask(open, "GET", "http://localhost/api/"+path+name, nil)
			}
			ask(p, "GET", "/api/session", func(r *http.Request) {
				r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
				r.SetBasicAuth(name, name)
			})
		}
	}
	burst(0, 1500) // as many sources as are remembered
	goroutines, before := heap()
	burst(1500, 3500)
	g, after := heap()
	if g > goroutines+5 || after > before+1<<20 {
		t.Errorf("%d goroutines became %d, %d bytes %d", goroutines, g, before, after)
	}
}
