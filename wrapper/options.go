package wrapper

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/router/limits"
	"github.com/micro/go-platform/trace"
)

// ErrInvalid is the kind of New's errors.
var ErrInvalid = fault.Of("wrapper", fault.Invalid)

// Option configures New.
type Option func(*options) error

type options struct {
	name          string
	log           log.Log
	trace         trace.Tracer
	metrics       metrics.Metrics
	monitor       monitor.Monitor
	auth          auth.Auth
	router        router.Router
	discovery     discovery.Discovery
	observers     []Observer
	gates         []Gate
	accessLevel   slog.Level
	slow          time.Duration
	serverTimeout time.Duration
	clientTimeout time.Duration
	attempt       time.Duration
	retry         RetryPolicy
	hedge         HedgePolicy
	services      func(*http.Request) (string, bool)
	public        func(*Call) bool
	publicPaths   []string
	path          []auth.PathOption
	tokens        func(service string) TokenMode
	load          bool
	quietLimits   bool
	edge          bool
	baggage       []string // members that published records get as metadata
	trusted       []func(context.Context, *Call) bool
	identity      func(service string) string
	policies      []Policy
	key           func(ctx context.Context) string
	registrations []discovery.Registration
	drain         time.Duration
	onDrain       []func(ctx context.Context) error
	onClose       []func(ctx context.Context) error
	faults        *faults
}

// with sets what has to be there.
func with(what string, v any, set func(*options)) Option {
	return func(o *options) error {
		if fronts.Nil(v) {
			return errors.New("nil " + what)
		}
		set(o)
		return nil
	}
}

// WithName sets the name of the service that is wrapped.
func WithName(service string) Option {
	return func(o *options) error {
		if service == "" {
			return errors.New("empty name")
		}
		o.name = service
		return nil
	}
}

// WithLog logs failed and slow calls, and with WithAccessLog all of them.
func WithLog(l log.Log) Option {
	return with("log", l, func(o *options) { o.log = l })
}

// WithTrace makes a span of each call, and below it one of each attempt but the
// first, with the names and attributes of OpenTelemetry's semantic conventions:
// see docs/semconv.md. Of what callers choose, queries are left out, and paths
// and user agents are cut at 512 and 256 bytes.
func WithTrace(t trace.Tracer) Option {
	return with("tracer", t, func(o *options) { o.trace = t })
}

// WithMetrics counts and times calls, under the names of OpenTelemetry's
// semantic conventions: http.server.request.duration, rpc.client.call.duration,
// messaging.process.duration and others, which docs/semconv.md lists with their
// attributes. Another histogram's buckets than the default ones has who makes the
// instrument before New, with metrics.Buckets and the same keys.
func WithMetrics(m metrics.Metrics) Option {
	return with("metrics", m, func(o *options) { o.metrics = m })
}

// WithMonitor gives the numbers of each endpoint to a monitor. Close says
// through it that the process drains. With WithMetrics each check has a gauge,
// platform.check.status: 1 if it passes, 0.5 if it warns, 0 if it fails or its
// result is stale.
func WithMonitor(m monitor.Monitor) Option {
	return with("monitor", m, func(o *options) { o.monitor = m })
}

// WithAuth lets in whom the auth authorises, and shows this service's own token
// to the services that are called by name. See WithTokens for other ways.
func WithAuth(a auth.Auth) Option {
	return with("auth", a, func(o *options) { o.auth = a })
}

// WithRouter makes the client find the host of a URL such as http://greeter/hello.
// With WithMetrics there are metrics of each instance that is called:
// platform.router.outcomes and others, which docs/semconv.md lists.
func WithRouter(r router.Router) Option {
	return with("router", r, func(o *options) { o.router = r })
}

// WithDiscovery adds, with WithMetrics and WithRouter, metrics of what d knows of
// the services that calls go to: how many instances, and whether the registry
// still says so. It is the user's to close.
func WithDiscovery(d discovery.Discovery) Option {
	return with("discovery", d, func(o *options) { o.discovery = d })
}

// WithObserver adds an observer, inside of those that are there.
func WithObserver(ob Observer) Option {
	return with("observer", ob, func(o *options) { o.observers = append(o.observers, ob) })
}

// WithGate adds a gate, which is asked before auth.
func WithGate(g Gate) Option {
	return with("gate", g, func(o *options) { o.gates = append(o.gates, g) })
}

// WithLimit refuses calls that come in when the limiter does, with 429. Several
// limiters are asked in the order in which they were given, before auth.
//
// An answer tells where those stand that count calls in a time
// (limits.StateLimiter) in the header fields RateLimit and RateLimit-Policy of
// draft-ietf-httpapi-ratelimit-headers; limits.Named names them there. A refusal
// has Retry-After too. Over gRPC it has RetryInfo. See WithoutLimitHeaders.
func WithLimit(l limits.Limiter) Option {
	return with("limiter", l, func(o *options) { o.gates = append(o.gates, limitGate{l, len(o.gates), o}) })
}

// WithoutLimitHeaders keeps the header fields RateLimit and RateLimit-Policy out of
// answers: for limits that callers share, or should not know. Retry-After stays.
func WithoutLimitHeaders() Option { return func(o *options) error { o.quietLimits = true; return nil } }

