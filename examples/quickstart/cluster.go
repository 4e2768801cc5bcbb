package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/micro/go-platform/auth"
	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/discovery"
	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
	dsync "github.com/micro/go-platform/sync"
	"github.com/micro/go-platform/trace"
	wstore "github.com/micro/go-platform/wrapper/store"
)

// cluster is what the instances share, as processes share servers, and the
// instances.
type cluster struct {
	backends  *backends
	registry  *discovery.Registry
	reports   *monitor.Reports
	authority *auth.Authority
	spans     *trace.Store
	settings  store.Store
	store     kv.KV
	locks     dsync.Sync
	held      dsync.Sync // locks, as the client has them: observed
	stream    event.Stream

	client    *instance // takes no calls: it makes the load
	instances map[string]*instance
	order     []string
	page      string
	shares    []share // of each phase
	server    *http.Server
}

func newCluster(ctx context.Context, b *backends, page string) (c *cluster, err error) {
	c = &cluster{
		backends: b, registry: discovery.NewRegistry(), reports: monitor.NewReports(), authority: auth.NewAuthority(),
		spans: trace.NewStore(20000, time.Hour), instances: map[string]*instance{},
	}
	defer func() {
		if err != nil {
			c.close()
			c = nil
		}
	}()
	kvOptions, err := b.kvOptions()
	if err != nil {
		return c, err
	}
	syncOptions, err := b.syncOptions()
	if err != nil {
		return c, err
	}
	eventOptions, err := b.eventOptions()
	if err != nil {
		return c, err
	}
	c.store, err = kv.New(append(kvOptions, kv.WithNamespace("quickstart"))...)
	if err != nil {
		return c, err
	}
	c.locks, err = dsync.New(append(syncOptions, dsync.WithNamespace("quickstart"))...)
	if err != nil {
		return c, err
	}
	c.settings, err = store.New()
	if err != nil {
		return c, err
	}
	_, err = c.settings.Put(ctx, "quickstart", map[string]any{"slow": map[string]any{}}, store.Author("quickstart"), store.Comment("no instance is slow"))
	if err != nil {
		return c, err
	}
	c.stream, err = event.New(append(eventOptions, event.WithNamespace("quickstart"), event.WithSource("quickstart"))...)
	if err != nil {
		return c, err
	}
	for _, service := range []string{"names", "greeter"} {
		for n := range 3 {
			in, err := c.start(ctx, service, fmt.Sprintf("%s-%d", service, n+1))
			if err != nil {
				return c, err
			}
			c.instances[in.id] = in
			c.order = append(c.order, in.id)
		}
	}
	c.client, err = c.start(ctx, "client", "client")
	if err != nil {
		return c, err
	}
	c.held = wstore.Sync(c.client.w, c.locks, c.locks.Features().Backend)
	for _, service := range []string{"greeter", "names"} { // the client follows what it shows
		if _, err := c.client.registry.Get(ctx, service); err != nil {
			return c, err
		}
	}
	return c, c.servePage(page)
}

// about says what runs, and what to try next.
func (c *cluster) about() string {
	return fmt.Sprintf(`quickstart: two services with three instances each, and a client that calls greeter, which calls names; %s
the cluster as a page: http://%s/
for Prometheus: /metrics at %s
try, while it runs (-stay keeps it running):
  curl http://%[2]s/api/overview
  curl http://%[4]s/metrics
Ctrl-C ends it.

`, c.backends.describe(), c.page, strings.Join(c.scraped(), " "), c.instances["greeter-1"].address)
}

// servePage shows the cluster as the client sees it.
func (c *cluster) servePage(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	c.page = l.Addr().String()
	h, err := c.client.page()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	c.server = &http.Server{Handler: h}
	go c.server.Serve(l)
	return nil
}

// kill ends an instance as kill -9 would: nothing is deregistered.
func (c *cluster) kill(id string) error {
	in := c.instances[id]
	if in == nil {
		return fmt.Errorf("no instance %q", id)
	}
	return in.kill()
}

// tell publishes what happens to the event stream.
func (c *cluster) tell(what string) {
	c.stream.Publish(context.Background(), &event.Record{Type: "quickstart.chapter", Data: []byte(what)})
}

func (c *cluster) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	var errs []error
	if c.server != nil {
		errs = append(errs, c.server.Close())
	}
	if c.client != nil {
		errs = append(errs, c.client.close(ctx))
	}
	for _, id := range c.order {
		errs = append(errs, c.instances[id].close(ctx))
	}
	if c.stream != nil {
		errs = append(errs, c.stream.Close(ctx))
	}
	if c.settings != nil {
		errs = append(errs, c.settings.Close())
	}
	if c.locks != nil {
		errs = append(errs, c.locks.Close())
	}
	if c.store != nil {
		errs = append(errs, c.store.Close())
	}
	if c.backends != nil {
		errs = append(errs, c.backends.engines.Close())
	}
	return errors.Join(errs...)
}
