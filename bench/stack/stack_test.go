package stack

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/discovery/static"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// discarded is a writer of answers that keeps nothing.
type discarded struct{ h http.Header }

func (d *discarded) Header() http.Header         { return d.h }
func (d *discarded) Write(p []byte) (int, error) { return len(p), nil }
func (d *discarded) WriteHeader(int)             {}
func (d *discarded) Flush()                      {}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello world") }

// options are all that both sides have.
func options() []wrapper.Option {
	lg := must(log.Open(log.ToWriter(io.Discard, log.JSON()), log.WithContext(trace.ContextAttrs)))
	tr := must(trace.New(trace.WithService("greeter"), trace.InMemory(trace.NewMemory(1000, time.Hour)), trace.WithSampler(trace.Ratio(0.01))))
	return []wrapper.Option{
		wrapper.WithName("greeter"), wrapper.WithLog(lg), wrapper.WithAccessLog(slog.LevelInfo), wrapper.WithTrace(tr),
		wrapper.WithMetrics(must(metrics.New())), wrapper.WithMonitor(must(monitor.New(monitor.WithService("greeter")))),
	}
}

func BenchmarkServer(b *testing.B) {
	run := func(b *testing.B, h http.Handler) {
		r := httptest.NewRequest("GET", "/hello/ada", nil)
		rw := &discarded{http.Header{}}
		b.ReportAllocs()
		for b.Loop() {
			clear(rw.h)
			h.ServeHTTP(rw, r)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", hello)
	b.Run("bare", func(b *testing.B) { run(b, mux) })
	b.Run("ours", func(b *testing.B) {
		w := must(wrapper.New(append(options(), wrapper.WithLimit(must(router.Concurrency(1000))), wrapper.WithServerTimeout(5*time.Second))...))
		defer w.Close(context.Background())
		run(b, w.Handler(mux))
	})
	b.Run("usual", func(b *testing.B) {
		registry := prometheus.NewRegistry()
		calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls"}, []string{"code", "method"})
		seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seconds"}, []string{"method"})
		flight := prometheus.NewGauge(prometheus.GaugeOpts{Name: "in_flight"})
		registry.MustRegister(calls, seconds, flight)
		lg := slog.New(slog.NewJSONHandler(io.Discard, nil))
		access := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				start, ww := time.Now(), middleware.NewWrapResponseWriter(w, r.ProtoMajor)
				next.ServeHTTP(ww, r)
				lg.LogAttrs(r.Context(), slog.LevelInfo, "served", slog.String("method", r.Method), slog.String("path", chi.RouteContext(r.Context()).RoutePattern()),
					slog.Int("status", ww.Status()), slog.Duration("took", time.Since(start)), slog.String("request_id", middleware.GetReqID(r.Context())))
			})
		}
		c := chi.NewRouter()
		c.Use(middleware.RequestID, access, middleware.Recoverer, middleware.Throttle(1000), middleware.Timeout(5*time.Second))
		c.Get("/hello/{name}", hello)
		var h http.Handler = c
		h = promhttp.InstrumentHandlerInFlight(flight, promhttp.InstrumentHandlerCounter(calls, promhttp.InstrumentHandlerDuration(seconds, h)))
		run(b, otelhttp.NewHandler(h, "hello", otelhttp.WithTracerProvider(provider()), otelhttp.WithPropagators(propagation.TraceContext{})))
	})
}

func provider() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))))
}

// stub answers at once.
type stub struct{}

func (stub) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("x")), Request: r}, nil
}

func BenchmarkClient(b *testing.B) {
	run := func(b *testing.B, rt http.RoundTripper) {
		b.ReportAllocs()
		for b.Loop() {
			r, _ := http.NewRequest("GET", "http://greeter/hello", nil)
			resp, err := rt.RoundTrip(r)
			if err != nil {
				b.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	b.Run("bare", func(b *testing.B) { run(b, stub{}) })
	b.Run("ours", func(b *testing.B) {
		d := must(discovery.New(static.Backend(static.Addresses("greeter", "a:80", "b:80", "c:80")...)))
		defer d.Close()
		ro := must(router.New(router.WithDiscovery(d), router.WithBreakers(router.Breakers{})))
		w := must(wrapper.New(append(options(), wrapper.WithRouter(ro), wrapper.WithClientTimeout(5*time.Second))...))
		defer w.Close(context.Background())
		run(b, w.Transport(stub{}))
	})
	b.Run("usual", func(b *testing.B) {
		registry := prometheus.NewRegistry()
		calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls"}, []string{"code", "method"})
		seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seconds"}, []string{"method"})
		registry.MustRegister(calls, seconds)
		lg := slog.New(slog.NewJSONHandler(io.Discard, nil))
		retry := failsafehttp.NewRetryPolicyBuilder().WithMaxRetries(2).Build()
		breaker := circuitbreaker.NewBuilder[*http.Response]().Build()
		var rt http.RoundTripper = failsafehttp.NewRoundTripper(stub{}, retry, breaker)
		rt = promhttp.InstrumentRoundTripperCounter(calls, promhttp.InstrumentRoundTripperDuration(seconds, rt))
		rt = otelhttp.NewTransport(rt, otelhttp.WithTracerProvider(provider()), otelhttp.WithPropagators(propagation.TraceContext{}))
		run(b, logged{rt, lg})
	})
}

// logged writes a record of each call, within a timeout.
type logged struct {
	next http.RoundTripper
	lg   *slog.Logger
}

func (l logged) RoundTrip(r *http.Request) (*http.Response, error) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	resp, err := l.next.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel()
		return nil, err
	}
	l.lg.LogAttrs(ctx, slog.LevelInfo, "called", slog.String("method", r.Method), slog.String("host", r.URL.Host), slog.Int("status", resp.StatusCode),
		slog.Duration("took", time.Since(start)))
	resp.Body = cancelled{resp.Body, cancel}
	return resp, nil
}

type cancelled struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (c cancelled) Close() error { defer c.cancel(); return c.ReadCloser.Close() }
