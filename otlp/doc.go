// Package otlp reads from the environment where traces, metrics and logs go, in
// the variables that OpenTelemetry specifies
// (https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/).
//
//	env, err := otlp.FromEnv()
//	tr, err := trace.New(env.Trace()...)
//	m, err := metrics.New(env.Metrics()...)
//	l, err := log.New(env.Log()...)
//
// or, for a service of package platform, with platform.WithTelemetry(env).
// Nothing is read unless FromEnv is called. What sends is trace/otlp,
// metrics/otlp and log/otlp, which can be used without this package.
//
// # Variables
//
//   - OTEL_SDK_DISABLED: true sends nothing
//   - OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES
//   - OTEL_TRACES_EXPORTER, OTEL_METRICS_EXPORTER, OTEL_LOGS_EXPORTER: otlp or none
//   - OTEL_TRACES_SAMPLER: always_on, always_off, traceidratio, or one of them
//     behind parentbased_; OTEL_TRACES_SAMPLER_ARG, the share for traceidratio
//   - OTEL_METRIC_EXPORT_INTERVAL, in milliseconds
//   - OTEL_EXPORTER_OTLP_ENDPOINT, by default http://localhost:4318, and with
//     gRPC http://localhost:4317; OTEL_EXPORTER_OTLP_INSECURE, of an endpoint
//     of gRPC without a scheme
//   - OTEL_EXPORTER_OTLP_PROTOCOL: http/protobuf (the default), http/json, or
//     grpc, for which FromEnv needs otlpgrpc.Transport()
//   - OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_COMPRESSION (gzip or none),
//     OTEL_EXPORTER_OTLP_TIMEOUT in milliseconds
//   - OTEL_EXPORTER_OTLP_CERTIFICATE, OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE and
//     OTEL_EXPORTER_OTLP_CLIENT_KEY: files in PEM
//   - OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE: cumulative, delta, or
//     lowmemory, which is delta here
//   - OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION:
//     explicit_bucket_histogram or base2_exponential_bucket_histogram
//
// Those that begin with OTEL_EXPORTER_OTLP exist for each signal too, such as
// OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, which count for it alone and first. The
// endpoint of all three signals is followed by /v1/traces and so on, that of one
// is used as it is.
//
// # Semantics
//
// An empty variable is one that is not set. What is not set stays as the
// program's options say, or is the default of the package in question: requests
// are compressed by gzip, metrics go out every 10 s. What the environment says
// overrides the program, also what the program says of itself: the operator has
// the last word.
//
// # Errors
//
// OpenTelemetry's SDKs report a value that can't be and go on without it. Here
// it is an error that names the variable, and not its value where that may be a
// secret: a service whose telemetry goes nowhere would look well.
package otlp
