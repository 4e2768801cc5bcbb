package log

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	perRecord
	outputs []*outputOptions
	levels  map[string]slog.Level
	redact  []string
	errors  func(output string, err error)
	dial    time.Duration
	lazy    bool
}

// perRecord is what the options say about each record.
type perRecord struct {
	context func(ctx context.Context, attrs []slog.Attr) []slog.Attr
	replace func(groups []string, a slog.Attr) slog.Attr
	dedup   bool
	limiter *limiter
	source  bool
	from    slog.Level // least level that has a source
	syncAt  slog.Level // from here on a call waits for all outputs
	localAt slog.Level // and from here on for those of this machine
	exit    func(code int)
	exitAt  slog.Level
}

func defaults() options {
	return options{
		perRecord: perRecord{syncAt: LevelFatal, localAt: slog.LevelError},
		levels:    map[string]slog.Level{},
		errors:    func(output string, err error) { fmt.Fprintf(os.Stderr, "log/%s: %v\n", output, err) },
		dial:      5 * time.Second,
	}
}

// outputOptions is one output.
type outputOptions struct {
	name    string
	open    func(ctx context.Context) (Driver, error)
	least   slog.Level
	queue   int
	batch   int
	delay   time.Duration
	timeout time.Duration
	local   bool // a write costs no round trip
}

// WithDriver adds an output by its driver: this is what the option of every
// output is made of. open validates and builds; it needs no server.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error {
		if err := fronts.Named(name, open); err != nil {
			return err
		}
		o.add(name, open)
		return nil
	}
}

func (o *options) add(name string, open func(ctx context.Context) (Driver, error)) *outputOptions {
	one := &outputOptions{
		name: name, open: open, least: -1 << 30, queue: 4 << 20, batch: 64 << 10, delay: 10 * time.Millisecond, timeout: 10 * time.Second,
	}
	o.outputs = append(o.outputs, one)
	return one
}

// withLocal adds an output whose records of level Error a call may wait for.
func withLocal(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { o.add(name, open).local = true; return nil }
}

// OutputOption configures how records get to one output; see WithOutput.
type OutputOption func(*outputOptions) error

// WithOutput adds the output of an option with settings of its own:
//
//	log.WithOutput(logstash.Backend(addr), log.MinLevel(slog.LevelWarn), log.QueueBytes(1<<20))
func WithOutput(output Option, opts ...OutputOption) Option {
	return func(o *options) error {
		if output == nil {
			return fault.Markf(ErrInvalid, "WithOutput of a nil output")
		}
		first := len(o.outputs)
		if err := output(o); err != nil {
			return err
		}
		for _, one := range o.outputs[first:] {
			if err := fronts.Apply(one, opts); err != nil {
				return err
			}
		}
		return nil
	}
}

// MinLevel keeps records below l from the output, whatever the level rules say.
func MinLevel(l slog.Level) OutputOption {
	return func(o *outputOptions) error { o.least = l; return nil }
}

// QueueBytes bounds what waits for the output or is being written. The default is
// 4 MiB.
func QueueBytes(n int) OutputOption {
	return func(o *outputOptions) error {
		if n < 1024 {
			return fault.Markf(ErrInvalid, "QueueBytes(%d), want at least 1024", n)
		}
		o.queue = n
		return nil
	}
}

// BatchOf writes when bytes wait or the first record has waited for delay. The
// defaults are 64 KiB and 10 ms. Records from level Error up don't wait.
func BatchOf(bytes int, delay time.Duration) OutputOption {
	return func(o *outputOptions) error {
		if bytes < 1 || delay < 0 {
			return fault.Markf(ErrInvalid, "BatchOf(%d, %v)", bytes, delay)
		}
		o.batch, o.delay = bytes, delay
		return nil
	}
}

// WriteTimeout bounds one write to the output. The default is 10 s.
func WriteTimeout(d time.Duration) OutputOption {
	return func(o *outputOptions) error { return fronts.Positive("write timeout", d, &o.timeout) }
}

