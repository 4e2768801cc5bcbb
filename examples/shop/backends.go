package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/micro/go-platform/db"
	dbsql "github.com/micro/go-platform/db/sql"
	"github.com/micro/go-platform/discovery"
	discoveryconsul "github.com/micro/go-platform/discovery/consul"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	discoverysql "github.com/micro/go-platform/discovery/sql"
	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/sql"
	"github.com/micro/go-platform/event"
	eventkafka "github.com/micro/go-platform/event/kafka"
	eventnats "github.com/micro/go-platform/event/nats"
	eventrabbitmq "github.com/micro/go-platform/event/rabbitmq"
	eventredis "github.com/micro/go-platform/event/redis"
	eventsql "github.com/micro/go-platform/event/sql"
	"github.com/micro/go-platform/kv"
	kvconsul "github.com/micro/go-platform/kv/consul"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	kvsql "github.com/micro/go-platform/kv/sql"
	dsync "github.com/micro/go-platform/sync"
	syncconsul "github.com/micro/go-platform/sync/consul"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
)

// backends are what the flags chose.
type backends struct {
	engines   engine.Set
	database  *sql.Engine // for outbox and inbox
	db        []db.Option
	kv        []kv.Option
	sync      []dsync.Option
	discovery []discovery.Option
	event     []event.Option
}

// choose needs one line for each package: the database is enough for all.
func (b *backends) choose(o options) error {
	databases, err := engine.Options(&b.engines, o.db, func(c *engine.Choice) *sql.Engine { e, _ := sql.URL(c); return e })
	if err != nil {
		return err
	}
	if len(databases) == 0 {
		return fmt.Errorf("-db %s: an outbox needs an SQL database", o.db)
	}
	b.database = databases[0]
	var errs [5]error
	b.db, errs[0] = engine.Options(&b.engines, o.db, dbsql.URL)
	b.kv, errs[1] = engine.Options(&b.engines, cmp.Or(o.kv, o.db), kvsql.URL, kvredis.URL, kvetcd.URL, kvconsul.URL, kvnats.URL)
	b.sync, errs[2] = engine.Options(&b.engines, cmp.Or(o.sync, o.db), syncsql.URL, syncredis.URL, syncetcd.URL, syncconsul.URL)
	b.discovery, errs[3] = engine.Options(&b.engines, cmp.Or(o.discovery, o.db), discoverysql.URL, discoveryredis.URL, discoveryetcd.URL, discoveryconsul.URL)
	b.event, errs[4] = engine.Options(&b.engines, cmp.Or(o.event, o.db), eventsql.URL, eventredis.URL, eventnats.URL, eventkafka.URL, eventrabbitmq.URL)
	b.db = append(b.db, db.WithNamespace("shop"))
	b.sync = append(b.sync, dsync.WithNamespace("shop"))
	b.discovery = append(b.discovery, discovery.WithNamespace("shop"))
	b.event = append(b.event, event.WithNamespace("shop"))
	return errors.Join(errs[:]...)
}

// describe says what the shop runs on.
func (s *shop) describe() string {
	on := "everything on one temporary SQLite file"
	if s.dir == "" {
		on = "db on " + hide(s.options.db)
	}
	for _, x := range [][2]string{{"kv", s.options.kv}, {"sync", s.options.sync}, {"discovery", s.options.discovery}, {"event", s.options.event}} {
		if x[1] != "" {
			on += ", " + x[0] + " on " + hide(x[1])
		}
	}
	return on
}

// hide leaves passwords out.
func hide(address string) string {
	if u, err := url.Parse(address); err == nil && u.Host != "" {
		return fmt.Sprintf("%s://%s", u.Scheme, u.Host)
	}
	if strings.HasPrefix(address, "sqlite:") {
		return address
	}
	scheme, _, _ := strings.Cut(address, ":")
	return scheme + " at an address that is not shown"
}
