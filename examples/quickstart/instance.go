package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/page"
	"github.com/micro/go-platform/router"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/wrapper"
)

// instance is one copy of a service, with parts of its own, as a process has.
type instance struct {
	id, service string
	address     string
	c           *cluster
	settings    config.Config
	log         log.Log
	registry    discovery.Discovery
	router      router.Router
	monitor     monitor.Monitor
	metrics     metrics.Metrics
	trace       trace.Tracer
	w           *wrapper.Wrapper
	store       kv.KV        // the cluster's, observed
	stream      event.Stream // the cluster's, within the middleware
	server      *http.Server
	calls       atomic.Int64
	parts       []func(context.Context) error // how to close what was opened

	dead  chan struct{} // closed by kill
	beats sync.WaitGroup
}

// start puts the parts of one instance together: this is the wiring that a
// service of your own needs.
func (c *cluster) start(ctx context.Context, service, id string) (in *instance, err error) {
	in = &instance{id: id, service: service, c: c, dead: make(chan struct{})}
	defer func() {
		if err != nil {
			in.close(ctx)
		}
	}()
	registry, err := c.backends.discoveryOptions(c.registry)
	if err != nil {
		return in, err
	}
	tracing, err := c.backends.traceOptions(c.spans)
	if err != nil {
		return in, err
	}
	counting, err := c.backends.metricsOptions(service)
	if err != nil {
		return in, err
	}
	in.settings, err = config.New(config.WithSource(c.settings.Source("quickstart")))
	if err != nil {
		return in, err
	}
	in.owns(func(context.Context) error { return in.settings.Close() })
	in.log, err = log.New(log.ToWriter(io.Discard, log.JSON()))
	if err != nil {
		return in, err
	}
	in.owns(in.log.Close)
	in.registry, err = discovery.New(append(registry, discovery.WithNamespace("quickstart"))...)
	if err != nil {
		return in, err
	}
	in.owns(func(context.Context) error { return in.registry.Close() })
	in.router, err = router.New(router.WithDiscovery(in.registry), router.WithClient(id), router.WithBreakers(router.Breakers{}))
	if err != nil {
		return in, err
	}
	in.owns(in.router.Close)
	in.metrics, err = metrics.New(append(counting, metrics.WithRuntime(), metrics.WithResource(metrics.Label{Key: "service.name", Value: service}, metrics.Label{Key: "service.instance.id", Value: id}))...)
	if err != nil {
		return in, err
	}
	in.owns(in.metrics.Close)
	in.trace, err = trace.New(append(tracing, trace.WithService(service))...)
	if err != nil {
		return in, err
	}
	in.owns(in.trace.Close)
	au, err := auth.New(auth.Local(c.authority), auth.WithService(service), auth.WithRules(
		auth.Rule{ID: "client", Effect: auth.Allow, Subjects: []string{"client"}, Services: []string{"greeter"}},
		auth.Rule{ID: "greeter", Effect: auth.Allow, Subjects: []string{"greeter"}, Services: []string{"names"}},
	))
	if err != nil {
		return in, err
	}
	in.monitor, err = monitor.New(monitor.WithDriver("memory", in.reports), monitor.WithInstance(monitor.Instance{ID: id, Service: service}),
		monitor.WithInterval(300*time.Millisecond), monitor.WithExpected(in.expected))
	if err != nil {
		return in, err
	}
	in.owns(in.monitor.Close)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return in, err
	}
	in.server = &http.Server{}
	options := []wrapper.Option{
		wrapper.WithName(service), wrapper.WithLog(in.log), wrapper.WithTrace(in.trace), wrapper.WithMetrics(in.metrics),
		wrapper.WithMonitor(in.monitor), wrapper.WithAuth(au), wrapper.WithRouter(in.router), wrapper.WithDiscovery(in.registry),
		wrapper.WithOnDrain(in.server.Shutdown),
	}
	if service != "client" {
		reg, err := in.registry.Register(ctx, discovery.Instance{ID: id, Service: service, Address: l.Addr().String()},
			discovery.TTL(registrationTTL), discovery.NoHeartbeat())
		if err != nil {
			return in, errors.Join(err, l.Close())
		}
		in.beats.Go(func() { in.beat(reg) })
		options = append(options, wrapper.WithRegistration(reg), wrapper.WithDrain(10*time.Millisecond))
	}
	in.w, err = wrapper.New(options...)
	if err != nil {
		return in, errors.Join(err, l.Close())
	}
	if err := in.observe(ctx); err != nil {
		return in, errors.Join(err, l.Close())
	}
	in.address, in.server.Handler = l.Addr().String(), in.pages()
	go in.server.Serve(l)
	return in, nil
}

