package otel

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	health "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	engineotlp "github.com/micro/go-platform/engine/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/trace"
	traceotlp "github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/wrapper"
	wgrpc "github.com/micro/go-platform/wrapper/grpc"
)

// program is what an application has of its instrumentation.
type program struct {
	handler   func(http.Handler) http.Handler
	transport http.RoundTripper
	server    []grpc.ServerOption
	dial      []grpc.DialOption
	close     func(context.Context) error
}

// ours is the program with package wrapper.
func ours(t *testing.T, collector string) program {
	tr, err1 := trace.New(trace.WithService("ours"), traceotlp.Backend(collector))
	mt, err2 := metrics.New(metricsotlp.Backend(collector, engineotlp.WithService("ours")), metrics.WithInterval(time.Hour))
	w, err3 := wrapper.New(wrapper.WithName("ours"), wrapper.WithTrace(tr), wrapper.WithMetrics(mt), wrapper.WithRetry(wrapper.RetryPolicy{Attempts: 1}))
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	return program{w.Handler, w.Transport(nil), wgrpc.ServerOptions(w), wgrpc.DialOptions(w), w.Close}
}

// theirs is the program with otelhttp and otelgrpc.
func theirs(t *testing.T, collector string) program {
	ctx := t.Context()
	te, err1 := otlptracehttp.New(ctx, otlptracehttp.WithEndpoint(collector), otlptracehttp.WithInsecure())
	me, err2 := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpoint(collector), otlpmetrichttp.WithInsecure())
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	res := resource.NewSchemaless(attribute.String("service.name", "theirs"))
	tp := sdktrace.NewTracerProvider(sdktrace.WithBatcher(te), sdktrace.WithResource(res))
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(me, sdkmetric.WithInterval(time.Hour))), sdkmetric.WithResource(res))
	pr := propagation.TraceContext{}
	web := []otelhttp.Option{otelhttp.WithTracerProvider(tp), otelhttp.WithMeterProvider(mp), otelhttp.WithPropagators(pr)}
	rpc := []otelgrpc.Option{otelgrpc.WithTracerProvider(tp), otelgrpc.WithMeterProvider(mp), otelgrpc.WithPropagators(pr)}
	return program{
		handler:   func(h http.Handler) http.Handler { return otelhttp.NewHandler(h, "", web...) },
		transport: otelhttp.NewTransport(http.DefaultTransport, web...),
		server:    []grpc.ServerOption{grpc.StatsHandler(otelgrpc.NewServerHandler(rpc...))},
		dial:      []grpc.DialOption{grpc.WithStatsHandler(otelgrpc.NewClientHandler(rpc...))},
		close:     func(ctx context.Context) error { return errors.Join(tp.Shutdown(ctx), mp.Shutdown(ctx)) },
	}
}

// run makes the same calls with either.
func (p program) run(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users/{id}", func(rw http.ResponseWriter, _ *http.Request) { io.WriteString(rw, "ann") })
	mux.HandleFunc("GET /fail", func(rw http.ResponseWriter, _ *http.Request) { http.Error(rw, "no", http.StatusInternalServerError) })
	web := httptest.NewServer(p.handler(mux))
	defer web.Close()
	client := &http.Client{Transport: p.transport}
	for _, c := range []struct{ method, path string }{{"GET", "/users/17?token=s3cret"}, {"GET", "/fail"}, {"GET", "/missing"}, {"BREW", "/missing"}} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, web.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	if _, err := client.Get("http://127.0.0.1:1/nobody"); err == nil {
		t.Fatal("an answer of nobody")
	}

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	rpc := grpc.NewServer(p.server...)
	health.RegisterHealthServer(rpc, checker{})
	go rpc.Serve(l)
	conn, err := grpc.NewClient(l.Addr().String(), append(p.dial, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]codes.Code{"": codes.OK, "unknown": codes.NotFound, "broken": codes.Internal} {
		if _, err := health.NewHealthClient(conn).Check(t.Context(), &health.HealthCheckRequest{Service: name}); status.Code(err) != want {
			t.Fatalf("%v, want %v", err, want)
		}
	}
	conn.Close()
	rpc.GracefulStop()
	if err := p.close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

type checker struct {
	health.UnimplementedHealthServer
}

func (checker) Check(_ context.Context, r *health.HealthCheckRequest) (*health.HealthCheckResponse, error) {
	switch r.Service {
	case "":
		return &health.HealthCheckResponse{Status: health.HealthCheckResponse_SERVING}, nil
	case "unknown":
		return nil, status.Error(codes.NotFound, "unknown")
	}
	return nil, status.Error(codes.Internal, "broken")
}
