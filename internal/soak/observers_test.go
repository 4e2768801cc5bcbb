package soak

import (
	"context"
	"fmt"
	"testing"
	"time"

	kvredis "github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/monitor"
	monitorkv "github.com/micro/go-platform/monitor/kv"
	"github.com/micro/go-platform/trace"
	traceotlp "github.com/micro/go-platform/trace/otlp"
)

// observers are the loads of monitor, log, metrics and trace.
func observers() []load {
	return []load{
		{"monitor", redis, func(t *testing.T, addr string) call {
			s := store(t, "soak-monitor", kvredis.Backend(addr))
			m := must[monitor.Monitor](t)(monitor.New(monitor.WithService("s"), monitor.WithInterval(time.Second), monitorkv.Backend(s)))
			closing(t, m.Close)
			return func(_ context.Context, n int64) error {
				m.Observe(monitor.Endpoint{Method: fmt.Sprint(n % 500)}, time.Millisecond, nil)
				m.Cluster().View("s")
				return nil
			}
		}},
		{"log", receiver, func(t *testing.T, addr string) call {
			l := must[log.Log](t)(log.New(logotlp.Backend("http://" + addr)))
			closing(t, l.Close)
			logger := l.Logger("soak")
			return func(_ context.Context, n int64) error { logger.Info("a record", "n", n); return nil }
		}},
		{"metrics", receiver, func(t *testing.T, addr string) call {
			m := must[metrics.Metrics](t)(metrics.New(metricsotlp.Backend("http://"+addr), metrics.WithInterval(time.Second), metrics.WithIdle(10*time.Second)))
			closing(t, m.Close)
			calls := m.CounterVec("calls_total", []string{"who"})
			return func(_ context.Context, n int64) error { calls.With(fmt.Sprint(n % 500)).Inc(); return nil }
		}},
		{"trace", receiver, func(t *testing.T, addr string) call {
			tr := must[trace.Tracer](t)(trace.New(traceotlp.Backend("http://" + addr)))
			closing(t, tr.Close)
			return func(ctx context.Context, n int64) error {
				_, s := tr.Start(ctx, "soak")
				s.End()
				return nil
			}
		}},
	}
}
