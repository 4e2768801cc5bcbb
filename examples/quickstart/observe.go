package main

import (
	"context"
	"net/http"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/metrics/prometheus"
	"github.com/micro/go-platform/monitor"
	"github.com/micro/go-platform/monitor/checks"
	wconfig "github.com/micro/go-platform/wrapper/config"
	wevent "github.com/micro/go-platform/wrapper/event"
	wstore "github.com/micro/go-platform/wrapper/store"
)

// observe puts the middleware around what the instances share, and measures what
// it does not see: the configuration, and whether the store answers.
func (in *instance) observe(ctx context.Context) error {
	in.store = wstore.KV(in.w, in.c.store, in.c.store.Features().Backend)
	in.stream = wevent.Stream(in.w, in.c.stream)
	stop := wconfig.Measure(in.metrics, in.settings)
	in.owns(func(context.Context) error { stop(); return nil })
	if in.service == "names" { // they count what the greeters say
		count := func(ctx context.Context, r *event.Record) error {
			_, err := in.store.Add(ctx, "told/"+string(r.Data), 1)
			return err
		}
		if _, err := in.stream.Subscribe(ctx, count, event.Group("names"), event.Types("greeting.made")); err != nil {
			return err
		}
	}
	return in.monitor.Register(monitor.Check{Name: "store", Dependency: "store", Interval: time.Second, Func: checks.KV(in.c.store, "told/Ada")})
}

// pages are the metrics, for a scraper without a token, and the service within
// the middleware.
func (in *instance) pages() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", prometheus.Handler(in.metrics))
	mux.Handle("/", in.w.Handler(in.handler()))
	return mux
}

// scraped returns where a Prometheus finds the metrics of all instances.
func (c *cluster) scraped() []string {
	targets := []string{c.client.address}
	for _, id := range c.order {
		targets = append(targets, c.instances[id].address)
	}
	return targets
}
