package main

import (
	"errors"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/config/file"
	"github.com/micro/go-platform/config/url"
	"github.com/micro/go-platform/config/yaml"
	"github.com/micro/go-platform/db"
	"github.com/micro/go-platform/db/cassandra"
	"github.com/micro/go-platform/db/elastic"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
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
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
	"github.com/micro/go-platform/trace"
	"github.com/micro/go-platform/trace/otlp"
	"github.com/micro/go-platform/trace/zipkin"
)

// backends are the options that the flags came to: none is the embedded default.
type backends struct {
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
	choose(f, &b.kv, "kv", map[string]func(address string) kv.Option{
		"redis":     func(a string) kv.Option { return kvredis.Backend(a) },
		"memcached": func(a string) kv.Option { return memcached.Backend(a) },
		"etcd":      func(a string) kv.Option { return kvetcd.Backend(a) },
		"consul":    func(a string) kv.Option { return kvconsul.Backend(a) },
		"nats":      func(a string) kv.Option { return kvnats.Backend(a) },
		"sqlite":    func(a string) kv.Option { return kvsql.SQLite(after(a)) },
		"postgres":  func(a string) kv.Option { return kvsql.Postgres(a) },
		"mysql":     func(a string) kv.Option { return kvsql.MySQL(after(a)) },
	})
	// end snippet
	choose(f, &b.sync, "sync", map[string]func(string) dsync.Option{
		"redis":    func(a string) dsync.Option { return syncredis.Backend(a) },
		"etcd":     func(a string) dsync.Option { return syncetcd.Backend(a) },
		"consul":   func(a string) dsync.Option { return syncconsul.Backend(a) },
		"sqlite":   func(a string) dsync.Option { return syncsql.SQLite(after(a)) },
		"postgres": func(a string) dsync.Option { return syncsql.Postgres(a) },
		"mysql":    func(a string) dsync.Option { return syncsql.MySQL(after(a)) },
	})
	choose(f, &b.discovery, "discovery", map[string]func(string) discovery.Option{
		"redis":    func(a string) discovery.Option { return discoveryredis.Backend(a) },
		"etcd":     func(a string) discovery.Option { return discoveryetcd.Backend(a) },
		"consul":   func(a string) discovery.Option { return discoveryconsul.Backend(a) },
		"sqlite":   func(a string) discovery.Option { return discoverysql.SQLite(after(a)) },
		"postgres": func(a string) discovery.Option { return discoverysql.Postgres(a) },
		"mysql":    func(a string) discovery.Option { return discoverysql.MySQL(after(a)) },
	})
	choose(f, &b.db, "db", map[string]func(string) db.Option{
		"sqlite":    func(a string) db.Option { return dbsql.SQLite(after(a)) },
		"postgres":  func(a string) db.Option { return dbsql.Postgres(a) },
		"mysql":     func(a string) db.Option { return dbsql.MySQL(after(a)) },
		"cassandra": func(a string) db.Option { return cassandra.Backend(a, cassandra.WithCreate(1)) },
		"http":      func(a string) db.Option { return elastic.Backend(a) },
	})
	choose(f, &b.event, "event", map[string]func(string) event.Option{
		"redis":    func(a string) event.Option { return eventredis.Backend(a) },
		"nats":     func(a string) event.Option { return eventnats.Backend(a) },
		"kafka":    func(a string) event.Option { return eventkafka.Backend(a) },
		"sqlite":   func(a string) event.Option { return eventsql.SQLite(after(a)) },
		"postgres": func(a string) event.Option { return eventsql.Postgres(a) },
		"mysql":    func(a string) event.Option { return eventsql.MySQL(after(a)) },
	})
	choose(f, &b.config, "config", map[string]func(string) config.Option{
		"file": func(a string) config.Option {
			return config.WithSource(file.Source(after(a), file.WithFormat(yaml.Format{})))
		},
		"http":   func(a string) config.Option { return config.WithSource(url.Source(a)) },
		"etcd":   func(a string) config.Option { return config.WithSource(configetcd.Source(a, "swap")) },
		"consul": func(a string) config.Option { return config.WithSource(configconsul.Source(a, "swap")) },
	})
	choose(f, &b.trace, "trace", map[string]func(string) trace.Option{
		"zipkin": func(a string) trace.Option { return zipkin.Backend(after(a)) },
		"otlp":   func(a string) trace.Option { return otlp.Backend(after(a)) },
	})
	choose(f, &b.metrics, "metrics", map[string]func(string) metrics.Option{
		"statsd": func(a string) metrics.Option { return statsd.Backend(after(a)) },
	})
	choose(f, &b.log, "log", map[string]func(string) log.Option{
		"logstash": func(a string) log.Option { return logstash.Backend(after(a)) },
		"fluentd":  func(a string) log.Option { return fluentd.Backend(after(a), "swap") },
		"syslog":   func(a string) log.Option { return syslog.Backend(after(a)) },
	})
	if err := f.Parse(args); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, errors.New("unknown argument " + f.Arg(0))
	}
	return b, nil
}

// choose defines a flag that takes a URL and adds the option that its scheme names.
func choose[O any](f *flag.FlagSet, options *[]O, name string, schemes map[string]func(address string) O) {
	known := strings.Join(slices.Sorted(maps.Keys(schemes)), ", ")
	f.Func(name, "URL of the backend of "+name+", by its scheme: "+known, func(address string) error {
		scheme, _, ok := strings.Cut(address, "://")
		backend := schemes[scheme]
		if !ok || backend == nil {
			return fmt.Errorf("want a URL with one of the schemes %s", known)
		}
		*options = append(*options, backend(address))
		return nil
	})
}

// after is what follows the scheme.
func after(address string) string {
	_, rest, _ := strings.Cut(address, "://")
	return rest
}
