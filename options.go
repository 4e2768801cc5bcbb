package platform

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// ErrInvalid is the kind of errors about options and servers that can't be.
var ErrInvalid = fault.Of("platform", fault.Invalid)

// Option configures New.
type Option func(*options) error

type options struct {
	self      discovery.Instance
	advertise string
	stop      time.Duration

	telemetry Telemetry
	log       []log.Option
	trace     []trace.Option
	metrics   []metrics.Option
	monitor   []monitor.Option
	discovery []discovery.Option
	router    []router.Option
	auth      []auth.Option
	wrapper   []wrapper.Option
	config    []config.Option
	kv        []kv.Option
	ring      Ring
	event     []event.Option
	sync      []sync.Option
	db        []db.Option
}

func newOptions(service string, opts []Option) (*options, error) {
	o := &options{self: discovery.Instance{Service: service}, stop: 25 * time.Second}
	if service == "" {
		return nil, fault.Mark(ErrInvalid, errors.New("empty name"))
	}
	err := fronts.Apply(o, opts)
	if err != nil {
		return nil, fault.Mark(ErrInvalid, err)
	}
	return o, nil
}

// WithVersion says which version of the service this is.
func WithVersion(version string) Option {
	return func(o *options) error { o.self.Version = version; return nil }
}

// WithInstance sets the id of this instance, unique within the service. The
// default is a random one.
func WithInstance(id string) Option {
	return func(o *options) error { o.self.ID = id; return nil }
}

// WithZone says where the instance runs. The client prefers instances of its own
// zone.
func WithZone(zone string) Option {
	return func(o *options) error { o.self.Zone = zone; return nil }
}

// WithLabels adds labels to the registration, by which routers choose.
func WithLabels(labels map[string]string) Option {
	return func(o *options) error {
		if o.self.Labels == nil {
			o.self.Labels = map[string]string{}
		}
		maps.Copy(o.self.Labels, labels)
		return nil
	}
}

// WithHost sets the name or address of this host under which others reach it.
// The default is the address of a listener, or, if that listens on all
// interfaces, what discovery.HostPort makes of it.
func WithHost(host string) Option {
	return func(o *options) error {
		if host == "" {
			return errors.New("empty host")
		}
		o.advertise = host
		return nil
	}
}

// WithStopTimeout bounds how long Run takes to stop. What is not done by then is
// cut off and counted as lost; a part that still waits for its backend is left
// behind a second later. The default is 25 s: five less than what Kubernetes grants
// by default.
func WithStopTimeout(d time.Duration) Option {
	return func(o *options) error { return fronts.Positive("stop timeout", d, &o.stop) }
}

// WithLog adds options of the log. The default writes JSON lines to stdout.
func WithLog(opts ...log.Option) Option {
	return func(o *options) error { o.log = append(o.log, opts...); return nil }
}

// Telemetry is where a service's logs, traces and metrics go, as otlp.FromEnv
// reads it from the environment.
type Telemetry interface {
	Log(resource ...slog.Attr) []log.Option
	Trace(resource ...slog.Attr) []trace.Option
	Metrics(resource ...slog.Attr) []metrics.Option
}

// WithTelemetry adds what t says of log, tracer and metrics before the options
// that WithLog, WithTrace and WithMetrics add. It is handed the service's
// identity: service.name, service.instance.id and service.version.
func WithTelemetry(t Telemetry) Option {
	return func(o *options) error {
		if fronts.Nil(t) {
			return errors.New("nil telemetry")
		}
		o.telemetry = t
		return nil
	}
}

// WithTrace adds options of the tracer. Without a reporter spans go nowhere, but
// their contexts travel.
func WithTrace(opts ...trace.Option) Option {
	return func(o *options) error { o.trace = append(o.trace, opts...); return nil }
}

// WithMetrics adds options of the metrics.
func WithMetrics(opts ...metrics.Option) Option {
	return func(o *options) error { o.metrics = append(o.metrics, opts...); return nil }
}

// WithMonitor adds options of the monitor.
func WithMonitor(opts ...monitor.Option) Option {
	return func(o *options) error { o.monitor = append(o.monitor, opts...); return nil }
}

// WithDiscovery adds options of discovery, such as consul.Backend. The default is
// a registry of this process alone.
func WithDiscovery(opts ...discovery.Option) Option {
	return func(o *options) error { o.discovery = append(o.discovery, opts...); return nil }
}

// WithRouter adds options of the client's router.
func WithRouter(opts ...router.Option) Option {
	return func(o *options) error { o.router = append(o.router, opts...); return nil }
}

// WithAuth makes the service authenticate and authorise whoever calls it, and
// show its own token to those that it calls. Without it nobody is asked.
func WithAuth(opts ...auth.Option) Option {
	return func(o *options) error {
		if len(opts) == 0 {
			return errors.New("auth without options")
		}
		o.auth = append(o.auth, opts...)
		return nil
	}
}

// WithWrapper adds options of the middleware: limits, timeouts, policies, WithEdge.
// They come after those that New makes, so they may also put a part of your own
// in the place of one.
func WithWrapper(opts ...wrapper.Option) Option {
	return func(o *options) error { o.wrapper = append(o.wrapper, opts...); return nil }
}

// WithConfig adds options of the configuration. The default is an empty one.
func WithConfig(opts ...config.Option) Option {
	return func(o *options) error { o.config = append(o.config, opts...); return nil }
}

// WithKV adds options of the key-value store, such as redis.Backend. The default
// is in memory.
func WithKV(opts ...kv.Option) Option {
	return func(o *options) error { o.kv = append(o.kv, opts...); return nil }
}

// Ring is a store in the memory of the service's own instances, such as
// ring.Member of package kv/ring.
type Ring interface {
	// Join makes the instance a member, and returns the backend of the store. The
	// instance is registered later, with the labels that Join adds.
	Join(d discovery.Discovery, self *discovery.Instance, logger *slog.Logger) (kv.Option, error)

	// Handler serves other members, and everybody else with next.
	Handler(next http.Handler) http.Handler

	// Listener serves other members, and returns everybody else's connections.
	Listener(l net.Listener) net.Listener

	// Leave waits until others have what this instance had, which is Draining.
	Leave(ctx context.Context) error

	Close() error
}

// WithRing keeps the key-value store in the memory of the service's instances.
// They find each other by their own registrations and talk on the port of the
// server that Run registers under the service's name, HTTP's or gRPC's. A server
// that is not made by HTTP has to leave encryption to its listener. WithKV may
// add options, but no backend.
func WithRing(r Ring) Option {
	return func(o *options) error {
		if fronts.Nil(r) {
			return errors.New("nil ring")
		}
		o.ring = r
		return nil
	}
}

// WithEvent adds options of the event stream. The default is in memory.
func WithEvent(opts ...event.Option) Option {
	return func(o *options) error { o.event = append(o.event, opts...); return nil }
}

// WithSync adds options of locks and leaders. The default is in memory.
func WithSync(opts ...sync.Option) Option {
	return func(o *options) error { o.sync = append(o.sync, opts...); return nil }
}

// WithDB adds options of the database. The default is in memory.
func WithDB(opts ...db.Option) Option {
	return func(o *options) error { o.db = append(o.db, opts...); return nil }
}
