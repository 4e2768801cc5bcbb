package main

import (
	"flag"
	"fmt"
	"net/url"
	"strings"

	"github.com/micro/go-platform/discovery"
	consuldiscovery "github.com/micro/go-platform/discovery/consul"
	etcddiscovery "github.com/micro/go-platform/discovery/etcd"
	redisdiscovery "github.com/micro/go-platform/discovery/redis"
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
type backends struct{ kv, sync, discovery, trace, metrics string }

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

// choose finds the option for a URL by its scheme; none for an empty URL.
func choose[T any](what, address string, schemes map[string]func(string) T, embedded ...T) ([]T, error) {
	if address == "" {
		return embedded, nil
	}
	scheme, _, ok := strings.Cut(address, "://")
	open := schemes[scheme]
	if !ok || open == nil {
		var known []string
		for s := range schemes {
			known = append(known, s+"://")
		}
		return nil, fmt.Errorf("-%s: unknown scheme in %q, want one of %s", what, address, strings.Join(known, " "))
	}
	return []T{open(address)}, nil
}

func (b *backends) kvOptions() ([]kv.Option, error) {
	return choose("kv", b.kv, map[string]func(string) kv.Option{
		"redis":     func(a string) kv.Option { return redis.Backend(a) },
		"memcached": func(a string) kv.Option { return memcached.Backend(a) },
	})
}

func (b *backends) syncOptions() ([]dsync.Option, error) {
	return choose("sync", b.sync, map[string]func(string) dsync.Option{
		"etcd":  func(a string) dsync.Option { return etcdsync.Backend(a) },
		"redis": func(a string) dsync.Option { return redissync.Backend(a) },
	})
}

// discoveryOptions are those of each instance: in memory they share a registry.
func (b *backends) discoveryOptions(shared *discovery.Memory) ([]discovery.Option, error) {
	return choose("discovery", b.discovery, map[string]func(string) discovery.Option{
		"consul": func(a string) discovery.Option { return consuldiscovery.Backend(a) },
		"etcd":   func(a string) discovery.Option { return etcddiscovery.Backend(a) },
		"redis":  func(a string) discovery.Option { return redisdiscovery.Backend(a) },
	}, discovery.WithMemory(shared))
}

// traceOptions always keep the newest spans in memory too, for the report.
func (b *backends) traceOptions(spans *trace.Memory) ([]trace.Option, error) {
	http := func(a string) trace.Option { return zipkin.Backend(a) }
	more, err := choose("trace", b.trace, map[string]func(string) trace.Option{"http": http, "https": http})
	return append(more, trace.InMemory(spans)), err
}

// metricsOptions name the service where the receiver has no other way to know it.
func (b *backends) metricsOptions(service string) ([]metrics.Option, error) {
	opts, err := choose("metrics", b.metrics, map[string]func(string) metrics.Option{
		"statsd": func(a string) metrics.Option { return statsd.Backend(strings.TrimPrefix(a, "statsd://")) },
	})
	if b.metrics != "" {
		opts = append(opts, metrics.WithNamespace(service))
	}
	return opts, err
}
