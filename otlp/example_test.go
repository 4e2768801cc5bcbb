package otlp_test

import (
	"context"
	"fmt"
	"os"

	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/otlp"
	"github.com/micro/go-platform/otlp/otlpgrpc"
	"github.com/micro/go-platform/trace"
)

func ExampleFromEnv() {
	os.Setenv("OTEL_SERVICE_NAME", "greeter")
	os.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
	os.Setenv("OTEL_METRICS_EXPORTER", "none")
	defer os.Unsetenv("OTEL_SERVICE_NAME")
	defer os.Unsetenv("OTEL_EXPORTER_OTLP_PROTOCOL")
	defer os.Unsetenv("OTEL_METRICS_EXPORTER")

	env, err := otlp.FromEnv(otlpgrpc.Transport()) // without it HTTP alone is linked
	if err != nil {
		panic(err)
	}
	tr, err := trace.New(append(env.Trace(), trace.WithLazy())...) // starts without a collector
	if err != nil {
		panic(err)
	}
	defer tr.Close(context.Background())
	m, err := metrics.New(env.Metrics()...)
	if err != nil {
		panic(err)
	}
	defer m.Close(context.Background())
	fmt.Println(tr.Stats().Reporters[0].Reporter, len(m.Stats().Exporters), m.Snapshot().Resource[0].Value)
	// Output: otlp 0 greeter
}
