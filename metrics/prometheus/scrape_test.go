package prometheus_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
)

func TestAPanicInAFunctionDoesNotStopScrapes(t *testing.T) {
	m, err := metrics.New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close(t.Context())
	m.GaugeFunc("bad", func() float64 { panic("no pool") })
	m.Gauge("good").Set(1)
	server := httptest.NewServer(prometheus.Handler(m))
	defer server.Close()
	for range 3 {
		r, err := http.Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		page, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 200 || !strings.Contains(string(page), "good 1") || strings.Contains(string(page), "bad ") {
			t.Fatalf("%d %v\n%s", r.StatusCode, err, page)
		}
	}
}
