package wrapper_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// The latencies of a server's and a client's calls lead to the spans of these calls.
func TestLatenciesHaveTheCallsSpans(t *testing.T) {
	for name, sampler := range map[string]trace.Sampler{"sampled": trace.Ratio(1), "not sampled": trace.Ratio(0)} {
		t.Run(name, func(t *testing.T) {
			spans := trace.NewStore(100, time.Hour)
			side := func() (*wrapper.Wrapper, metrics.Metrics) {
				tr, err := trace.New(trace.Memory(spans), trace.WithSampler(trace.ParentOr(sampler)))
				if err != nil {
					t.Fatal(err)
				}
				m, err := metrics.New()
				if err != nil {
					t.Fatal(err)
				}
				return newWrapper(t, wrapper.WithTrace(tr), wrapper.WithMetrics(m)), m
			}
			server, served := side()
			client, called := side()
			s := httptest.NewServer(server.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
			defer s.Close()
			get(t, client.Client(), s.URL)
			if err := server.Close(t.Context()); err != nil { // reports the spans
				t.Fatal(err)
			}
			if err := client.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			for side, m := range map[string]metrics.Metrics{"server": served, "client": called} {
				n := 0
				for _, f := range m.Snapshot().Families {
					for _, one := range f.Series {
						for _, e := range one.Exemplars {
							if e.Time.IsZero() {
								continue
							}
							n++
							tr, ok := spans.Trace(e.TraceID)
							found := false
							for _, sp := range tr.Spans {
								found = found || sp.Context.SpanID == trace.SpanID(e.SpanID) && (sp.Kind == trace.Server) == (side == "server")
							}
							if !ok || !found {
								t.Errorf("%s: the exemplar's span %x is not in %s", side, e.SpanID, tr.Tree())
							}
						}
					}
				}
				if want := map[string]int{"sampled": 1}[name]; n != want {
					t.Errorf("%s: %d exemplars, want %d", side, n, want)
				}
			}
		})
	}
}
