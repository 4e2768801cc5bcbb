package platform

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/life"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
	wrapperconfig "github.com/micro/go-platform/wrapper/config"
	wrapperevent "github.com/micro/go-platform/wrapper/event"
	"github.com/micro/go-platform/wrapper/store"
)

// App is one service and its parts. It is safe for concurrent use.
type App struct {
	o *options

	log       log.Log
	trace     trace.Tracer
	metrics   metrics.Metrics
	monitor   monitor.Monitor
	discovery discovery.Discovery
	router    router.Router
	auth      auth.Auth
	wrapper   *wrapper.Wrapper
	config    config.Config
	kv        kv.KV
	event     event.Stream
	sync      sync.Sync
	db        db.DB

	servers servers
	there   expected
	own     atomic.Pointer[discovery.Registration] // under the service's name, with a ring
	ran     atomic.Bool
	life    *life.Life
	// What is closed after the wrapper and what that closes, in reverse.
	closers []closer
	// The same of the wrapper's own parts, while there is no wrapper.
	early []closer
}

// New opens the parts of a service. Close or Run closes them.
func New(service string, opts ...Option) (*App, error) {
	o, err := newOptions(service, opts)
	if err != nil {
		return nil, fault.Wrap("platform", "new", service, err)
	}
	if o.self.ID == "" {
		o.self.ID = rand.Text()
	}
	a := &App{o: o, life: life.New()}
	if err := a.open(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), o.stop)
		defer cancel()
		closeAll(ctx, a.early)
		closeAll(ctx, a.closers)
		return nil, fault.Wrap("platform", "new", service, err)
	}
	return a, nil
}

// open opens the parts in the order in which they stand on each other.
func (a *App) open() error {
	for _, step := range []func() error{a.openLog, a.openSignals, a.openCalls, a.openData, a.openWrapper} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) openLog() error {
	if t := a.o.telemetry; t != nil {
		a.o.log = append(t.Log(a.attrs()...), a.o.log...)
		a.o.trace = append(t.Trace(a.attrs()...), a.o.trace...)
		a.o.metrics = append(t.Metrics(a.attrs()...), a.o.metrics...)
	}
	l, err := log.New(append([]log.Option{log.WithContext(trace.ContextAttrs)}, a.o.log...)...)
	if err != nil {
		return err
	}
	a.early = append(a.early, closer{"log", l.Close})
	a.log = named{l, a.attrs()}
	return nil
}

// attrs is the service's identity under OpenTelemetry's names.
func (a *App) attrs() []slog.Attr {
	attrs := []slog.Attr{slog.String("service.name", a.o.self.Service), slog.String("service.instance.id", a.o.self.ID)}
	if v := a.o.self.Version; v != "" {
		attrs = append(attrs, slog.String("service.version", v))
	}
	return attrs
}

// resource is attrs as metrics take them.
func resource(attrs []slog.Attr) []metrics.Label {
	labels := make([]metrics.Label, len(attrs))
	for i, at := range attrs {
		labels[i] = metrics.Label{Key: at.Key, Value: at.Value.String()}
	}
	return labels
}

func (a *App) openSignals() error {
	o := a.o
	var err error
	a.trace, err = trace.New(append([]trace.Option{
		trace.WithService(o.self.Service), trace.WithLogger(a.Logger("trace")),
	}, o.trace...)...)
	if err != nil {
		return err
	}
	a.early = append(a.early, closer{"trace", a.trace.Close})
	a.metrics, err = metrics.New(append([]metrics.Option{
		metrics.WithRuntime(), metrics.WithLogger(a.Logger("metrics")), metrics.WithResource(resource(a.attrs())...),
	}, o.metrics...)...)
	if err != nil {
		return err
	}
	a.early = append(a.early, closer{"metrics", a.metrics.Close})
	a.monitor, err = monitor.New(append([]monitor.Option{
		monitor.WithInstance(monitor.Instance{ID: o.self.ID, Service: o.self.Service, Version: o.self.Version, Zone: o.self.Zone}),
		monitor.WithPhase(monitor.Starting), monitor.WithLogger(a.Logger("monitor")), monitor.WithExpected(a.there.of),
	}, o.monitor...)...)
	if err != nil {
		return err
	}
	a.early = append(a.early, closer{"monitor", a.monitor.Close})
	return nil
}

