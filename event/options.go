package event

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	backend   fronts.Backend[Driver]
	settings  Settings
	source    string
	timeout   time.Duration
	maxBytes  int
	trimEvery time.Duration
	inject    func(ctx context.Context, metadata map[string]string)
	extract   func(ctx context.Context, metadata map[string]string) context.Context
}

func newOptions(opts []Option) (*options, error) {
	o := &options{
		backend:   fronts.Backend[Driver]{Dial: 5 * time.Second},
		settings:  Settings{Logger: slog.New(slog.DiscardHandler)},
		timeout:   10 * time.Second,
		maxBytes:  1 << 20,
		trimEvery: 10 * time.Second,
	}
	if err := fronts.New("event", o, opts); err != nil {
		return nil, err
	}
	if !o.backend.Chosen() {
		Memory()(o)
	}
	return o, nil
}

// WithDriver sets the backend: open is called once, by New, and must not ask
// the server; Driver.Ping does. Backends are options made with it; a second
// one is an error.
func WithDriver(name string, open func(ctx context.Context, s Settings) (Driver, error)) Option {
	return func(o *options) error {
		if name == "" || open == nil {
			return invalidf("a driver needs a name and a function that opens it")
		}
		return o.backend.Use(name, func(ctx context.Context) (Driver, error) { return open(ctx, o.settings) })
	}
}

// WithNamespace keeps the stream apart from those of other namespaces on the
// same backend: letters, digits, '_', '-' and '.', up to 64 bytes. The
// default is none.
func WithNamespace(ns string) Option {
	return func(o *options) error {
		if len(ns) > 64 || strings.ContainsFunc(ns, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' || r == '.')
		}) {
			return invalidf("namespace %q, want up to 64 of letters, digits, '_', '-' and '.'", ns)
		}
		o.settings.Namespace = ns
		return nil
	}
}

// WithSource sets Source for records that have none. The default is empty.
func WithSource(source string) Option {
	return func(o *options) error {
		o.source = source
		return checkText("source", source)
	}
}

// WithDialTimeout bounds how long New waits for the backend's first answer.
// The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithTimeout is the deadline of one request whose context brings none: what it
// ends is ErrUnavailable, or ErrUnknownOutcome if it may have been applied. The
// default is 10 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("timeout", d, &o.timeout) }
}

// WithLazy lets New succeed without asking whether the backend answers.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// WithLogger sets where the stream reports what it does on its own: retries,
// dead letters, lost connections. The default is silence.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.settings.Logger) }
}

// WithMaxBytes limits Data of a record; more is ErrTooLarge. The default is 1 MiB.
func WithMaxBytes(n int) Option {
	return func(o *options) error {
		if n <= 0 {
			return invalidf("limit of %d bytes, want more than 0", n)
		}
		o.maxBytes = n
		return nil
	}
}

// WithRetention sets how much history is kept. This stream enforces it every
// ten seconds or as WithRetentionEvery says, so one process that sets it is
// enough. The default keeps everything, except in memory: see Memory.
func WithRetention(r Retention) Option {
	return func(o *options) error {
		if r.Age < 0 || r.Count < 0 || r.Bytes < 0 {
			return invalidf("negative retention")
		}
		o.settings.Retention = r
		return nil
	}
}

// WithRetentionEvery is how often WithRetention is enforced. The default is 10 s.
func WithRetentionEvery(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("retention interval", d, &o.trimEvery) }
}

// WithPropagation carries something of the context along in the metadata, a
// trace context for instance: inject is called by Publish with a copy of the
// metadata that it may add to, extract before a handler. Either may be nil.
func WithPropagation(inject func(ctx context.Context, metadata map[string]string), extract func(ctx context.Context, metadata map[string]string) context.Context) Option {
	return func(o *options) error {
		o.inject, o.extract = inject, extract
		return nil
	}
}
