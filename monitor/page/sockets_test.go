package page_test

import (
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Strangers' names leave nothing in any of the parts that a page shows, when
// they come over real connections.
func TestStrangersNamesLeaveNothingInTheParts(t *testing.T) {
	p := start(t)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	ask := func(i int, name string) {
		for _, path := range []string{"router?service=" + name, "router?service=orders&label." + name + "=x", "trace?id=" + name, "traces?service=" + name, "events?type=" + name, "diff?key=" + name, "versions?key=" + name}[i%7:][:1] {
			resp, err := client.Get(p.url + "api/" + path)
			if err != nil {
				t.Error(err)
				return
			}
			resp.Body.Close()
			if resp.StatusCode >= 500 || i%7 < 2 && resp.StatusCode != http.StatusOK {
				t.Errorf("%.40s: %s", path, resp.Status)
			}
		}
	}
	burst := func(what string, n int) (goroutines, heap int) {
		var group sync.WaitGroup
		for w := range 8 {
			group.Go(func() {
				for i := w; i < n; i += 8 {
					ask(i, url.QueryEscape(fmt.Sprintf("%s-%d-%s", what, i, strings.Repeat("x", 4000))))
				}
			})
		}
		group.Wait()
		client.CloseIdleConnections()
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return runtime.NumGoroutine(), int(m.HeapAlloc)
	}
	goroutines, heap := burst("first", 200)
	g, after := burst("stranger", 2000)
	for deadline := time.Now().Add(30 * time.Second); g > goroutines+5 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		g = runtime.NumGoroutine()
	}
	if g > goroutines+5 || after > heap+1<<20 {
		t.Errorf("%d goroutines became %d, %d bytes %d", goroutines, g, heap, after)
	}
}

// What a request may hold is bounded by the server's MaxHeaderBytes; what is
// asked for is bounded by the page.
func TestHowMuchIsAskedForIsBounded(t *testing.T) {
	p := start(t)
	for _, path := range []string{"traces", "events"} {
		for limit, want := range map[string]int{"": 200, "0": 400, "1": 200, "1000": 200, "1001": 400, "-1": 400, "x": 400, "99999999999999999999": 400} {
			resp, err := http.Get(p.url + "api/" + path + "?limit=" + limit)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%s of %q: %s, want %d", path, limit, resp.Status, want)
			}
		}
	}
	http.DefaultClient.CloseIdleConnections()
}
