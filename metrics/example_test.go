package metrics_test

import (
	"context"
	"fmt"
	"time"

	"github.com/micro/go-platform/metrics"
)

func ExampleNew() {
	m, err := metrics.New(metrics.WithNamespace("shop"))
	if err != nil {
		panic(err)
	}
	defer m.Close(context.Background())

	requests := m.CounterVec("requests_total", []string{"method", "code"}, metrics.Help("Requests that were answered."))
	ok := requests.With("GET", "200") // keep a handle where that is easy
	ok.Inc()
	ok.Add(2)

	latency := m.Histogram("request_seconds", metrics.Unit("seconds"))
	latency.Observe(0.012)

	snapshot := m.Snapshot()
	one, _ := snapshot.Find("shop_requests_total", "GET", "200")
	fmt.Println(one.Count)
	// Output: 3
}

func ExampleMetrics_with() {
	m, _ := metrics.New()
	defer m.Close(context.Background())
	pool := m.With("db", metrics.Label{Key: "pool", Value: "main"})
	pool.Gauge("open_connections").Set(7)
	stop := pool.GaugeFunc("idle_connections", func() float64 { return 3 })
	defer stop()
	for _, f := range m.Snapshot().Families {
		fmt.Println(f.Name, f.Keys, f.Series[0].Values, f.Series[0].Value)
	}
	// Output:
	// db_idle_connections [pool] [main] 3
	// db_open_connections [pool] [main] 7
}

func ExampleLimit() {
	m, _ := metrics.New()
	defer m.Close(context.Background())
	logins := m.CounterVec("logins_total", []string{"user"}, metrics.Limit(2))
	for _, user := range []string{"ann", "bob", "cem", "dan"} {
		logins.With(user).Inc()
	}
	for _, s := range m.Snapshot().Families[0].Series {
		fmt.Println(s.Values[0], s.Count)
	}
	// Output:
	// __overflow__ 2
	// ann 1
	// bob 1
}

func ExampleUpDownCounter() {
	m, err := metrics.New()
	if err != nil {
		panic(err)
	}
	defer m.Close(context.Background())
	open := m.UpDownCounter("app.connections.open", metrics.Unit("{connection}"))
	open.Inc()
	open.Inc()
	open.Dec()
	s, _ := m.Snapshot().Find("app.connections.open")
	fmt.Println(s.Value)
	// Output: 1
}

func ExampleMetrics_onCollect() {
	m, err := metrics.New()
	if err != nil {
		panic(err)
	}
	defer m.Close(context.Background())
	queue := make(chan string, 10)
	length := m.Gauge("app.queue.length", metrics.Unit("{item}"))
	stop := m.OnCollect(func() { length.Set(float64(len(queue))) })
	defer stop()
	queue <- "one"
	s, _ := m.Snapshot().Find("app.queue.length")
	fmt.Println(s.Value)
	// Output: 1
}

func ExampleHistogram() {
	m, _ := metrics.New()
	defer m.Close(context.Background())
	took := m.Histogram("took_seconds", metrics.Buckets(.1, 1))
	took.Observe(.02)
	took.ObserveContext(context.Background(), 3) // with an exemplar if the context has a sampled span
	s, _ := m.Snapshot().Find("took_seconds")
	fmt.Println(s.Buckets, s.Count, s.Sum, len(s.Exemplars))
	// Output: [1 0 1] 2 3.02 0
}

func ExampleWithNativeHistograms() {
	m, _ := metrics.New(metrics.WithNativeHistograms())
	defer m.Close(context.Background())
	took := m.Histogram("took_seconds")
	for _, v := range []float64{1, 2, 2, 4} {
		took.Observe(v)
	}
	s, _ := m.Snapshot().Find("took_seconds")
	fmt.Println(s.Native.Scale, s.Native.Positive.Counts[0], len(s.Native.Positive.Counts))
	// Output: 6 1 129
}

func ExampleWithIdle() {
	m, _ := metrics.New(metrics.WithIdle(10 * time.Millisecond))
	defer m.Close(context.Background())
	calls := m.CounterVec("calls", []string{"tenant"})
	calls.With("ann").Inc()
	for m.Stats().Freed == 0 {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(m.Stats().Series)
	calls.With("ann").Inc() // begins again
	fmt.Println(m.Stats().Series)
	// Output:
	// 0
	// 1
}
