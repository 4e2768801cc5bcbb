package servertest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Prometheus starts Prometheus, which scrapes [WithTargets] every half second and keeps exemplars
// and native histograms: for the latter it asks for protobuf. The port is "http".
func Prometheus(t testing.TB, opts ...Option) *Server {
	t.Helper()
	o := collect(opts)
	return start(t, o, spec{
		name: "prometheus", part: "prometheus", program: "prometheus", ports: []string{"http"},
		prepare: func(s *Server) error { return write(s.dir, "prometheus.yml", prometheusConfig(o)) },
		args: func(s *Server) []string {
			return []string{"--config.file=" + filepath.Join(s.dir, "prometheus.yml"), "--storage.tsdb.path=" + filepath.Join(s.dir, "data"),
				"--web.listen-address=" + s.Addr(), "--enable-feature=exemplar-storage,native-histograms", "--log.level=warn"}
		},
		ready: answers("http", "/-/ready", ""),
	})
}

// prometheusConfig is prometheus.yml. JSON's strings are YAML's too.
func prometheusConfig(o options) string {
	quoted := func(v any) string {
		b, _ := json.Marshal(v)
		return string(b)
	}
	var b strings.Builder
	b.WriteString("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\n")
	if len(o.rules) > 0 {
		fmt.Fprintf(&b, "rule_files: %s\n", quoted(o.rules))
	}
	b.WriteString("scrape_configs:\n")
	for _, target := range o.targets {
		host, path, _ := strings.Cut(target, "/")
		if path == "" {
			path = "metrics"
		}
		fmt.Fprintf(&b, "- {job_name: %s, metrics_path: %s, static_configs: [{targets: [%s], labels: {job: test}}]}\n",
			quoted("test "+target), quoted("/"+path), quoted(host))
	}
	return b.String()
}

// Prom asks Prometheus' API, such as "query" with "query", `up`, and decodes what stands in the
// answer's data into data. The parameters are names and values by turns.
func (s *Server) Prom(data any, call string, params ...string) error {
	q := url.Values{}
	for i := 0; i+1 < len(params); i += 2 {
		q.Add(params[i], params[i+1])
	}
	body, err := s.request(http.MethodGet, "http", "/api/v1/"+call+"?"+q.Encode(), "")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(body), &struct{ Data any }{data})
}

// A PromSample is one series of the answer to a query that gives an instant vector.
type PromSample struct {
	Metric map[string]string
	Value  string // "" for a native histogram
}

// AwaitProm waits up to a minute until done accepts what Prometheus answers to a query, and
// returns that; then it fails the test.
func (s *Server) AwaitProm(t testing.TB, query string, done func([]PromSample) bool) []PromSample {
	t.Helper()
	var got []PromSample
	var err error
	if !poll(time.Minute, func() bool {
		var data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
		err = s.Prom(&data, "query", "query", query)
		if err != nil {
			return false
		}
		got = nil
		for _, one := range data.Result {
			value, _ := one.Value[1].(string)
			got = append(got, PromSample{one.Metric, value})
		}
		return done(got)
	}) {
		t.Fatalf("%s: %s is %v (%v), which is not what was waited for\nlog:\n%s", s.name, query, got, err, s.Log())
	}
	return got
}