// WithLevel sets the rule of a name; "" is the root, whose default is Info.
func WithLevel(name string, l slog.Level) Option {
	return func(o *options) error { o.levels[name] = l; return nil }
}

// WithContext adds what f appends to attrs for the context of each record;
// trace.ContextAttrs fits. They stand outside all groups.
func WithContext(f func(ctx context.Context, attrs []slog.Attr) []slog.Attr) Option {
	return func(o *options) error {
		if f == nil {
			return fault.Markf(ErrInvalid, "WithContext(nil)")
		}
		f := guardContext(f)
		before := o.context
		o.context = f
		if before != nil {
			o.context = func(ctx context.Context, attrs []slog.Attr) []slog.Attr { return f(ctx, before(ctx, attrs)) }
		}
		return nil
	}
}

// WithReplaceAttr passes every attribute that is no group through f, as
// slog.HandlerOptions do; the record's own fields don't pass.
func WithReplaceAttr(f func(groups []string, a slog.Attr) slog.Attr) Option {
	return func(o *options) error {
		o.replace = nil
		if f != nil {
			o.replace = guardReplace(f)
		}
		return nil
	}
}

// WithRedact replaces the values of attributes with these keys, in any group
// and any case, by "[redacted]", and those of all attributes in a group of such a
// name. It sees attributes, not what is in a
// struct or a map that is a value, such as an http.Header.
func WithRedact(keys ...string) Option {
	return func(o *options) error { o.redact = append(o.redact, keys...); return nil }
}

// WithDedup keeps only the last of the attributes of one group that have the
// same key. It costs some allocations a record.
func WithDedup() Option {
	return func(o *options) error { o.dedup = true; return nil }
}

// WithRateLimit lets n records a period through from each place in the code;
// the next one that passes says how many did not, in "suppressed". Records from
// LevelFatal up always pass.
func WithRateLimit(n int, per time.Duration) Option {
	return func(o *options) error {
		if n < 1 || per <= 0 {
			return fault.Markf(ErrInvalid, "WithRateLimit(%d, %v)", n, per)
		}
		o.limiter = &limiter{n: uint64(n), per: per, sites: map[uintptr]*site{}}
		return nil
	}
}

// WithSource adds the file and line to records from level least up.
func WithSource(least slog.Level) Option {
	return func(o *options) error { o.source, o.from = true, least; return nil }
}

// WithSyncAt sets from which level on a call returns only when every output has
// written the record, or after a second. The default is LevelError for stdout,
// files and writers, so that a program may log an error and exit, and LevelFatal
// for outputs across a network. An output that let one call wait for a whole
// second is not waited for again before it has written something.
func WithSyncAt(l slog.Level) Option {
	return func(o *options) error { o.syncAt, o.localAt = l, l; return nil }
}

// WithExit calls exit(1) after a record from level least up is written; os.Exit
// makes LevelFatal mean what it says.
func WithExit(least slog.Level, exit func(code int)) Option {
	return func(o *options) error {
		if exit == nil {
			return fault.Markf(ErrInvalid, "WithExit(%v, nil)", least)
		}
		o.exit, o.exitAt = exit, least
		o.syncAt, o.localAt = min(o.syncAt, least), min(o.localAt, least)
		return nil
	}
}

// WithErrors sets what is called with the errors of outputs: with an error that
// repeats once until the output takes records again, and once more if it costs
// records; at most once in ten seconds each. The default writes them to stderr.
func WithErrors(f func(output string, err error)) Option {
	return func(o *options) error { o.errors = f; return fronts.Given(f, "WithErrors") }
}

// WithDialTimeout bounds how long New waits for each output. The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.dial) }
}

// WithLazy makes New succeed without asking the outputs. Records wait in the
// queues until they answer.
func WithLazy() Option {
	return func(o *options) error { o.lazy = true; return nil }
}
