package prometheus_test

import (
	"context"
	"fmt"
	"io"
	"net/http/httptest"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
)

func ExampleHandler() {
	m, _ := metrics.New()
	defer m.Close(context.Background())
	m.CounterVec("requests_total", []string{"code"}, metrics.Help("Requests that were answered.")).With("200").Add(3)

	server := httptest.NewServer(prometheus.Handler(m)) // http.Handle("/metrics", …)
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	page, _ := io.ReadAll(resp.Body)
	fmt.Print(string(page))
	// Output:
	// # HELP requests_total Requests that were answered.
	// # TYPE requests_total counter
	// requests_total{code="200"} 3
}

func ExampleAppendProtobuf() {
	m, _ := metrics.New()
	defer m.Close(context.Background())
	m.Counter("requests_total").Inc()
	snapshot := m.Snapshot()
	page := prometheus.AppendProtobuf(nil, &snapshot)
	fmt.Println(int(page[0]) == len(page)-1) // one message behind its length
	// Output: true
}
