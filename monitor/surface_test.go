package monitor_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"

	"github.com/micro/go-platform/monitor"
)

// What a stranger sends to the probes is not read, not kept and not shown.
func TestProbesTakeNothingFromStrangers(t *testing.T) {
	m, err := monitor.New(monitor.WithInstance(monitor.Instance{ID: "a", Service: "s"}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(context.Background())
	err = m.Register(monitor.Check{Name: "database", Severity: monitor.Soft, Func: func(context.Context) error { return errors.New("password hunter2 is wrong") }})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(m.Handler())
	defer s.Close()
	ask := func(method, path string, body io.Reader) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL+path, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := s.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	for _, path := range []string{"/livez", "/readyz", "/healthz", "/startupz", "/statusz", "/statsz"} {
		for method, want := range map[string]bool{"GET": true, "HEAD": true, "POST": false, "PUT": false, "DELETE": false} {
			code, body := ask(method, path+"?verbose&x="+strings.Repeat("x", 10_000), strings.NewReader(strings.Repeat("x", 10_000)))
			if (code != http.StatusMethodNotAllowed) != want || strings.Contains(body, "hunter2") || strings.Contains(body, "database") || len(body) > 4000 {
				t.Errorf("%s %s: %d %.300s", method, path, code, body)
			}
		}
		if code, _ := ask("GET", path+"/more", nil); code != http.StatusNotFound {
			t.Errorf("%s/more: %d", path, code)
		}
	}
	heap := func(what string, n int) int {
		for i := range n {
			ask("GET", fmt.Sprintf("/%s-%d-%s", what, i, strings.Repeat("x", 300)), nil)
		}
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int(m.HeapAlloc)
	}
	before := heap("first", 100)
	if after := heap("stranger", 5000); after > before+1<<20 {
		t.Errorf("%d bytes became %d", before, after)
	}
}