// WithAccessLog sets the level at which calls are logged that are neither
// failed nor slow. The default is slog.LevelDebug.
func WithAccessLog(l slog.Level) Option {
	return func(o *options) error { o.accessLevel = l; return nil }
}

// WithSlow sets from which duration on a call is logged as a warning. The
// default is 1 s.
func WithSlow(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.slow) }
}

// WithServerTimeout bounds the context of handlers, if the caller's deadline
// does not end sooner. Event streams and upgraded connections are not bounded.
// The default is no bound.
func WithServerTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.serverTimeout) }
}

// WithClientTimeout bounds a call, with all its attempts and the reading of
// its answer, if its context has no deadline. The default bounds a call without
// a deadline too, but only until the answer's headers are there, to 30 s;
// NoTimeout turns that off.
func WithClientTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.clientTimeout) }
}

// WithAttemptTimeout bounds how long one attempt waits for the answer's
// headers. The default is no bound but the call's, and RetryPolicy.Late, which
// this replaces.
func WithAttemptTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.attempt) }
}

// WithRetry changes when and how often calls are sent again.
func WithRetry(p RetryPolicy) Option {
	return func(o *options) error {
		if err := p.validate(); err != nil {
			return err
		}
		o.retry = p
		return nil
	}
}

// WithPolicies adds policies: timeouts, retries, hedges and limits by service,
// route and method. SetPolicies changes them later, and package wrapper/config
// takes them from a configuration.
func WithPolicies(p ...Policy) Option {
	return func(o *options) error { o.policies = append(o.policies, p...); return nil }
}

// WithHedge sends idempotent calls that are late to a second instance too. The
// default is not to.
func WithHedge(p HedgePolicy) Option {
	return func(o *options) error {
		if err := p.validate(); err != nil {
			return err
		}
		o.hedge = p.withDefaults()
		return nil
	}
}

// WithKey makes the choice of instances sticky: calls with equal keys get the
// same branch of a rule, and with the consistent hash strategy the same
// instance. f returns "" for no key.
func WithKey(f func(ctx context.Context) string) Option {
	return with("function", f, func(o *options) { o.key = f })
}

// WithServices tells which requests of a client go to a service that the
// router finds, and its name. The default is every host without a dot and
// without a port, but localhost.
func WithServices(f func(r *http.Request) (service string, ok bool)) Option {
	return with("function", f, func(o *options) { o.services = f })
}

// WithPublicPaths lists paths of HTTP requests that need no authorisation of
// this Wrapper's: of handlers that ask for themselves, such as the status page,
// or are for everybody: "/metrics". One that ends in a slash stands for all
// below it: "/debug/platform/". It adds to what other options let through.
func WithPublicPaths(paths ...string) Option {
	return func(o *options) error {
		for _, p := range paths {
			if !strings.HasPrefix(p, "/") {
				return fmt.Errorf("public path %q, want one that begins with a slash", p)
			}
		}
		o.publicPaths = append(o.publicPaths, paths...)
		return nil
	}
}

// WithPublic tells which calls need no authorisation, besides the probes
// /livez, /readyz, /startupz and /healthz. For paths see WithPublicPaths.
func WithPublic(f func(c *Call) bool) Option {
	return with("function", f, func(o *options) { o.public = f })
}

// WithLoadReport makes answers carry the number of calls in progress, how busy
// the process is, and how long calls took lately, from which the routers of
// callers learn: in the header X-Load, or gRPC's trailer of that name. It also
// answers at LoadPath, for Probe. Show it to services of yours only.
func WithLoadReport() Option { return func(o *options) error { o.load = true; return nil } }

// WithRegistration makes Close deregister an instance first. With WithMonitor
// the registration's status follows readiness: Starting until the process is
// ready for the first time, Draining, which makes it the last choice of
// routers, while it is not ready later. The monitor reports under the
// registration's id, unless WithInstance gave it one.
func WithRegistration(r discovery.Registration) Option {
	return with("registration", r, func(o *options) { o.registrations = append(o.registrations, r) })
}

// WithDrain sets how long Close waits between deregistering and refusing work,
// so that callers have heard of it. The default is 1 s if there is a
// registration.
func WithDrain(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("duration", d, &o.drain) }
}

// WithOnDrain adds something for Close to do as soon as callers have heard that
// the service leaves (WithDrain), while calls in progress end: to have a server
// take no more, to end streams that would go on indefinitely. Close goes on when
// all of these functions have returned, which run at once, and no call is in
// progress; they have the time that those have. http.Server.Shutdown is one.
func WithOnDrain(f func(ctx context.Context) error) Option {
	return with("function", f, func(o *options) { o.onDrain = append(o.onDrain, f) })
}

// WithOnClose adds something for Close to do once no call is in progress and
// before the parts are flushed: to release locks, to close a database. They run in
// the order in which they were given.
func WithOnClose(f func(ctx context.Context) error) Option {
	return with("function", f, func(o *options) { o.onClose = append(o.onClose, f) })
}
