package statsd_test

import (
	"net"
	"strconv"
	"strings"
	"testing"

	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/metricstest"
	"github.com/micro/go-platform/metrics/statsd"
)

// values reads a page of Prometheus' text format.
func values(page string) map[string]float64 {
	all := map[string]float64{}
	for line := range strings.SplitSeq(page, "\n") {
		if name, v, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
			all[strings.TrimSuffix(name, "_count")], _ = strconv.ParseFloat(v, 64)
		}
	}
	return all
}

func TestConformanceOnStatsdExporter(t *testing.T) {
	for network, port := range map[string]string{"udp": "statsd", "tcp": "tcp"} {
		t.Run(network, func(t *testing.T) {
			metricstest.Run(t, metricstest.Harness{
				Backend: func(t testing.TB) (metrics.Option, func(testing.TB) map[string]float64) {
					e := servertest.StatsdExporter(t)
					return statsd.Backend(network + "://" + e.AddrOf(port)), func(t testing.TB) map[string]float64 {
						return values(get(t, "http://"+e.AddrOf("http")+"/metrics"))
					}
				},
				Down: map[string]func(testing.TB) metrics.Option{"tcp": func(t testing.TB) metrics.Option {
					l, err := net.Listen("tcp", "127.0.0.1:0")
					if err != nil {
						t.Fatal(err)
					}
					defer l.Close()
					return statsd.Backend("tcp://" + l.Addr().String())
				}}[network],
			})
		})
	}
}
