package auth

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fronts"
)

// Option sets one thing of New.
type Option func(*options) error

type options struct {
	backend     fronts.Backend[Driver]
	service     string
	audiences   []string
	anyAudience bool
	origins     []string
	nonces      *nonces // that proofs must have; nil: none
	decider     Decider
	refusals    func(context.Context, Refusal)
	logRefusal  func(context.Context, Refusal)
	feed        RevocationFeed
	log         *slog.Logger
	clock       func() time.Time // of tests; nil: time.Now
	timeout     time.Duration
	cacheTTL    time.Duration
	leeway      time.Duration
}

// retries are how long is waited before an authority or a feed is asked again.
var retries = backoff.Policy{Min: 100 * time.Millisecond, Max: 5 * time.Second}

// MaxLeeway bounds WithLeeway. A driver that checks times itself does so with
// this leeway, so that the front has the last word.
const MaxLeeway = 5 * time.Minute

func newOptions(opts []Option) (*options, error) {
	o := &options{
		log:      slog.New(slog.DiscardHandler),
		backend:  fronts.Backend[Driver]{Dial: 5 * time.Second},
		timeout:  5 * time.Second,
		cacheTTL: 30 * time.Second,
		leeway:   30 * time.Second,
	}
	return o, fronts.Apply(o, opts)
}

// WithDriver sets the backend. Backends' own options are made of it; open
// validates and builds, and needs no server: New asks the server by Ping.
func WithDriver(name string, open func(ctx context.Context) (Driver, error)) Option {
	return func(o *options) error { return o.backend.Use(name, open) }
}

// WithService names this service: it is the subject of its own tokens in the
// embedded authority, and the audience that callers' tokens must name, unless
// WithAudience says otherwise.
func WithService(name string) Option {
	return func(o *options) error {
		if name == "" {
			return fmt.Errorf("%w: empty service name", ErrInvalid)
		}
		o.service = name
		return nil
	}
}

// WithAudience lists the audiences of which a caller's token must name one.
func WithAudience(names ...string) Option {
	return func(o *options) error {
		if len(names) == 0 || slices.Contains(names, "") {
			return fmt.Errorf("%w: empty audience", ErrInvalid)
		}
		o.audiences = append(o.audiences, names...)
		return nil
	}
}

// WithAnyAudience accepts tokens whoever they are for. A token that was given
// to another service is then good here too, so this is for authorities that
// name no audience at all.
func WithAnyAudience() Option {
	return func(o *options) error { o.anyAudience = true; return nil }
}

// WithRules sets the policy: a set that is never replaced. Without rules every
// caller is denied.
func WithRules(rules ...Rule) Option {
	return func(o *options) error {
		p, err := NewPolicies(RuleSet{Rules: rules})
		if err != nil {
			return err
		}
		return WithDecider(p)(o)
	}
}

// WithDecider sets the policy: Policies that you keep and may replace while they are
// in use, or a policy engine of your own.
func WithDecider(d Decider) Option {
	return func(o *options) error {
		switch {
		case fronts.Nil(d):
			return fmt.Errorf("%w: nil decider", ErrInvalid)
		case o.decider != nil:
			return fmt.Errorf("%w: rules given twice", ErrInvalid)
		}
		o.decider = d
		return nil
	}
}

// WithRevocations spreads revocations to, and takes them from, the other
// instances. Package auth/revocation makes a feed of an event stream.
func WithRevocations(feed RevocationFeed) Option {
	return func(o *options) error {
		if fronts.Nil(feed) {
			return fmt.Errorf("%w: nil revocation feed", ErrInvalid)
		}
		o.feed = feed
		return nil
	}
}

// WithLogger hears of what no caller is told: who was refused and why
// (five of each reason in ten seconds; the next line says how many were left out),
// background renewals that failed, a revocation feed that is unavailable. Default:
// silent.
func WithLogger(l *slog.Logger) Option {
	return func(o *options) error {
		if l == nil {
			return fmt.Errorf("%w: nil logger", ErrInvalid)
		}
		o.log, o.logRefusal = l, logRefusals(l)
		return nil
	}
}

// WithDialTimeout bounds New's question to the authority. Default 5 s.
func WithDialTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("dial timeout", d, &o.backend.Dial) }
}

// WithTimeout bounds one request to the authority. Default 5 s.
func WithTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("timeout", d, &o.timeout) }
}

// WithLazy lets New succeed while the authority is unavailable.
func WithLazy() Option {
	return func(o *options) error { o.backend.Lazy = true; return nil }
}

// WithCacheTTL bounds how long a verdict on a token is believed: the time
// within which a revocation or a changed key is noticed if no revocation feed
// tells of it. A token's own expiry always ends it. Default 30 s; 0 asks every
// time.
func WithCacheTTL(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 {
			return fmt.Errorf("%w: cache TTL %s", ErrInvalid, d)
		}
		o.cacheTTL = d
		return nil
	}
}

// WithLeeway allows for clocks that differ when times of tokens are compared.
// Default 30 s, at most MaxLeeway.
func WithLeeway(d time.Duration) Option {
	return func(o *options) error {
		if d < 0 || d > MaxLeeway {
			return fmt.Errorf("%w: leeway %s, want 0 to %s", ErrInvalid, d, MaxLeeway)
		}
		o.leeway = d
		return nil
	}
}

// check completes the options once all are known.
func (o *options) check() error {
	if !o.backend.Chosen() {
		if err := Local(NewAuthority())(o); err != nil {
			return err
		}
		if o.service == "" {
			o.service = "local"
		}
	}
	if o.anyAudience && len(o.audiences) > 0 {
		return fmt.Errorf("%w: WithAnyAudience together with WithAudience", ErrInvalid)
	}
	if !o.anyAudience && len(o.audiences) == 0 {
		if o.service == "" {
			return fmt.Errorf("%w: whom must tokens be for? give WithService, WithAudience or WithAnyAudience", ErrInvalid)
		}
		o.audiences = []string{o.service}
	}
	return nil
}