// registrationTTL is how long a registry knows an instance that went silent.
const registrationTTL = 2 * time.Second

// beat keeps the instance registered while it is not dead. A real instance
// leaves that to Register, and dies for real.
func (in *instance) beat(reg discovery.Registration) {
	tick := time.NewTicker(registrationTTL / 4)
	defer tick.Stop()
	for {
		select {
		case <-in.dead:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), registrationTTL)
			reg.Update(ctx, func(*discovery.Instance) {}) // a failure shows in reg.Err and is mended by the next
			cancel()
		}
	}
}

// reports opens the driver of the monitor, which falls silent with its instance.
func (in *instance) reports(context.Context) (monitor.Driver, error) {
	return mortal{in.c.reports.Driver(), in.dead}, nil
}

type mortal struct {
	monitor.Driver
	dead <-chan struct{}
}

func (m mortal) Publish(ctx context.Context, r monitor.Report) error {
	select {
	case <-m.dead:
		return nil
	default:
		return m.Driver.Publish(ctx, r)
	}
}

// handler is the service itself.
func (in *instance) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", in.monitor.Handler())
	switch in.service {
	case "greeter":
		mux.HandleFunc("GET /hello/{name}", in.hello)
	case "names":
		mux.HandleFunc("GET /title/{name}", in.title)
	}
	return mux
}

// hello greets by the title that the names service knows, and counts.
func (in *instance) hello(rw http.ResponseWriter, r *http.Request) {
	in.calls.Add(1)
	name := r.PathValue("name")
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, "http://names/title/"+name, nil)
	if err != nil {
		http.Error(rw, err.Error(), http.StatusBadRequest)
		return
	}
	resp, err := in.w.Client().Do(ask)
	if err != nil {
		http.Error(rw, "names: "+err.Error(), http.StatusBadGateway)
		return
	}
	defer resp.Body.Close()
	title, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if err != nil || resp.StatusCode != http.StatusOK {
		http.Error(rw, "names: "+resp.Status, http.StatusBadGateway)
		return
	}
	n, err := in.store.Add(r.Context(), "greeted/"+name, 1)
	if err == nil {
		err = in.stream.Publish(r.Context(), &event.Record{Type: "greeting.made", Data: []byte(name)})
	}
	if err != nil {
		http.Error(rw, err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(rw, "Hello %s %s, for the %d. time", title, name, n)
}

// title is slow where the configuration says so.
func (in *instance) title(rw http.ResponseWriter, r *http.Request) {
	in.calls.Add(1)
	if d := in.settings.Get(config.Path("slow", in.id)).Duration(0); d > 0 {
		select {
		case <-time.After(d):
		case <-r.Context().Done():
			return
		}
	}
	io.WriteString(rw, "Dr.")
}

// expected tells the monitor which instances discovery knows.
func (in *instance) expected(service string) ([]string, bool) {
	s, ok := in.registry.Lookup(service)
	ids := make([]string, len(s.Instances))
	for i := range s.Instances {
		ids[i] = s.Instances[i].ID
	}
	return ids, ok
}

// page shows what this instance knows, to anybody on this machine.
func (in *instance) page() (http.Handler, error) {
	p, err := page.New(in.monitor, page.WithTitle("quickstart"), page.WithDiscovery(in.registry), page.WithRouter(in.router), page.WithTrace(in.trace),
		page.WithEvents(in.c.stream), page.WithConfig(in.settings), page.WithDocuments(in.c.settings), page.WithSync(in.c.locks), page.WithLog(in.log),
		page.WithAccess(func(*http.Request) page.Access { return page.Write })) // it is reached from this machine only
	if err != nil {
		return nil, err
	}
	in.owns(func(context.Context) error { return p.Close() })
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", prometheus.Handler(in.metrics))
	mux.Handle("/", p)
	return mux, nil
}

// kill does what kill -9 does to a process: its connections are cut, its
// heartbeats and reports end, and nobody is told.
func (in *instance) kill() error {
	close(in.dead)
	return in.server.Close()
}

// owns notes how to close a part.
func (in *instance) owns(f func(context.Context) error) { in.parts = append(in.parts, f) }

func (in *instance) close(ctx context.Context) error {
	var errs []error
	select {
	case <-in.dead:
	default:
		close(in.dead)
	}
	in.beats.Wait()
	if in.w != nil {
		errs = append(errs, in.w.Close(ctx))
	}
	for _, f := range slices.Backward(in.parts) { // what the wrapper closed is closed twice, to no effect
		errs = append(errs, f(ctx))
	}
	return errors.Join(errs...)
}
