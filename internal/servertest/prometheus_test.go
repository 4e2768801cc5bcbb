package servertest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// Prometheus scrapes what it is given, where it is given, asks for protobuf first, and evaluates rules.
func TestPrometheusScrapes(t *testing.T) {
	var accept atomic.Value
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		accept.Store(r.Header.Get("Accept"))
		fmt.Fprintf(w, "answered{path=%q} 7\n", r.URL.Path)
	}))
	defer target.Close()
	host := strings.TrimPrefix(target.URL, "http://")
	rules := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(rules, []byte("groups: [{name: g, rules: [{record: doubled, expr: 2 * answered}]}]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := Prometheus(t, WithTargets(host, host+"/else/where"), WithRules(rules))
	for _, path := range []string{"/metrics", "/else/where"} {
		got := s.AwaitProm(t, fmt.Sprintf("doubled{path=%q}", path), func(got []PromSample) bool { return len(got) == 1 })
		if got[0].Value != "14" || got[0].Metric["job"] != "test" || got[0].Metric["instance"] != host {
			t.Errorf("%s: %+v", path, got)
		}
	}
	if got, _ := accept.Load().(string); !strings.HasPrefix(got, "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited") {
		t.Errorf("it asks for %q", got)
	}
	if err := s.Prom(nil, "query", "query", "sum("); err == nil {
		t.Error("no error for a bad query")
	}
}
