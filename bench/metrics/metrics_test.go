package metrics_test

import (
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/DataDog/datadog-go/v5/statsd"
	victoria "github.com/VictoriaMetrics/metrics"
	cactus "github.com/cactus/go-statsd-client/v5/statsd"
	"github.com/micro/go-platform/bench/internal/compare"
	"github.com/micro/go-platform/metrics"
	ours "github.com/micro/go-platform/metrics/statsd"
	"github.com/prometheus/client_golang/prometheus"
)

func open(b *testing.B, opts ...metrics.Option) metrics.Metrics {
	m, err := metrics.New(opts...)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = m.Close(context.Background()) })
	return m
}

func BenchmarkCounter(b *testing.B) {
	c := open(b).Counter("c")
	p := prometheus.NewCounter(prometheus.CounterOpts{Name: "c"})
	v := victoria.NewSet().NewCounter("c")
	for _, callers := range []int{1, 2} {
		compare.Run(b, callers,
			compare.Contender{Name: "ours", Loop: func(n int) {
				for range n {
					c.Inc()
				}
			}},
			compare.Contender{Name: "prometheus", Loop: func(n int) {
				for range n {
					p.Inc()
				}
			}},
			compare.Contender{Name: "victoria", Loop: func(n int) {
				for range n {
					v.Inc()
				}
			}},
		)
	}
}

func BenchmarkHistogram(b *testing.B) {
	bounds := []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	h := open(b).Histogram("h", metrics.Buckets(bounds...))
	p := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: bounds})
	v := victoria.NewSet().NewHistogram("h")
	native := open(b, metrics.WithNativeHistograms()).Histogram("h", metrics.Buckets(bounds...))
	theirs := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "h", Buckets: bounds, NativeHistogramBucketFactor: 1.1, NativeHistogramMaxBucketNumber: 160})
	for _, callers := range []int{1, 2} {
		compare.Run(b, callers,
			compare.Contender{Name: "ours", Loop: func(n int) {
				for i := range n {
					h.Observe(float64(i&1023) / 512)
				}
			}},
			compare.Contender{Name: "ours-native", Loop: func(n int) {
				for i := range n {
					native.Observe(float64(i&1023) / 512)
				}
			}},
			compare.Contender{Name: "prometheus-native", Loop: func(n int) {
				for i := range n {
					theirs.Observe(float64(i&1023) / 512)
				}
			}},
			compare.Contender{Name: "prometheus", Loop: func(n int) {
				for i := range n {
					p.Observe(float64(i&1023) / 512)
				}
			}},
			compare.Contender{Name: "victoria", Loop: func(n int) {
				for i := range n {
					v.Update(float64(i&1023) / 512)
				}
			}},
		)
	}
}

func BenchmarkVectorLookUp(b *testing.B) {
	methods, codes := []string{"GET", "PUT", "POST", "DELETE"}, []string{"200", "201", "404", "500"}
	o := open(b).CounterVec("c", []string{"method", "code"})
	p := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "c"}, []string{"method", "code"})
	v := victoria.NewSet()
	for _, callers := range []int{1, 2} {
		compare.Run(b, callers,
			compare.Contender{Name: "ours", Loop: func(n int) {
				for i := range n {
					o.With(methods[i&3], codes[i>>2&3]).Inc()
				}
			}},
			compare.Contender{Name: "prometheus", Loop: func(n int) {
				for i := range n {
					p.WithLabelValues(methods[i&3], codes[i>>2&3]).Inc()
				}
			}},
			compare.Contender{Name: "victoria", Loop: func(n int) {
				for i := range n {
					v.GetOrCreateCounter(`c{method="` + methods[i&3] + `",code="` + codes[i>>2&3] + `"}`).Inc()
				}
			}},
		)
	}
}

// receiver counts the increments that reach a UDP socket.
type receiver struct {
	net.PacketConn
	mu      sync.Mutex
	packets int
	counted int
}

func listen(b *testing.B) *receiver {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	r := &receiver{PacketConn: c}
	b.Cleanup(func() { c.Close() })
	go func() {
		buf := make([]byte, 1<<16)
		for {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			r.mu.Lock()
			r.packets++
			for line := range strings.SplitSeq(strings.TrimSpace(string(buf[:n])), "\n") {
				if name, rest, ok := strings.Cut(line, ":"); ok && strings.HasPrefix(name, "hits") {
					v, _, _ := strings.Cut(rest, "|")
					k := 0
					for _, d := range v {
						k = 10*k + int(d-'0')
					}
					r.counted += k
				}
			}
			r.mu.Unlock()
		}
	}()
	return r
}

// A million increments of one counter with two tags, as fast as can be.
func BenchmarkMillionIncrements(b *testing.B) {
	const million = 1_000_000
	b.ReportMetric(0, "ns/op")
	report := func(name string, r *receiver, began time.Time) {
		for last := -1; ; time.Sleep(200 * time.Millisecond) {
			r.mu.Lock()
			n := r.counted
			r.mu.Unlock()
			if n == last {
				break
			}
			last = n
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		lost := 100 * float64(million-r.counted) / million
		b.ReportMetric(lost, name+"-%lost")
		b.Logf("%-10s %7d packets, %7d counted, %5.1f %% lost, %.0f ns each", name, r.packets, r.counted, lost, float64(time.Since(began))/million)
	}

	r := listen(b)
	began := time.Now()
	m := open(b, ours.Backend(r.LocalAddr().String(), ours.WithDialect(ours.DogStatsD)))
	c := m.CounterVec("hits", []string{"method", "code"}).With("GET", "200")
	for range million {
		c.Inc()
	}
	_ = m.Flush(context.Background())
	report("ours", r, began)

	r = listen(b)
	began = time.Now()
	k, err := cactus.NewClientWithConfig(&cactus.ClientConfig{Address: r.LocalAddr().String(), UseBuffered: true, FlushInterval: 300 * time.Millisecond, FlushBytes: 1432})
	if err != nil {
		b.Fatal(err)
	}
	for range million {
		_ = k.Inc("hits", 1, 1, cactus.Tag{"method", "GET"}, cactus.Tag{"code", "200"})
	}
	_ = k.Close()
	report("cactus", r, began)

	r = listen(b)
	began = time.Now()
	d, err := statsd.New(r.LocalAddr().String(), statsd.WithoutTelemetry())
	if err != nil {
		b.Fatal(err)
	}
	for range million {
		_ = d.Incr("hits", []string{"method:GET", "code:200"}, 1)
	}
	_ = d.Close()
	report("datadog", r, began)
}
