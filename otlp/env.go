package otlp

import (
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/otlp"
	"github.com/micro/go-platform/log"
	logotlp "github.com/micro/go-platform/log/otlp"
	"github.com/micro/go-platform/metrics"
	metricsotlp "github.com/micro/go-platform/metrics/otlp"
	"github.com/micro/go-platform/trace"
	traceotlp "github.com/micro/go-platform/trace/otlp"
)

// ErrInvalid is the kind of FromEnv's errors.
var ErrInvalid = fault.Of("otlp", fault.Invalid)

// Option is an option of the Backends of trace/otlp, metrics/otlp and log/otlp,
// which are of one type.
type Option = otlp.Option

// Env is what the environment says of the three signals. It is safe for
// concurrent use.
type Env struct {
	off      bool // OTEL_SDK_DISABLED
	service  string
	resource []slog.Attr
	sampler  trace.Sampler
	interval time.Duration
	native   bool // histograms

	trace, metrics, log *exporter // nil for none
}

// FromEnv reads the environment variables of OpenTelemetry that the package's
// comment lists. opts are the program's own options, which the variables
// override; gRPC needs otlpgrpc.Transport among them. An error names the
// variable that can't be, and is ErrInvalid.
func FromEnv(opts ...Option) (*Env, error) {
	e := &Env{}
	for _, step := range []func() error{
		e.readSwitch, e.readResource, e.readSampler, e.readInterval, e.readHistograms, func() error { return e.readExporters(opts) },
	} {
		if e.off {
			break
		}
		err := step()
		if err != nil {
			return nil, err
		}
	}
	return e, nil
}

func (e *Env) readSwitch() (err error) {
	e.off, err = truth("OTEL_SDK_DISABLED")
	return err
}

func (e *Env) readResource() error {
	const attributes, service = "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SERVICE_NAME"
	all, err := pairs(attributes, value(attributes))
	if err != nil {
		return err
	}
	if name := value(service); name != "" {
		all = append(all, pair{"service.name", name})
	}
	for _, p := range all {
		if p.key == "service.name" {
			e.service = p.value
		}
		e.resource = append(e.resource, slog.String(p.key, p.value))
	}
	return nil
}

func (e *Env) readSampler() error {
	const name, arg = "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"
	v := strings.ToLower(value(name))
	root, byParent := strings.CutPrefix(v, "parentbased_")
	switch root {
	case "":
		if v == "" {
			return nil
		}
		return bad(name, "%q, want a sampler behind parentbased_", v)
	case "always_on":
		e.sampler = trace.Always()
	case "always_off":
		e.sampler = trace.Never()
	case "traceidratio":
		share, err := ratio(arg)
		if err != nil {
			return err
		}
		e.sampler = trace.Ratio(share)
	default:
		return bad(name, "%q, want always_on, always_off or traceidratio, alone or behind parentbased_", v)
	}
	if byParent {
		e.sampler = trace.ParentOr(e.sampler)
	}
	return nil
}

func (e *Env) readInterval() (err error) {
	e.interval, err = milliseconds("OTEL_METRIC_EXPORT_INTERVAL")
	return err
}

func (e *Env) readHistograms() error {
	const variable = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"
	switch v := strings.ToLower(value(variable)); v {
	case "", "explicit_bucket_histogram":
	case "base2_exponential_bucket_histogram":
		e.native = true
	default:
		return bad(variable, "%q, want explicit_bucket_histogram or base2_exponential_bucket_histogram", v)
	}
	return nil
}

func (e *Env) readExporters(opts []Option) (err error) {
	e.trace, err = newExporter("TRACES", otlp.Traces(), opts)
	if err != nil {
		return err
	}
	e.metrics, err = newExporter("METRICS", otlp.Metrics(), opts)
	if err != nil {
		return err
	}
	e.log, err = newExporter("LOGS", otlp.Logs(), opts)
	return err
}

// options are those of one Backend. What resource says, the environment overrides.
func (e *Env) options(x *exporter, resource []slog.Attr) []Option {
	return slices.Concat([]Option{otlp.WithResource(resource...)}, x.opts, []Option{otlp.WithResource(e.resource...)})
}

// Trace returns the options for trace.New. resource are the attributes of the
// process that the program knows itself, such as service.version; what the
// environment says of them counts. There is no reporter among the options if
// OTEL_SDK_DISABLED or OTEL_TRACES_EXPORTER say so.
func (e *Env) Trace(resource ...slog.Attr) (opts []trace.Option) {
	if e.service != "" {
		opts = append(opts, trace.WithService(e.service))
	}
	if e.sampler != nil {
		opts = append(opts, trace.WithSampler(e.sampler))
	}
	if e.trace == nil {
		return opts
	}
	if e.trace.timeout > 0 {
		opts = append(opts, trace.WithTimeout(e.trace.timeout))
	}
	return append(opts, traceotlp.Backend(e.trace.addr, e.options(e.trace, resource)...))
}

// Metrics returns the options for metrics.New, as Trace does.
func (e *Env) Metrics(resource ...slog.Attr) (opts []metrics.Option) {
	for _, a := range slices.Concat(resource, e.resource) {
		opts = append(opts, metrics.WithResource(metrics.Label{Key: a.Key, Value: a.Value.String()}))
	}
	if e.interval > 0 {
		opts = append(opts, metrics.WithInterval(e.interval))
	}
	if e.native {
		opts = append(opts, metrics.WithNativeHistograms())
	}
	if e.metrics == nil {
		return opts
	}
	if e.metrics.timeout > 0 {
		opts = append(opts, metrics.WithTimeout(e.metrics.timeout))
	}
	return append(opts, metricsotlp.Backend(e.metrics.addr, e.options(e.metrics, nil)...))
}

// Log returns the options for log.New, as Trace does. A log with this output
// writes to stdout only if log.ToStdout is among its options too.
func (e *Env) Log(resource ...slog.Attr) []log.Option {
	if e.log == nil {
		return nil
	}
	var opts []log.OutputOption
	if e.log.timeout > 0 {
		opts = append(opts, log.WriteTimeout(e.log.timeout))
	}
	return []log.Option{log.WithOutput(logotlp.Backend(e.log.addr, e.options(e.log, resource)...), opts...)}
}
