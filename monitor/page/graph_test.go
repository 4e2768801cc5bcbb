package page_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/trace"
)

// landscape serves the page of services of which each calls some of the others.
func landscape(t *testing.T, calls map[string][]string, opts ...page.Option) (url string) {
	t.Helper()
	shared := monitor.NewReports()
	observer, err := monitor.New(monitor.Memory(shared), monitor.WithInstance(monitor.Instance{ID: "watcher", Service: "watcher"}))
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range calls {
		r := monitor.Report{Status: monitor.Status{Instance: monitor.Instance{ID: from + "-1", Service: from}, State: monitor.Pass, Live: true, Ready: true}, Seq: 1, Interval: time.Hour, TTL: time.Hour}
		count := func(e monitor.Endpoint, calls, errors uint64, p99 time.Duration) {
			c := monitor.Counts{Calls: calls, Errors: errors, Over: 10 * time.Second, P50: p99 / 2, P95: p99, P99: p99, Max: p99}
			r.Stats.Endpoints = append(r.Stats.Endpoints, monitor.EndpointStats{Endpoint: e, Total: c, Window: c})
		}
		count(monitor.Endpoint{Service: from, Method: "GET /"}, 500, 5, 20*time.Millisecond)
		count(monitor.Endpoint{Client: true, Service: "never", Method: "GET"}, 0, 0, 0)
		for i, callee := range to {
			count(monitor.Endpoint{Client: true, Service: callee, Method: "GET"}, 100, uint64(i%3), 10*time.Millisecond)
			count(monitor.Endpoint{Client: true, Service: callee, Method: "POST"}, 100, 0, 30*time.Millisecond)
		}
		if err := shared.Driver().Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	p, err := page.New(observer, opts...)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(p)
	t.Cleanup(func() {
		srv.Close()
		if err := errors.Join(p.Close(), observer.Close(context.Background())); err != nil {
			t.Error(err)
		}
	})
	heard := func() bool { // of each: the watcher is one more
		n := 0
		for _, service := range observer.Cluster().Services() {
			if _, ok := calls[service]; ok {
				n++
			}
		}
		return n == len(calls)
	}
	for end := time.Now().Add(30 * time.Second); !heard(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the services were not heard of within 30 s")
		}
	}
	return srv.URL + "/"
}

