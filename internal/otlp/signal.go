package otlp

// A Signal is what is sent: where to, and the form of its requests.
type Signal struct {
	Path   string // over HTTP
	Method string // over gRPC
	form   func() message
}

// Traces is the signal of spans.
func Traces() Signal {
	return signal("/v1/traces", "trace.v1.TraceService", "resourceSpans", "scopeSpans", all("spans", span))
}

// Metrics is the signal of data points.
func Metrics() Signal {
	return signal("/v1/metrics", "metrics.v1.MetricsService", "resourceMetrics", "scopeMetrics", all("metrics", metric))
}

// Logs is the signal of log records.
func Logs() Signal {
	return signal("/v1/logs", "logs.v1.LogsService", "resourceLogs", "scopeLogs", all("logRecords", logRecord))
}

func signal(path, service, resources, scopes string, items field) Signal {
	return Signal{path, "/opentelemetry.proto.collector." + service + "/Export", func() message { return export(resources, scopes, items) }}
}
