package kv

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"time"

	"github.com/micro/go-platform/internal/backoff"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/router"
)

const (
	ttl  = 30 * time.Second // of a report or view that is not renewed
	poll = 2 * time.Second  // of stores that can't watch
)

// Exchange carries reports and views over a store, which should have a
// namespace of its own. A store that can't list is an ErrUnsupported.
func Exchange(store kv.KV) (router.Exchange, error) {
	if fronts.Nil(store) {
		return nil, fault.New(fault.Invalid, "router/kv", "exchange", "", "nil store")
	}
	if !store.Features().List {
		return nil, fault.Wrap("router/kv", "exchange", "", fault.Mark(kv.ErrUnsupported, errors.New("the store can't list")))
	}
	return exchange{store}, nil
}

type exchange struct{ store kv.KV }

func (x exchange) Publish(ctx context.Context, r router.Report) error {
	return put(ctx, x.store, of("report", r.Service)+url.PathEscape(r.Client), r)
}

func (x exchange) Reports(ctx context.Context, service string, f func(router.Report)) error {
	return follow(ctx, x.store, of("report", service), f)
}

func (x exchange) PublishView(ctx context.Context, v router.View) error {
	return put(ctx, x.store, of("view", v.Service)+"latest", v)
}

func (x exchange) Views(ctx context.Context, service string, f func(router.View)) error {
	return follow(ctx, x.store, of("view", service), f)
}

// of is the prefix of the keys of a service, or of all. A prefix of its name
// is not its name.
func of(kind, service string) string {
	if service == "" {
		return kind + "/"
	}
	return kind + "/" + url.PathEscape(service) + "/"
}

func put(ctx context.Context, store kv.KV, key string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = store.Put(ctx, key, b, kv.TTL(ttl))
	return err
}

func follow[T any](ctx context.Context, store kv.KV, prefix string, f func(T)) error {
	if !store.Features().Watch {
		for {
			for item, err := range store.List(ctx, prefix) {
				if err != nil {
					return err
				}
				deliver(item, f)
			}
			if err := backoff.Sleep(ctx, poll); err != nil {
				return err
			}
		}
	}
	for e, err := range store.Watch(ctx, prefix) {
		if err == nil && e.Kind == kv.EventPut { // after an error the watch goes on by itself
			deliver(e.Item, f)
		}
	}
	return ctx.Err()
}

// deliver skips what is no T: the store is shared.
func deliver[T any](item kv.Item, f func(T)) {
	var v T
	if json.Unmarshal(item.Value, &v) == nil {
		f(v)
	}
}
