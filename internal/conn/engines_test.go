package conn_test

import (
	"github.com/micro/go-platform/config"
	configconsul "github.com/micro/go-platform/config/consul"
	configetcd "github.com/micro/go-platform/config/etcd"
	"github.com/micro/go-platform/db"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine/consul"
	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/engine/nats"
	"github.com/micro/go-platform/engine/redis"
	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	eventnats "github.com/micro/go-platform/event/nats"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	"github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
)

// standing is a backend that stands on an engine E. open opens it, asking the
// server unless lazy, and closes it.
type standing[E any] struct {
	name string
	open func(e E, lazy bool) error
}

func openKV(o kv.Option, lazy bool) error {
	opts := []kv.Option{o, kv.WithTimeout(limit), kv.WithDialTimeout(limit)}
	if lazy {
		opts = append(opts, kv.WithLazy())
	}
	return closed(kv.New(opts...))
}

func openSync(o sync.Option, lazy bool) error {
	opts := []sync.Option{o, sync.WithTimeout(limit)}
	if lazy {
		opts = append(opts, sync.WithLazy())
	}
	return closed(sync.New(opts...))
}

func openDiscovery(o discovery.Option, lazy bool) error {
	opts := []discovery.Option{o, discovery.WithTimeout(limit)}
	if lazy {
		opts = append(opts, discovery.WithLazy())
	}
	return closed(discovery.New(opts...))
}

func openEvent(o event.Option, lazy bool) error {
	opts := []event.Option{o, event.WithTimeout(limit), event.WithDialTimeout(limit)}
	if lazy {
		opts = append(opts, event.WithLazy())
	}
	return flushed(event.New(opts...))
}

var onRedis = []standing[*redis.Engine]{
	{"kv/redis", func(e *redis.Engine, lazy bool) error { return openKV(kvredis.On(e), lazy) }},
	{"sync/redis", func(e *redis.Engine, lazy bool) error { return openSync(syncredis.On(e), lazy) }},
	{"discovery/redis", func(e *redis.Engine, lazy bool) error { return openDiscovery(discoveryredis.On(e), lazy) }},
	{"event/redis", func(e *redis.Engine, lazy bool) error { return openEvent(eventredis.On(e), lazy) }},
}

func openConfig(s config.Source) error {
	return closed(config.New(config.WithSource(s), config.WithTimeout(limit)))
}

var onEtcd = []standing[*etcd.Engine]{
	{"kv/etcd", func(e *etcd.Engine, lazy bool) error { return openKV(kvetcd.On(e), lazy) }},
	{"sync/etcd", func(e *etcd.Engine, lazy bool) error { return openSync(syncetcd.On(e), lazy) }},
	{"discovery/etcd", func(e *etcd.Engine, lazy bool) error { return openDiscovery(discoveryetcd.On(e), lazy) }},
	{"config/etcd", func(e *etcd.Engine, _ bool) error { return openConfig(configetcd.On(e, "config")) }},
}

func openDB(o db.Option, lazy bool) error {
	opts := []db.Option{o, db.WithTimeout(limit), db.WithDialTimeout(limit)}
	if lazy {
		opts = append(opts, db.WithLazy())
	}
	return closed(db.New(opts...))
}

var onSQL = []standing[*sql.Engine]{
	{"kv/sql", func(e *sql.Engine, lazy bool) error { return openKV(kvsql.On(e), lazy) }},
	{"sync/sql", func(e *sql.Engine, lazy bool) error { return openSync(syncsql.On(e), lazy) }},
	{"discovery/sql", func(e *sql.Engine, lazy bool) error { return openDiscovery(discoverysql.On(e), lazy) }},
	{"event/sql", func(e *sql.Engine, lazy bool) error { return openEvent(eventsql.On(e), lazy) }},
	{"db/sql", func(e *sql.Engine, lazy bool) error { return openDB(dbsql.On(e), lazy) }},
}

var onNATS = []standing[*nats.Engine]{
	{"kv/nats", func(e *nats.Engine, lazy bool) error { return openKV(kvnats.On(e), lazy) }},
	{"event/nats", func(e *nats.Engine, lazy bool) error { return openEvent(eventnats.On(e), lazy) }},
}

var onConsul = []standing[*consul.Engine]{
	{"kv/consul", func(e *consul.Engine, lazy bool) error { return openKV(kvconsul.On(e), lazy) }},
	{"sync/consul", func(e *consul.Engine, lazy bool) error { return openSync(syncconsul.On(e), lazy) }},
	{"discovery/consul", func(e *consul.Engine, lazy bool) error { return openDiscovery(discoveryconsul.On(e), lazy) }},
	{"config/consul", func(e *consul.Engine, _ bool) error { return openConfig(configconsul.On(e, "config")) }},
}

// engine is what all engines have.
type engine interface{ Close() error }

// over uses an engine and closes it.
func over[E engine](e E, err error, use func(E) error) error {
	if err != nil {
		return err
	}
	defer e.Close()
	return use(e)
}

// encrypted are the cases of backends, with open for their engine.
func encrypted[E engine](b backend, on []standing[E], open func(addr string, t asked) (E, error)) (all []backend) {
	for _, s := range on {
		b := b
		b.name = s.name
		b.open = func(addr string, t asked) error {
			e, err := open(addr, t)
			return over(e, err, func(e E) error { return s.open(e, false) })
		}
		all = append(all, b)
	}
	return all
}

// credited are the cases of known, with open for their engine.
func credited[E engine](b shown, on []standing[E], open func(addr string, c credentials) (E, error)) (all []shown) {
	for _, s := range on {
		b := b
		b.name = s.name + b.name
		b.open = func(addr string, c credentials) error {
			e, err := open(addr, c)
			return over(e, err, func(e E) error { return s.open(e, true) })
		}
		all = append(all, b)
	}
	return all
}
