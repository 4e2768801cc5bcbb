package router

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

// Option configures New.
type Option func(*options) error

type options struct {
	source     discovery.Discovery
	strategy   Strategy
	logger     *slog.Logger
	client     uint64 // the seed of this client's order of instances
	peers      string // the service that this client is an instance of; "": none
	self       string // its id in it
	zone       string
	lease      time.Duration
	start      time.Duration // slow start
	panic      float64
	eject      Ejection
	breakers   *Breakers // nil: none
	share      *share    // nil: nothing is shared
	fallback   Fallback
	rules      []Rule
	ruleSource RuleSource
	keep       time.Duration
	now        func() time.Duration // monotonic
	driven     bool                 // by WithClock
	rand       func() uint64
	seeded     bool // by WithRandom
}

// WithDiscovery says where instances come from. It is required.
func WithDiscovery(d discovery.Discovery) Option {
	return func(o *options) error {
		if fronts.Nil(d) {
			return errors.New("nil discovery")
		}
		o.source = d
		return nil
	}
}

// WithStrategy sets how one of several instances is chosen. The default is
// LeastCost().
func WithStrategy(s Strategy) Option {
	return func(o *options) error {
		if fronts.Nil(s) {
			return errors.New("nil strategy")
		}
		o.strategy = s
		return nil
	}
}

// WithLogger tells a logger of ejections. The default is silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error { return fronts.Logger(l, &o.logger) }
}

// WithClient names this client: equal names order the instances of a service
// equally. The default is a random one. The order says which of more than a
// thousand instances a client uses that has no WithPeers.
func WithClient(id string) Option {
	return func(o *options) error {
		if id == "" {
			return errors.New("empty client id")
		}
		o.client = hash(id)
		return nil
	}
}

// WithZone says where this client runs. LeastCost counts a call to another zone
// as costing twice: calls stay at home until home is that much slower or
// busier, and spill over then. With WithSharing a share of the calls takes all
// zones for equally near as soon as the clients together have made home twice
// as busy as the rest.
func WithZone(zone string) Option {
	return func(o *options) error {
		if zone == "" {
			return errors.New("empty zone")
		}
		o.zone = zone
		return nil
	}
}

// pickLease is how long a Pick that is never Done counts against its instance: this
// long at least and twice as long at most. Longer than calls usually take.
const pickLease = 10 * time.Minute

// WithSlowStart sets how long an instance that is new takes to get its whole
// share. The default is 30 s. It does not apply while more than half of the
// instances are new.
func WithSlowStart(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("slow start", d, &o.start) }
}

// WithPanic sets the share of healthy instances below which health is ignored:
// better to try all than to crowd the few that are left. The default is 0.5;
// 0 never ignores health.
func WithPanic(share float64) Option {
	return func(o *options) error {
		if !(share >= 0 && share <= 1) {
			return fmt.Errorf("panic threshold %v, want 0 to 1", share)
		}
		o.panic = share
		return nil
	}
}

// WithEjection sets when an instance is taken out of rotation.
func WithEjection(e Ejection) Option {
	return func(o *options) error {
		if e.Consecutive < 0 || e.Share < 0 || e.Share > 1 || e.Base < 0 || e.Max < 0 || e.Cap < 0 || e.Cap > 1 || e.Slower < 0 {
			return errors.New("ejection out of range")
		}
		o.eject = e
		return nil
	}
}

// Breakers are the circuit breakers of a Router's instances.
type Breakers struct {
	BreakerPolicy

	// PerMethod gives each method of an instance a breaker of its own: one
	// that fails does not take the others with it. Calls name theirs with
	// Method. From the 64th method of a service on, they share one.
	PerMethod bool

	// FailFast makes a call fail with an *OpenError while the breakers of all
	// instances that it could go to are open. Else it goes to one of them:
	// Pick.Panic says so. With FailFast breakers hold also below the threshold
	// of WithPanic, which then is about ejections alone.
	FailFast bool
}

// WithBreakers gives each instance a circuit breaker. Pick passes over those
// that are open. The default is none: ejection takes out what fails, but no
// more than its Cap, and lets all calls back in at once; a breaker has no cap,
// and lets them in one by one.
func WithBreakers(b Breakers) Option {
	return func(o *options) (err error) {
		b.BreakerPolicy, err = b.checked()
		o.breakers = &b
		return err
	}
}

// WithFallback says what happens to labels that too few instances carry. The
// default is FallbackNone: an error is better than the wrong instance.
func WithFallback(f Fallback) Option {
	return func(o *options) error {
		if f > FallbackAny {
			return fmt.Errorf("unknown fallback %d", f)
		}
		o.fallback = f
		return nil
	}
}

// WithRules sets rules that are always there.
func WithRules(all ...Rule) Option {
	return func(o *options) error {
		o.rules = append(o.rules, all...)
		return nil
	}
}

// WithRuleSource follows rules that change.
func WithRuleSource(s RuleSource) Option {
	return func(o *options) error {
		if fronts.Nil(s) {
			return errors.New("nil rule source")
		}
		o.ruleSource = s
		return nil
	}
}

// WithClock makes the router read the time, as a duration since some fixed
// moment, from now: for simulations. What goes on in the background is then
// done by Pick when it is due.
func WithClock(now func() time.Duration) Option {
	return func(o *options) error {
		if now == nil {
			return errors.New("nil clock")
		}
		o.now, o.driven = now, true
		return nil
	}
}

// WithRandom makes the router draw from f instead of math/rand/v2: for
// simulations that repeat.
func WithRandom(f func() uint64) Option {
	return func(o *options) error {
		if f == nil {
			return errors.New("nil source of numbers")
		}
		o.rand, o.seeded = f, true
		return nil
	}
}

// chance is a number from 0 to 1.
func (o *options) chance() float64 { return unit(o.rand()) }

// unit makes a number from 0 to 1 of a random one.
func unit(random uint64) float64 { return float64(random>>11) / (1 << 53) }

func newOptions(opts []Option) (*options, error) {
	start := time.Now()
	o := &options{
		strategy: LeastCost(), logger: slog.New(slog.DiscardHandler), client: rand.Uint64(), lease: pickLease,
		start: 30 * time.Second, panic: 0.5, keep: 10 * time.Minute, rand: rand.Uint64,
		now: func() time.Duration { return time.Since(start) },
	}
	if err := fronts.New("router", o, opts); err != nil {
		return nil, err
	}
	if o.source == nil {
		return nil, fault.New(ErrInvalid, "router", "new", "", "no discovery: use WithDiscovery")
	}
	o.eject = o.eject.withDefaults()
	return o, nil
}
