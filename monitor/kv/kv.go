// Package kv publishes the reports of package monitor over any kv.KV, so that
// every instance sees the cluster.
//
//	store, err := kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("monitor"))
//	mo, err := monitor.New(monitorkv.Backend(store), monitor.WithService("orders"))
//
// # Backends
//
// Any store that can list. One that can watch tells of changes at once; the
// others are asked once in an interval.
//
// # Semantics
//
// Each instance has one key, whose life is the report's: what is not renewed
// is gone from the store by itself.
//
// # Errors
//
// Those of the store.
//
// # Closing
//
// The store stays open: it is its owner's.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/monitor"
)

// prefix is that of all keys.
const prefix = "report/"

// Backend publishes over a store, which should have a namespace of its own.
func Backend(store kv.KV) monitor.Option {
	if fronts.Nil(store) {
		return monitor.WithDriver("", nil)
	}
	return monitor.WithDriver("kv", func(context.Context) (monitor.Driver, error) {
		if !store.Features().List {
			return nil, fault.Mark(kv.ErrUnsupported, errors.New("the store can't list"))
		}
		return &driver{store: store, poll: 2 * time.Second}, nil
	})
}

type driver struct {
	store kv.KV
	poll  time.Duration
}

func (d *driver) Publish(ctx context.Context, r monitor.Report) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	in := r.Status.Instance
	_, err = d.store.Put(ctx, prefix+in.Service+"/"+in.ID, b, kv.TTL(r.TTL))
	return err
}

func (d *driver) Watch(ctx context.Context, f func(monitor.Report)) error {
	if !d.store.Features().Watch {
		return d.ask(ctx, f)
	}
	for e := range d.store.Watch(ctx, prefix) { // an error has no kind, and the watch goes on by itself
		if e.Kind == kv.EventPut {
			deliver(e.Item, f)
		}
	}
	return ctx.Err()
}

// ask reads everything, again and again.
func (d *driver) ask(ctx context.Context, f func(monitor.Report)) error {
	for {
		for item, err := range d.store.List(ctx, prefix) {
			if err != nil {
				return err
			}
			deliver(item, f)
		}
		if err := backoff.Sleep(ctx, d.poll); err != nil {
			return err
		}
	}
}

// deliver skips what is no report: the store is shared.
func deliver(item kv.Item, f func(monitor.Report)) {
	var r monitor.Report
	if json.Unmarshal(item.Value, &r) == nil {
		f(r)
	}
}

func (d *driver) Ping(ctx context.Context) error {
	_, err := d.store.Get(ctx, prefix)
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: %w", err)
	}
	return nil
}

func (d *driver) Close() error { return nil }