func (a *App) openCalls() error {
	o := a.o
	var err error
	a.discovery, err = discovery.New(append([]discovery.Option{discovery.WithLogger(a.Logger("discovery"))}, o.discovery...)...)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, without("discovery", a.discovery.Close))
	a.there.registry.Store(&a.discovery)
	routing := []router.Option{
		router.WithDiscovery(a.discovery), router.WithPeers(o.self.Service, o.self.ID), router.WithLogger(a.Logger("router")),
	}
	if o.self.Zone != "" {
		routing = append(routing, router.WithZone(o.self.Zone))
	}
	a.router, err = router.New(append(routing, o.router...)...)
	if err != nil {
		return err
	}
	a.early = append(a.early, closer{"router", a.router.Close})
	if len(o.auth) == 0 {
		return nil
	}
	a.auth, err = auth.New(append([]auth.Option{auth.WithService(o.self.Service), auth.WithLogger(a.Logger("auth"))}, o.auth...)...)
	if err != nil {
		return err
	}
	a.early = append(a.early, without("auth", a.auth.Close))
	return nil
}

func (a *App) openData() error {
	o := a.o
	var err error
	a.config, err = config.New(append([]config.Option{config.WithLogger(a.Logger("config"))}, o.config...)...)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, without("config", a.config.Close))
	store := []kv.Option{kv.WithLogger(a.Logger("kv"))}
	if o.ring != nil {
		backend, err := o.ring.Join(a.discovery, &o.self, a.Logger("kv"))
		if err != nil {
			return err
		}
		a.closers = append(a.closers, without("ring", o.ring.Close))
		store = append(store, backend, kv.WithLazy()) // it is no member until Run registers it
	}
	a.kv, err = kv.New(append(store, o.kv...)...)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, without("kv", a.kv.Close))
	a.sync, err = sync.New(append([]sync.Option{sync.WithLogger(a.Logger("sync"))}, o.sync...)...)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, without("sync", a.sync.Close))
	a.db, err = db.New(o.db...)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, without("db", a.db.Close))
	a.event, err = event.New(append([]event.Option{event.WithSource(o.self.Service), event.WithLogger(a.Logger("event"))}, o.event...)...)
	if err != nil {
		return err
	}
	a.closers = append(a.closers, closer{"event", a.event.Close})
	return nil
}

func (a *App) openWrapper() error {
	opts := []wrapper.Option{
		wrapper.WithName(a.o.self.Service), wrapper.WithLog(a.log), wrapper.WithTrace(a.trace), wrapper.WithMetrics(a.metrics),
		wrapper.WithMonitor(a.monitor), wrapper.WithRouter(a.router), wrapper.WithDiscovery(a.discovery),
		wrapper.WithOnDrain(func(ctx context.Context) error { return a.servers.shutdown(ctx, a.guard, listens) }),
		wrapper.WithOnClose(func(ctx context.Context) error { return a.servers.shutdown(ctx, a.guard, works) }),
	}
	if a.auth != nil {
		opts = append(opts, wrapper.WithAuth(a.auth))
	}
	if len(a.o.discovery) > 0 { // a registry that others read
		opts = append(opts, wrapper.WithDrain(time.Second))
	}
	var err error
	a.wrapper, err = wrapper.New(append(opts, a.o.wrapper...)...)
	if err != nil {
		return err
	}
	a.observe()
	return nil
}

// observe puts the middleware around the stores and the stream, and keeps metrics
// of the configuration. What is closed is still what was opened.
func (a *App) observe() {
	a.kv = store.KV(a.wrapper, a.kv, a.kv.Features().Backend)
	a.sync = store.Sync(a.wrapper, a.sync, a.sync.Features().Backend)
	a.db = store.DB(a.wrapper, a.db, a.db.Features().Backend)
	a.event = wrapperevent.Stream(a.wrapper, a.event)
	stop := wrapperconfig.Measure(a.metrics, a.config)
	a.closers = append(a.closers, without("config", func() error { stop(); return nil }))
}