func TestTheMapSaysWhoCallsWhom(t *testing.T) {
	spans := trace.NewStore(0, time.Hour)
	tr, err := trace.New(trace.Memory(spans))
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close(context.Background())
	span := func(id, parent byte, kind trace.Kind, service, remote string, err string, tags ...trace.Tag) trace.SpanData {
		return trace.SpanData{Context: trace.SpanContext{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{id}, ParentID: trace.SpanID{parent}}, Kind: kind, Name: "x",
			Local: trace.Endpoint{Service: service}, Remote: trace.Endpoint{Service: remote}, Start: time.Now(), Duration: time.Duration(id) * time.Millisecond, Err: err, Tags: tags}
	}
	if _, err := spans.Report(t.Context(), []trace.SpanData{
		span(1, 0, trace.Client, "legacy", "orders", ""), span(2, 1, trace.Server, "orders", "", ""),
		span(3, 2, trace.Server, "orders", "", ""), // a handler within a handler
		span(4, 2, trace.Producer, "orders", "", "", trace.Tag{}), span(5, 4, trace.Consumer, "mailer", "", "full"),
		span(6, 2, trace.Client, "orders", "db.internal", "no disk", dbSystem),
		span(7, 2, trace.Internal, "orders", "nothing", ""),
		span(8, 2, trace.Client, "orders", "", ""), // to an address that has no name
	}); err != nil {
		t.Fatal(err)
	}
	url := landscape(t, map[string][]string{"edge": {"orders", "users"}, "orders": {"users", "edge"}, "users": nil}, page.WithTrace(tr))
	var m page.Map
	(&parts{url: url}).get(t, "map", &m)
	var got []string
	layer := map[string]int{}
	for _, n := range m.Nodes {
		layer[n.Name] = n.Layer
		got = append(got, fmt.Sprintf("%s: %s %s %.0f/s %.2f %v", n.Name, n.Kind, n.Verdict, n.Rate, n.Errors, n.P99))
	}
	for _, e := range m.Edges {
		got = append(got, fmt.Sprintf("%s→%s: %.0f/s %.3f %v messages %t sampled %d", e.From, e.To, e.Rate, e.Errors, e.P99, e.Messages, e.Sampled))
	}
	text := strings.Join(got, "\n")
	for _, want := range []string{
		"edge: service unknown 50/s 0.01 20ms", "legacy: service  0/s", "mailer: service  0/s", "db.internal: store  0/s",
		"edge→orders: 20/s 0.000 30ms", "edge→users: 20/s 0.005 30ms", "orders→edge: 20/s",
		"legacy→orders: 0/s 0.000 2ms messages false sampled 1", "orders→mailer: 0/s 1.000 5ms messages true sampled 1", "orders→db.internal: 0/s 1.000 6ms messages false sampled 1",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	for _, never := range []string{"never", "nothing", "orders→orders"} {
		if strings.Contains(text, never) {
			t.Errorf("%q in\n%s", never, text)
		}
	}
	if len(m.Edges) != 7 || layer["legacy"] >= layer["orders"] || layer["orders"] >= layer["mailer"] || layer["orders"] >= layer["users"] {
		t.Errorf("%d calls, layers %v", len(m.Edges), layer)
	}
}

func TestTheMapIsBounded(t *testing.T) {
	calls := map[string][]string{}
	for i := range 40 {
		for k := range 40 {
			calls[fmt.Sprint("s", i)] = append(calls[fmt.Sprint("s", i)], fmt.Sprint("s", (i+k+1)%40))
		}
	}
	for i := range 200 {
		calls["s0"] = append(calls["s0"], fmt.Sprintf("extern-%d-%s", i, strings.Repeat("x", 300)))
	}
	var m page.Map
	(&parts{url: landscape(t, calls)}).get(t, "map", &m)
	if len(m.Nodes) != 200 || len(m.Edges) != 1000 || m.Dropped < 800 || m.Dropped > 801 { // 40 services and 760 calls, and the watcher once it was heard of
		t.Errorf("%d services, %d calls, %d dropped, want 200, 1000 and 800 or 801", len(m.Nodes), len(m.Edges), m.Dropped)
	}
	for _, n := range m.Nodes {
		if len(n.Name) > 200 {
			t.Errorf("a name of %d bytes", len(n.Name))
		}
	}
}

// The map can be read with 1, 5 and 50 services at every width: nothing lies on
// something else or beyond the window, and every call has its line.
func TestTheMapCanBeRead(t *testing.T) {
	browser := servertest.SharedBrowser(t)
	for _, n := range []int{1, 5, 50} {
		calls := map[string][]string{}
		for i := range n {
			name := fmt.Sprintf("service-%02d", i)
			calls[name] = nil
			for _, k := range []int{2*i + 1, 2*i + 2, 7*i + 5} { // a tree, with calls that pass layers by
				if k < n {
					calls[name] = append(calls[name], fmt.Sprintf("service-%02d", k))
				}
			}
		}
		url := landscape(t, calls)
		var m page.Map
		(&parts{url: url}).get(t, "map", &m)
		tab := servertest.OpenTab(t, browser, url+"#map", 1280, 900)
		tab.AwaitText("h1", "Map")
		tab.AwaitText("main", "service-00")
		for _, width := range []int{360, 768, 1280, 1600} {
			tab.Size(width, 900)
			tab.Await(fmt.Sprintf("innerWidth === %d && (!document.querySelector('.map') || document.querySelectorAll('.wires > path').length === %d && document.querySelector('.wires').viewBox.baseVal.width === document.querySelector('.map').clientWidth)", width, len(m.Edges)))
			for what, script := range map[string]string{
				"pixels beyond the window":                    "Math.max(0, document.documentElement.scrollWidth - document.documentElement.clientWidth) || ''",
				"services that lie on each other":             "(() => { const r = [...document.querySelectorAll('.node')].map((e) => [e.dataset.name, e.getBoundingClientRect()]); return r.flatMap(([n, a], i) => r.slice(i + 1).filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom).map(([m]) => n + ' ' + m)).join() })()",
				"services that stick out":                     "[...document.querySelectorAll('.map .node')].filter((e) => { const r = e.getBoundingClientRect(), m = e.closest('.map').getBoundingClientRect(); return r.left < m.left || r.right > m.right || r.bottom > m.bottom }).map((e) => e.dataset.name).join()",
				"lines that begin or end away from a service": "[...document.querySelectorAll('.wires > path')].filter((p) => { const o = document.querySelector('.map').getBoundingClientRect(), near = (q) => [...document.querySelectorAll('.node')].some((e) => { const r = e.getBoundingClientRect(); return q.x + o.left > r.left - 3 && q.x + o.left < r.right + 3 && q.y + o.top > r.top - 3 && q.y + o.top < r.bottom + 3 }); return !near(p.getPointAtLength(0)) || !near(p.getPointAtLength(p.getTotalLength())) }).length || ''",
			} {
				if got := tab.Eval(script); got != "" {
					t.Errorf("%d services, %d pixels wide: %s: %s", n, width, what, got)
				}
			}
			picture(t, tab, fmt.Sprint("map", n), fmt.Sprint(width))
		}
		quiet(t, tab)
	}
}
