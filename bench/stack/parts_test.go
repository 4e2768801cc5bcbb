package stack

import (
	"context"
	"io"
	"log/slog"
	"net/http"
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
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello world") }

// greeter is the handler that all wrap.
func greeter() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", hello)
	return mux
}

// options are all that both sides have.
func options() []wrapper.Option {
	lg := must(log.New(log.ToWriter(io.Discard, log.JSON()), log.WithContext(trace.ContextAttrs)))
	tr := must(trace.New(trace.WithService("greeter"), trace.Memory(trace.NewStore(1000, time.Hour)), trace.WithSampler(trace.Ratio(0.01))))
	return []wrapper.Option{
		wrapper.WithName("greeter"), wrapper.WithLog(lg), wrapper.WithAccessLog(slog.LevelInfo), wrapper.WithTrace(tr),
		wrapper.WithMetrics(must(metrics.New())), wrapper.WithMonitor(must(monitor.New(monitor.WithService("greeter")))),
	}
}

// ourHandler is a wrapper with all that usualHandler has, and more.
func ourHandler(next http.Handler) http.Handler {
	w := must(wrapper.New(append(options(), wrapper.WithLimit(must(limits.Concurrency(1000))), wrapper.WithServerTimeout(5*time.Second))...))
	return w.Handler(next)
}

// ourTransport finds the instances of greeter at addrs.
func ourTransport(base http.RoundTripper, addrs ...string) http.RoundTripper {
	d := must(discovery.New(static.Backend(static.Addresses("greeter", addrs...)...)))
	ro := must(router.New(router.WithDiscovery(d), router.WithBreakers(router.Breakers{})))
	w := must(wrapper.New(append(options(), wrapper.WithRouter(ro), wrapper.WithClientTimeout(5*time.Second))...))
	return w.Transport(base)
}

// usualHandler is the greeter as people put it together.
func usualHandler() http.Handler {
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
	return otelhttp.NewHandler(h, "hello", otelhttp.WithTracerProvider(provider()), otelhttp.WithPropagators(propagation.TraceContext{}))
}

// usualTransport has retries, a breaker, metrics, traces, a log and a timeout.
func usualTransport(base http.RoundTripper) http.RoundTripper {
	registry := prometheus.NewRegistry()
	calls := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "calls"}, []string{"code", "method"})
	seconds := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "seconds"}, []string{"method"})
	registry.MustRegister(calls, seconds)
	lg := slog.New(slog.NewJSONHandler(io.Discard, nil))
	retry := failsafehttp.NewRetryPolicyBuilder().WithMaxRetries(2).Build()
	breaker := circuitbreaker.NewBuilder[*http.Response]().Build()
	var rt http.RoundTripper = failsafehttp.NewRoundTripper(base, retry, breaker)
	rt = promhttp.InstrumentRoundTripperCounter(calls, promhttp.InstrumentRoundTripperDuration(seconds, rt))
	rt = otelhttp.NewTransport(rt, otelhttp.WithTracerProvider(provider()), otelhttp.WithPropagators(propagation.TraceContext{}))
	return logged{rt, lg}
}

func provider() *sdktrace.TracerProvider {
	return sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(0.01))))
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
