package etcd_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/micro/go-platform/engine"
	"github.com/micro/go-platform/engine/etcd"
	"github.com/micro/go-platform/internal/leak"
	"github.com/micro/go-platform/internal/servertest"
	"github.com/micro/go-platform/kv"
	kvetcd "github.com/micro/go-platform/kv/etcd"
	"github.com/micro/go-platform/sync"
	syncetcd "github.com/micro/go-platform/sync/etcd"
	clientv3 "go.etcd.io/etcd/client/v3"
)

func TestMain(m *testing.M) { leak.Main(m) }

// An engine that is closed under what stands on it gives errors that say so, and
// no write of unknown outcome.
func TestAClosedEngine(t *testing.T) {
	leak.Check(t)
	e, err := etcd.Open(servertest.Etcd(t).Addr())
	if err != nil {
		t.Fatal(err)
	}
	store, err := kv.New(kvetcd.On(e))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	locks, err := sync.New(syncetcd.On(e))
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	lock, err := locks.Lock(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		do   func() error
		want error
	}{
		"Put":     {func() error { _, err := store.Put(t.Context(), "k", nil); return err }, kv.ErrUnavailable},
		"Get":     {func() error { _, err := store.Get(t.Context(), "k"); return err }, kv.ErrUnavailable},
		"TryLock": {func() error { _, err := locks.TryLock(t.Context(), "y"); return err }, sync.ErrUnavailable},
		"Unlock":  {func() error { return lock.Unlock(t.Context()) }, sync.ErrUnavailable},
		"Ping":    {func() error { return e.Ping(t.Context()) }, engine.ErrUnavailable},
	} {
		err := c.do()
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), "connection to etcd was closed") {
			t.Errorf("%s: %v, want unavailable because the connection was closed", name, err)
		}
	}
}

func TestBadInputIsAnErrorOfOpen(t *testing.T) {
	for name, c := range map[string]struct {
		addr string
		opts []etcd.Option
	}{
		"empty address": {"", nil}, "scheme": {"redis://u:s3cret@h", nil}, "port": {"etcd://u:s3cret@h:x", nil},
		"nil option": {"h", []etcd.Option{nil}}, "TLS": {"h", []etcd.Option{etcd.WithTLS(nil)}}, "user alone": {"h", []etcd.Option{etcd.WithAuth("u", "")}},
		"adjust":                {"h", []etcd.Option{etcd.WithClientOptions(nil)}},
		"nonsense of an adjust": {"h", []etcd.Option{etcd.WithClientOptions(func(c *clientv3.Config) { c.Endpoints = nil })}},
	} {
		e, err := etcd.Open(c.addr, c.opts...)
		if !errors.Is(err, engine.ErrInvalid) || !strings.HasPrefix(err.Error(), "engine/etcd: open: ") || strings.Contains(err.Error(), "s3cret") || e != nil {
			t.Errorf("%s: %v, %v, want ErrInvalid of engine/etcd without the password", name, e, err)
		}
	}
	var seen clientv3.Config
	e, err := etcd.Open("h", etcd.WithClientOptions(func(c *clientv3.Config) { seen = *c }))
	if err != nil || seen.DialTimeout != 2*time.Second {
		t.Fatalf("%v, the client has %v", err, seen.DialTimeout)
	}
	e.Close()
	none := etcd.FromClient(nil)
	if err := none.Ping(t.Context()); !errors.Is(err, engine.ErrInvalid) || none.Client() != nil || none.Close() != nil {
		t.Errorf("an engine without a client: Ping %v, Client %v", err, none.Client())
	}
}
