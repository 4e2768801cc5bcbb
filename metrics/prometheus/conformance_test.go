package prometheus_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/metricstest"
	"github.com/micro/go-platform/metrics/prometheus"
)

func TestConformanceOfPush(t *testing.T) {
	metricstest.Run(t, metricstest.Harness{
		Backend: func(t testing.TB) (metrics.Option, func(testing.TB) map[string]float64) {
			g := newGateway(t)
			return prometheus.Backend(g.URL, "suite"), func(testing.TB) map[string]float64 {
				g.mu.Lock()
				defer g.mu.Unlock()
				all := map[string]float64{}
				for line := range strings.SplitSeq(g.bodies[len(g.bodies)-1], "\n") {
					if name, v, ok := strings.Cut(line, " "); ok && !strings.HasPrefix(line, "#") {
						all[strings.TrimSuffix(name, "_count")], _ = strconv.ParseFloat(v, 64)
					}
				}
				return all
			}
		},
		Down: func(t testing.TB) metrics.Option {
			g := newGateway(t)
			g.Close()
			return prometheus.Backend(g.URL, "suite")
		},
	})
}
