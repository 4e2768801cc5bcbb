package monitor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	instance Instance
	unnamed  bool // the instance's id was made at random
	phase    Phase
	logger   *slog.Logger
	interval time.Duration
	backend  fronts.Backend[Driver]
	policy   Policy
	expected func(service string) ([]string, bool)
	details  func(*http.Request) bool
	onChange func(old, new Status)
}

// WithService sets the name of the service that the process is an instance of.
func WithService(name string) Option {
	return func(o *options) error {
		if name == "" {
			return errors.New("empty service name")
		}
		o.instance.Service = name
		return nil
	}
}

// WithInstance says which process this is. An empty ID is made at random.
func WithInstance(in Instance) Option {
	return func(o *options) error {
		in.Service = cmp.Or(in.Service, o.instance.Service)
		o.instance = in
		return nil
	}
}

// WithPhase sets the first phase; the default is Running. With Starting the
// process is not ready before SetPhase(Running).
func WithPhase(p Phase) Option {
	return func(o *options) error {
		if p > Draining {
			return fmt.Errorf("first phase %v", p)
		}
		o.phase = p
		return nil
	}
}

// WithLogger tells a logger of changes and of a backend that fails. The
// default is silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}

// WithInterval sets how often the process publishes its report, with ±20 %
// jitter; a change of the status is published at once. The default is 5 s.
func WithInterval(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("interval", d, &o.interval) }
}

// WithDriver sets the backend. name is for error messages. Backend packages
// call it; so can a driver of your own.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

// WithDialTimeout limits how long New waits for the backend's first answer.
// The default is 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithLazy lets New succeed while the backend is unavailable.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// Policy says when a service as a whole is well. The zero value of a field
// means its default.
type Policy struct {
	MinHealthy float64       // share of the expected instances that must be healthy; default 0.5
	FailOpen   float64       // share of the instances that must share a dependency's failure for it to only warn; default 0.5
	TTL        time.Duration // how long a report counts without a newer one; default three intervals
	Keep       time.Duration // how long a lost or stopped instance is still shown; default 10 min
}

// WithPolicy sets when a service as a whole is well.
func WithPolicy(p Policy) Option {
	return func(o *options) error {
		if p.MinHealthy < 0 || p.MinHealthy > 1 || p.FailOpen < 0 || p.FailOpen > 1 {
			return fmt.Errorf("policy shares %v and %v, want 0 to 1", p.MinHealthy, p.FailOpen)
		}
		if p.TTL < 0 || p.Keep < 0 {
			return errors.New("negative duration in policy")
		}
		o.policy = p
		return nil
	}
}

// WithExpected tells which instances of a service there should be, by id, and
// whether that is known: usually discovery's cache. It is called often and
// must not block. Without it a view counts instances and its verdict stays
// unknown.
func WithExpected(f func(service string) (ids []string, known bool)) Option {
	return func(o *options) error {
		o.expected = f
		return fronts.Given(f, "WithExpected")
	}
}

// WithDetails says who may see error texts, instance ids and the lists of
// checks over HTTP. The default is nobody: probes then answer by their code
// and one word.
func WithDetails(allow func(*http.Request) bool) Option {
	return func(o *options) error {
		o.details = allow
		return fronts.Given(allow, "WithDetails")
	}
}

// WithOnChange calls f after each change of the status, one call at a time,
// outside any lock. A slow f skips changes in between, never the last.
func WithOnChange(f func(old, new Status)) Option {
	return func(o *options) error {
		o.onChange = f
		return fronts.Given(f, "WithOnChange")
	}
}

func (o *options) apply(opts []Option) error {
	if err := fronts.New("monitor", o, opts); err != nil {
		return err
	}
	o.interval = cmp.Or(o.interval, 5*time.Second)
	o.backend.Dial = cmp.Or(o.backend.Dial, 5*time.Second)
	o.policy.MinHealthy = cmp.Or(o.policy.MinHealthy, 0.5)
	o.policy.FailOpen = cmp.Or(o.policy.FailOpen, 0.5)
	o.policy.TTL = cmp.Or(o.policy.TTL, 3*o.interval)
	o.policy.Keep = cmp.Or(o.policy.Keep, 10*time.Minute)
	if o.logger == nil {
		o.logger = slog.New(slog.DiscardHandler)
	}
	if o.instance.ID == "" {
		o.instance.ID, o.unnamed = randomID(), true
	}
	return nil
}
