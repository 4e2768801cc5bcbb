package main

import (
	"flag"
	"net/url"
	"strings"

	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/kubernetes"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/statsd"
	dsync "github.com/micro/go-platform/sync"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	synckubernetes "github.com/micro/go-platform/sync/kubernetes"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/zipkin"
)

// backends are the flags that choose real servers. Each is one option in a
// program that needs no choice.
type backends struct {
	kv, sync, discovery, event, trace, metrics string

	engines engine.Set // that they stand on: one for equal URLs
}

func (b *backends) define(f *flag.FlagSet) {
	f.StringVar(&b.kv, "kv", "", "URL of the shared key-value store: redis://, memcached://, nats://, postgres:// or mysql://")
	f.StringVar(&b.sync, "sync", "", "URL of the lock service: etcd://, redis://, postgres://, mysql:// or kubeconfig:")
	f.StringVar(&b.discovery, "discovery", "", "URL of the registry: consul://, etcd://, redis://, postgres://, mysql:// or kubeconfig: with a namespace quickstart")
	f.StringVar(&b.event, "event", "", "URL of the stream of events: kafka://, amqp://, nats://, redis://, postgres:// or mysql://")
	f.StringVar(&b.trace, "trace", "", "URL of a Zipkin server: http://host:9411")
	f.StringVar(&b.metrics, "metrics", "", "URL of a statsd receiver: statsd://host:8125")
}

// describe says what the program runs on.
func (b *backends) describe() string {
	var on []string
	for _, x := range []struct{ what, url string }{
		{"kv", b.kv}, {"sync", b.sync}, {"discovery", b.discovery}, {"event", b.event}, {"trace", b.trace}, {"metrics", b.metrics},
	} {
		switch u, err := url.Parse(x.url); {
		case err != nil || x.url == "":
		case u.Host != "":
			on = append(on, x.what+" on "+u.Scheme+"://"+u.Host)
		default:
			on = append(on, x.what+" on "+x.url)
		}
	}
	if on == nil {
		return "everything embedded"
	}
	return strings.Join(on, ", ") + ", the rest embedded"
}

func (b *backends) kvOptions() ([]kv.Option, error) {
	return engine.Options(&b.engines, b.kv, kvredis.URL, memcached.URL, kvnats.URL, kvsql.URL)
}

func (b *backends) syncOptions() ([]dsync.Option, error) {
	return engine.Options(&b.engines, b.sync, syncetcd.URL, syncredis.URL, syncsql.URL, synckubernetes.URL)
}

// discoveryOptions are those of each instance: in memory they share a registry.
func (b *backends) discoveryOptions(shared *discovery.Registry) ([]discovery.Option, error) {
	opts, err := engine.Options(&b.engines, b.discovery, discoveryconsul.URL, discoveryetcd.URL, discoveryredis.URL, discoverysql.URL, registering)
	if len(opts) == 0 {
		opts = append(opts, discovery.Memory(shared))
	}
	return opts, err
}

// registering is discovery on Kubernetes for instances that run outside of it.
func registering(c *engine.Choice) discovery.Option {
	e, ok := kubernetes.URL(c)
	if !ok {
		return nil
	}
	return discoverykubernetes.On(e, discoverykubernetes.WithRegistration())
}

func (b *backends) eventOptions() ([]event.Option, error) {
	return engine.Options(&b.engines, b.event, eventkafka.URL, eventrabbitmq.URL, eventnats.URL, eventredis.URL, eventsql.URL)
}

// traceOptions always keep the newest spans in memory too, for the report.
func (b *backends) traceOptions(spans *trace.Store) ([]trace.Option, error) {
	more, err := engine.Options(&b.engines, b.trace, engine.Scheme(func(a string) trace.Option { return zipkin.Backend(a) }, "http", "https"))
	return append(more, trace.Memory(spans)), err
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
