package metrics

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	drivers   []opener
	namespace string
	labels    []Label
	resource  []Label
	limit     int
	interval  time.Duration
	timeout   time.Duration
	dial      time.Duration
	idle      time.Duration
	lazy      bool
	runtime   bool
	native    bool
	logger    *slog.Logger
}

type opener struct {
	name string
	open func(ctx context.Context) (Driver, error)
}

func defaults() options {
	return options{
		limit:    1000,
		interval: 10 * time.Second,
		timeout:  5 * time.Second,
		dial:     5 * time.Second,
		logger:   slog.Default(),
	}
}

// WithDriver adds a push backend by its driver: this is what the Backend option
// of every one is made of. open validates and builds; it needs no server.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error {
		if err := fronts.Named(name, open); err != nil {
			return err
		}
		o.drivers = append(o.drivers, opener{name, open})
		return nil
	}
}

// WithNamespace puts prefix before every name, joined as With does it.
func WithNamespace(prefix string) Option {
	return func(o *options) error { o.namespace = prefix; return nil }
}

// WithLabels puts labels on every series.
func WithLabels(labels ...Label) Option {
	return func(o *options) error {
		for _, l := range labels {
			if l.Key == "" {
				return fault.Markf(ErrInvalid, "label with value %q has no key", l.Value)
			}
		}
		o.labels = append(o.labels, labels...)
		return nil
	}
}

// WithResource says what the process is, in the attributes of OpenTelemetry's
// resources: "service.name", "service.version", "deployment.environment.name".
// Prometheus sees them as the labels of target_info, OTLP as its resource. Of
// two with one key the later counts.
func WithResource(attributes ...Label) Option {
	return func(o *options) error {
		for _, l := range attributes {
			if l.Key == "" {
				return fault.Markf(ErrInvalid, "resource attribute with value %q has no key", l.Value)
			}
			o.resource = slices.DeleteFunc(o.resource, func(old Label) bool { return old.Key == l.Key })
			o.resource = append(o.resource, l)
		}
		return nil
	}
}

// WithSeriesLimit sets how many series an instrument may have that has no limit
// of its own; below 0 means any number. The default is 1000.
func WithSeriesLimit(n int) Option {
	return func(o *options) error {
		if n == 0 {
			return fault.Markf(ErrInvalid, "WithSeriesLimit(0)")
		}
		o.limit = n
		return nil
	}
}

// WithInterval sets how often push backends export. The default is 10 s.
func WithInterval(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithInterval", d, &o.interval) }
}

// WithTimeout bounds one export. The default is 5 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithTimeout", d, &o.timeout) }
}

// WithDialTimeout bounds how long New waits for each backend to answer. The
// default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithDialTimeout", d, &o.dial) }
}

// WithIdle frees the series that have not changed for d, so that what strangers
// cause, such as a series for each tenant, is freed again: its memory, its line
// on scrapes and pushes, and its place below the limit of series. One that is
// used again begins at 0 with a Created of its own; no count is lost, also of
// handles that were kept. A scraper has to come within d to see the last
// counts; push backends have had them before a series is freed.
//
// Not freed are series without labels other than WithLabels', GaugeFuncs, and
// gauges and up-down counters at another value than 0, which a later Add has to
// find. They are not pushed until they change. The default is to keep every
// series indefinitely.
func WithIdle(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("WithIdle", d, &o.idle) }
}

// WithLazy makes New succeed without asking the backends.
func WithLazy() Option {
	return func(o *options) error { o.lazy = true; return nil }
}

// WithRuntime adds metrics of the Go runtime and of the process, under the names
// that Prometheus' own client gives them and that ready-made dashboards read;
// see RuntimeFamilies. Of the process there is less elsewhere than on Linux.
func WithRuntime() Option {
	return func(o *options) error { o.runtime = true; return nil }
}

// WithNativeHistograms adds exponential buckets to the histograms, which tell
// any quantile within a few percent without a choice of buckets; see Native.
// OTLP sends them instead of the others. Prometheus gets both, where it asks for
// protobuf, and then takes them instead of the others, unless
// always_scrape_classic_histograms is set: queries over "_bucket" find nothing.
// For that reason, and because an observation takes a lock, they are not the
// default.
func WithNativeHistograms() Option {
	return func(o *options) error { o.native = true; return nil }
}

// WithLogger sets where refused instruments, too many series, failed functions
// and failed exports are logged. The default is slog.Default() at the time of New.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}
