package soak

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/micro/go-platform/config"
	configkv "github.com/micro/go-platform/config/kv"
	"github.com/micro/go-platform/discovery"
	discoveryetcd "github.com/micro/go-platform/discovery/etcd"
	discoveryredis "github.com/micro/go-platform/discovery/redis"
	"github.com/micro/go-platform/kv"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	kvnats "github.com/micro/go-platform/kv/nats"
	kvredis "github.com/micro/go-platform/kv/redis"
	dsync "github.com/micro/go-platform/sync"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	syncredis "github.com/micro/go-platform/sync/redis"
	syncsql "github.com/micro/go-platform/sync/sql"
)

// coordination is the loads of sync, discovery and config.
func coordination() []load {
	return []load{
		{"sync redis", redis, func(t *testing.T, addr string) call { return locks(t, syncredis.Backend(addr)) }},
		{"sync etcd", etcd, func(t *testing.T, addr string) call { return locks(t, syncetcd.Backend(addr)) }},
		{"sync postgres", postgres, func(t *testing.T, addr string) call { return locks(t, syncsql.Postgres(dsn(addr))) }},
		{"discovery redis", redis, func(t *testing.T, addr string) call { return instances(t, discoveryredis.Backend(addr)) }},
		{"discovery etcd", etcd, func(t *testing.T, addr string) call { return instances(t, discoveryetcd.Backend(addr)) }},
		{"config redis", redis, func(t *testing.T, addr string) call { return settings(t, kvredis.Backend(addr)) }},
		{"config etcd", etcd, func(t *testing.T, addr string) call { return settings(t, kvetcd.Backend(addr)) }},
		{"config nats", nats, func(t *testing.T, addr string) call { return settings(t, kvnats.Backend(addr)) }},
	}
}

func locks(t *testing.T, backend dsync.Option) call {
	s := must[dsync.Sync](t)(dsync.New(dsync.WithNamespace("soak"), backend))
	t.Cleanup(func() { s.Close() })
	return func(ctx context.Context, n int64) error {
		l, err := s.Lock(ctx, fmt.Sprint(n%10), dsync.TTL(3*time.Second))
		if err != nil {
			return err
		}
		return l.Unlock(ctx)
	}
}

func instances(t *testing.T, backend discovery.Option) call {
	d := must[discovery.Discovery](t)(discovery.New(discovery.WithNamespace("soak"), backend))
	t.Cleanup(func() { d.Close() })
	return func(ctx context.Context, n int64) error {
		r, err := d.Register(ctx, discovery.Instance{Service: "s", Address: fmt.Sprintf("h:%d", 1+n%60000)})
		if err != nil {
			return err
		}
		_, err = d.Get(ctx, "s")
		return errors.Join(err, r.Deregister(ctx))
	}
}

// settings changes a document now and then, which a subscriber follows.
func settings(t *testing.T, backend kv.Option) call {
	s := store(t, "soak-config", backend)
	if _, err := s.Put(t.Context(), "c", []byte(`{"n":0}`)); err != nil {
		t.Fatal(err)
	}
	c := must[config.Config](t)(config.New(config.WithSource(configkv.Source(s, "c"))))
	t.Cleanup(func() { c.Close() })
	must[func()](t)(c.Subscribe("n", func(context.Context, config.Change) (func(), error) { return func() {}, nil }))
	return func(ctx context.Context, n int64) error {
		if n%50 == 0 {
			if _, err := s.Put(ctx, "c", fmt.Appendf(nil, `{"n":%d}`, n)); err != nil {
				return err
			}
		}
		c.Get("n").Int(0)
		return nil
	}
}