// closer closes a part.
type closer struct {
	part  string
	close func(context.Context) error
}

// without is the closer of a part whose close takes no context.
func without(part string, f func() error) closer {
	return closer{part, func(context.Context) error { return f() }}
}

// closeAll calls all in reverse. What ctx leaves no time for is begun at the same
// time, and has a second: what need not wait for a backend is done by then, and what
// does is left behind.
func closeAll(ctx context.Context, all []closer) error {
	errs, done := make([]error, len(all)), make([]chan struct{}, len(all))
	for i, c := range slices.Backward(all) {
		done[i] = make(chan struct{})
		go func() {
			defer close(done[i])
			errs[i] = fault.Guard(func() error { return c.close(ctx) })
		}()
		select {
		case <-done[i]:
		case <-ctx.Done():
		}
	}
	var lost []error
	second, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	for i, c := range slices.Backward(all) {
		select {
		case <-done[i]:
		case <-second.Done():
		}
		select {
		case <-done[i]:
			lost = append(lost, errs[i])
		default:
			lost = append(lost, fmt.Errorf("%s is not closed: %w", c.part, ctx.Err()))
		}
	}
	return errors.Join(lost...)
}

// Close closes the parts of an App. A Run in progress stops as on a signal. Its error
// says what was lost. It is idempotent.
func (a *App) Close(ctx context.Context) error {
	return a.life.Close(func() error {
		a.leave(ctx)
		return fault.Wrap("platform", "close", a.o.self.Service, errors.Join(a.wrapper.Close(ctx), closeAll(ctx, a.closers)))
	})
}

// Logger returns a logger whose records carry the service's identity, and name.
func (a *App) Logger(name string, attrs ...slog.Attr) *slog.Logger {
	return a.log.Logger(name, attrs...)
}

// Client returns the HTTP client that finds services by name, balances, retries,
// traces and authenticates: http://greeter/hello.
func (a *App) Client() *http.Client { return a.wrapper.Client() }

// Wrapper returns the middleware, for whoever puts it around something else.
func (a *App) Wrapper() *wrapper.Wrapper { return a.wrapper }

// Log returns the log.
func (a *App) Log() log.Log { return a.log }

// Trace returns the tracer.
func (a *App) Trace() trace.Tracer { return a.trace }

// Metrics returns the metrics.
func (a *App) Metrics() metrics.Metrics { return a.metrics }

// Monitor returns the monitor, for checks of your own.
func (a *App) Monitor() monitor.Monitor { return a.monitor }

// Discovery returns the registry.
func (a *App) Discovery() discovery.Discovery { return a.discovery }

// Router returns the client's router.
func (a *App) Router() router.Router { return a.router }

// Auth returns what WithAuth opened, or nil.
func (a *App) Auth() auth.Auth { return a.auth }

// Config returns the configuration.
func (a *App) Config() config.Config { return a.config }

// KV returns the key-value store, observed as package wrapper/store does.
func (a *App) KV() kv.KV { return a.kv }

// Event returns the event stream, within the middleware: see package wrapper/event.
func (a *App) Event() event.Stream { return a.event }

// Sync returns locks and leaders, observed as package wrapper/store does.
func (a *App) Sync() sync.Sync { return a.sync }

// DB returns the database, observed as package wrapper/store does.
func (a *App) DB() db.DB { return a.db }

// named is a log whose records all carry attrs.
type named struct {
	log.Log
	attrs []slog.Attr
}

func (n named) Logger(name string, attrs ...slog.Attr) *slog.Logger {
	return n.Log.Logger(name, slices.Concat(n.attrs, attrs)...)
}

func (n named) Handler() slog.Handler { return n.Log.Handler().WithAttrs(n.attrs) }
