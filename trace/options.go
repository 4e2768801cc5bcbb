package trace

import (
	"cmp"
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
	drivers    []opener
	local      Endpoint
	sampler    Sampler
	extractors []Propagator
	injectors  []Propagator
	keep       []func(SpanData) bool
	maxHeld    int64
	limits     Limits
	spans      int
	bytes      int
	batch      int
	every      time.Duration
	timeout    time.Duration // of a request
	retryFor   time.Duration // how long a batch is tried again
	dial       time.Duration
	lazy       bool
	logger     *slog.Logger
	baggage    []string
}

type opener struct {
	name string
	open func(ctx context.Context) (Driver, error)
}

// Limits bound what one span holds. What is over is left out and counted in
// SpanData.Dropped; a value that is too long is cut. A zero field keeps its
// default.
type Limits struct {
	Tags       int // default 128
	Events     int // default 128
	Links      int // default 32
	ValueBytes int // of one string value, default 16 KiB
}

func defaults() options {
	return options{
		sampler:    ParentOr(Always()),
		extractors: []Propagator{W3C(), B3Single(), B3Multi(), Micro()},
		injectors:  []Propagator{W3C(), B3Single()},
		limits:     Limits{Tags: 128, Events: 128, Links: 32, ValueBytes: 16 << 10},
		spans:      16384,
		bytes:      16 << 20,
		batch:      512,
		every:      time.Second,
		timeout:    10 * time.Second,
		retryFor:   time.Minute,
		dial:       5 * time.Second,
		logger:     slog.Default(),
	}
}

// WithDriver adds a reporter by its driver: this is what the Backend option of
// every reporter is made of. open validates and builds; it needs no server.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error {
		if err := fronts.Named(name, open); err != nil {
			return err
		}
		o.drivers = append(o.drivers, opener{name, open})
		return nil
	}
}

// WithService names the process in every span.
func WithService(name string) Option {
	return func(o *options) error {
		o.local.Service = name
		if name == "" {
			return fault.Markf(ErrInvalid, "WithService without a name")
		}
		return nil
	}
}

// WithLocal names the process and its address in every span. An endpoint without
// a Service leaves that of WithService.
func WithLocal(e Endpoint) Option {
	return func(o *options) error {
		e.Service = cmp.Or(e.Service, o.local.Service)
		o.local = e
		return nil
	}
}

// WithBaggage gives every span that is recorded these members of the context's
// baggage (package trace/baggage) as tags, under their names. A member that is
// not there adds none.
func WithBaggage(names ...string) Option {
	return func(o *options) error {
		if slices.Contains(names, "") {
			return fault.Markf(ErrInvalid, "WithBaggage with an empty name")
		}
		o.baggage = append(o.baggage, names...)
		return nil
	}
}

// WithSampler sets the sampler. The default is ParentOr(Always()); a busy
// service wants something like ParentOr(RateLimit(10)).
func WithSampler(s Sampler) Option {
	return func(o *options) error { o.sampler = s; return checkSampler(s) }
}

// WithExtract sets the header forms that are read, the first that holds a
// context wins. The default is W3C, B3Single, B3Multi, Micro.
func WithExtract(p ...Propagator) Option {
	return func(o *options) error { o.extractors = p; return checkPropagators(p) }
}

// WithInject sets the header forms that are written, all of them. The default
// is W3C and B3Single.
func WithInject(p ...Propagator) Option {
	return func(o *options) error { o.injectors = p; return checkPropagators(p) }
}

func checkPropagators(ps []Propagator) error {
	for _, p := range ps {
		if fronts.Nil(p) {
			return fault.Markf(ErrInvalid, "nil Propagator")
		}
	}
	return nil
}

// WithKeep records what the sampler left out, and sends it after all if one of
// the spans that this process has of the trace meets one of the conditions;
// Failed and SlowerThan are such. The decision falls when the first span of the
// trace in this process ends. Until then at most spans (0 means 4096) of all traces
// are held: of more, the trace that has held some for longest loses what is held of it,
// as one whose first span never ends. Other services are still told that the trace is not sampled.
func WithKeep(spans int, conditions ...func(SpanData) bool) Option {
	return func(o *options) error {
		if spans < 0 || len(conditions) == 0 {
			return fault.Markf(ErrInvalid, "WithKeep(%d) with %d conditions", spans, len(conditions))
		}
		if slices.ContainsFunc(conditions, func(c func(SpanData) bool) bool { return c == nil }) {
			return fault.Markf(ErrInvalid, "WithKeep with a nil condition")
		}
		o.maxHeld = int64(cmp.Or(spans, 4096))
		o.keep = conditions
		return nil
	}
}

// Failed is a condition for WithKeep: the span has an error.
func Failed(s SpanData) bool { return s.Err != "" }

// SlowerThan is a condition for WithKeep: the span took longer than d.
func SlowerThan(d time.Duration) func(SpanData) bool {
	return func(s SpanData) bool { return s.Duration > d }
}

// WithLimits bounds what one span holds.
func WithLimits(l Limits) Option {
	return func(o *options) error {
		if l.Tags < 0 || l.Events < 0 || l.Links < 0 || l.ValueBytes < 0 {
			return fault.Markf(ErrInvalid, "negative limit in %+v", l)
		}
		o.limits = Limits{
			Tags:       cmp.Or(l.Tags, o.limits.Tags),
			Events:     cmp.Or(l.Events, o.limits.Events),
			Links:      cmp.Or(l.Links, o.limits.Links),
			ValueBytes: cmp.Or(l.ValueBytes, o.limits.ValueBytes),
		}
		return nil
	}
}

// WithQueue bounds what waits for one reporter or is being sent, in spans and in
// about how many bytes. The defaults are 16384 and 16 MiB. What finds the queue
// full is dropped and counted.
func WithQueue(spans, bytes int) Option {
	return func(o *options) error {
		o.spans, o.bytes = spans, bytes
		return positive("WithQueue", int64(spans), int64(bytes))
	}
}

// WithBatch sends when n spans wait, or the first has waited for every. The
// defaults are 512, which is OpenTelemetry's, and 1 s.
func WithBatch(n int, every time.Duration) Option {
	return func(o *options) error {
		o.batch, o.every = n, every
		return positive("WithBatch", int64(n), int64(every))
	}
}

// WithTimeout bounds one attempt to send a batch, and a Search whose context has no
// deadline. The default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { o.timeout = d; return positive("WithTimeout", int64(d)) }
}

// WithDialTimeout bounds how long New waits for each reporter's backend to
// answer. The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { o.dial = d; return positive("WithDialTimeout", int64(d)) }
}

// WithLazy makes New succeed without asking the backends. Spans wait in the
// queue until they answer.
func WithLazy() Option {
	return func(o *options) error { o.lazy = true; return nil }
}

// WithLogger is notified when a backend becomes unavailable and when spans are
// lost: once for each outage, and at most once in ten seconds a reporter.
// The default is slog.Default.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}

func positive(option string, values ...int64) error {
	for _, v := range values {
		if v <= 0 {
			return fault.Markf(ErrInvalid, "%s with %d, want more than 0", option, v)
		}
	}
	return nil
}
