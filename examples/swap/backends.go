package main

import (
	"errors"
	"flag"
	"strings"

	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/config/file"
	configkubernetes "github.com/micro/go-platform/config/kubernetes"
	"github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/config/yaml"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoverykubernetes "github.com/micro/go-platform/discovery/kubernetes"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/kv/memcached"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/log"
	"github.com/micro/go-platform/log/fluentd"
	"github.com/micro/go-platform/log/logstash"
	"github.com/micro/go-platform/log/syslog"
	"github.com/micro/go-platform/metrics"
	"github.com/micro/go-platform/metrics/statsd"
	dsync "github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	synckubernetes "github.com/micro/go-platform/sync/kubernetes"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/zipkin"
)

// backends are the options that the flags came to: none is the embedded default.
type backends struct {
	engines   engine.Set // that they stand on: one for equal URLs
	kv        []kv.Option
	sync      []dsync.Option
	discovery []discovery.Option
	db        []db.Option
	event     []event.Option
	config    []config.Option
	trace     []trace.Option
	metrics   []metrics.Option
	log       []log.Option
}

func parse(args []string) (*backends, error) {
	f := flag.NewFlagSet("swap", flag.ContinueOnError)
	b := &backends{}
	// snippet: swap
	choose(f, b, &b.kv, "kv", kvredis.URL, kvetcd.URL, kvconsul.URL, kvnats.URL, kvsql.URL, memcached.URL)
	choose(f, b, &b.sync, "sync", syncredis.URL, syncetcd.URL, syncconsul.URL, synckubernetes.URL, syncsql.URL)
	choose(f, b, &b.discovery, "discovery", discoveryredis.URL, discoveryetcd.URL, discoveryconsul.URL, discoverykubernetes.URL, discoverysql.URL)
	choose(f, b, &b.event, "event", eventredis.URL, eventnats.URL, eventkafka.URL, eventrabbitmq.URL, eventsql.URL)
	choose(f, b, &b.db, "db", dbsql.URL, elastic.URL, engine.Scheme(func(a string) db.Option { return cassandra.Backend(a, cassandra.WithCreate(1)) }, "cassandra"))
	// end snippet
	choose(f, b, &b.config, "config", configetcd.URL("swap"), configconsul.URL("swap"), configkubernetes.URL("configmap/swap"),
		engine.Scheme(func(a string) config.Option { return config.WithSource(url.Source(a)) }, "http", "https"),
		engine.Scheme(func(a string) config.Option {
			return config.WithSource(file.Source(after(a), file.WithFormat(yaml.Format{})))
		}, "file"))
	choose(f, b, &b.trace, "trace",
		engine.Scheme(func(a string) trace.Option { return zipkin.Backend(after(a)) }, "zipkin"),
		engine.Scheme(func(a string) trace.Option { return otlp.Backend(after(a)) }, "otlp"))
	choose(f, b, &b.metrics, "metrics", engine.Scheme(func(a string) metrics.Option { return statsd.Backend(after(a)) }, "statsd"))
	choose(f, b, &b.log, "log",
		engine.Scheme(func(a string) log.Option { return logstash.Backend(after(a)) }, "logstash"),
		engine.Scheme(func(a string) log.Option { return fluentd.Backend(after(a), "swap") }, "fluentd"),
		engine.Scheme(func(a string) log.Option { return syslog.Backend(after(a)) }, "syslog"))
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, errors.New("unknown argument " + f.Arg(0))
	}
	return b, nil
}

// snippet: choose
// choose defines a flag that takes the URL of a backend.
func choose[O any](f *flag.FlagSet, b *backends, options *[]O, name string, known ...func(*engine.Choice) O) {
	f.Func(name, "URL of the backend of "+name, func(url string) (err error) {
		*options, err = engine.Options(&b.engines, url, known...)
		return err
	})
}

// end snippet

// after is what follows the scheme.
func after(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	return rest
}
