package main

import (
	"flag"
	"net/url"
	"strings"

	"github.com/micro/go-platform/discovery"
	consuldiscovery "github.com/micro/go-platform/discovery/consul"
	etcddiscovery "github.com/micro/go-platform/discovery/etcd"
	redisdiscovery "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
	"github.com/micro/go-platform/kv/redis"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/statsd"
	dsync "github.com/micro/go-platform/sync"
	etcdsync "github.com/micro/go-platform/sync/etcd"
	redissync "github.com/micro/go-platform/sync/redis"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/zipkin"
)

// backends are the flags that choose real servers. Each is one option in a
// program that needs no choice.
type backends struct {
	kv, sync, discovery, trace, metrics string

	engines engine.Set // that they stand on: one for equal URLs
}

func (b *backends) define(f *flag.FlagSet) {
	f.StringVar(&b.kv, "kv", "", "URL of the shared key-value store: redis:// or memcached://")
	f.StringVar(&b.sync, "sync", "", "URL of the lock service: etcd:// or redis://")
	f.StringVar(&b.discovery, "discovery", "", "URL of the registry: consul://, etcd:// or redis://")
	f.StringVar(&b.trace, "trace", "", "URL of a Zipkin server: http://host:9411")
	f.StringVar(&b.metrics, "metrics", "", "URL of a statsd receiver: statsd://host:8125")
}

// describe says what the program runs on.
func (b *backends) describe() string {
	var on []string
	for _, x := range []struct{ what, url string }{
		{"kv", b.kv}, {"sync", b.sync}, {"discovery", b.discovery}, {"trace", b.trace}, {"metrics", b.metrics},
	} {
		if u, err := url.Parse(x.url); err == nil && u.Host != "" {
			on = append(on, x.what+" on "+u.Scheme+"://"+u.Host)
		}
	}
	if on == nil {
		return "everything embedded"
	}
	return strings.Join(on, ", ") + ", the rest embedded"
}

func (b *backends) kvOptions() ([]kv.Option, error) {
	return engine.Options(&b.engines, b.kv, redis.URL, memcached.URL)
}

func (b *backends) syncOptions() ([]dsync.Option, error) {
	return engine.Options(&b.engines, b.sync, etcdsync.URL, redissync.URL)
}

// discoveryOptions are those of each instance: in memory they share a registry.
func (b *backends) discoveryOptions(shared *discovery.Memory) ([]discovery.Option, error) {
	opts, err := engine.Options(&b.engines, b.discovery, consuldiscovery.URL, etcddiscovery.URL, redisdiscovery.URL)
	if len(opts) == 0 {
		opts = append(opts, discovery.WithMemory(shared))
	}
	return opts, err
}

// traceOptions always keep the newest spans in memory too, for the report.
func (b *backends) traceOptions(spans *trace.Memory) ([]trace.Option, error) {
	more, err := engine.Options(&b.engines, b.trace, engine.Scheme(func(a string) trace.Option { return zipkin.Backend(a) }, "http", "https"))
	return append(more, trace.InMemory(spans)), err
}

// metricsOptions name the service where the receiver has no other way to know it.
func (b *backends) metricsOptions(service string) ([]metrics.Option, error) {
	opts, err := engine.Options(&b.engines, b.metrics, engine.Scheme(func(a string) metrics.Option {
		return statsd.Backend(strings.TrimPrefix(a, "statsd://"))
	}, "statsd"))
	if b.metrics != "" {
		opts = append(opts, metrics.WithNamespace(service))
	}
	return opts, err
}
