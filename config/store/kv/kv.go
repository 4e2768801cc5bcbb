// Package kv keeps the documents of config/store in a kv store: redis, etcd,
// consul, or the embedded one.
//
//	shared, err := kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("config"))
//	st, err := store.New(storekv.Backend(shared))
//
// The kv store must list and watch, and must not evict. Give it a namespace of
// its own. Two keys hold a document: "head/…" is the newest version, which a
// writer replaces on condition that it is still the one that it read, after it
// has copied that to "past/…/number". So a write is one conditional put, a read
// is one get, and the history has no gap whenever a writer dies.
package kv

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strings"

	"github.com/micro/go-platform/config/store"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
	"github.com/micro/go-platform/kv"
)

// Backend keeps documents in shared, which Close leaves open.
func Backend(shared kv.KV) store.Option {
	return store.WithDriver("config/store/kv", func(context.Context) (store.Driver, error) {
		if fronts.Nil(shared) {
			return nil, fault.Markf(store.ErrInvalid, "nil kv store")
		}
		if f := shared.Features(); !f.List || !f.Watch {
			return nil, fault.Markf(store.ErrInvalid, "this kv store can't list or watch")
		}
		return &driver{shared}, nil
	})
}

type driver struct{ kv kv.KV }

// entry is what a key holds.
type entry struct {
	store.Version
	Data json.RawMessage `json:"data,omitempty"`
}

func headKey(namespace string) string { return "head/" + url.PathEscape(namespace) }

func pastPrefix(namespace string) string { return "past/" + url.PathEscape(namespace) + "/" }

func pastKey(namespace string, number uint64) string {
	return fmt.Sprintf("%s%020d", pastPrefix(namespace), number)
}

func decode(item kv.Item) (store.Record, error) {
	var e entry
	if err := json.Unmarshal(item.Value, &e); err != nil {
		return store.Record{}, fault.Mark(store.ErrInvalid, fmt.Errorf("key %q is damaged: %w", item.Key, err))
	}
	return store.Record{Version: e.Version, Data: e.Data}, nil
}

func (d *driver) head(ctx context.Context, namespace string) (store.Record, kv.Item, error) {
	item, err := d.kv.Get(ctx, headKey(namespace))
	if errors.Is(err, kv.ErrNotFound) {
		err = fault.Mark(store.ErrNotFound, err)
	}
	if err != nil {
		return store.Record{}, kv.Item{}, err
	}
	r, err := decode(item)
	return r, item, err
}

func (d *driver) Append(ctx context.Context, r store.Record) error {
	value, err := json.Marshal(entry{r.Version, r.Data})
	if err != nil {
		return fault.Mark(store.ErrInvalid, err)
	}
	old, item, err := d.head(ctx, r.Namespace)
	if err != nil && !errors.Is(err, kv.ErrNotFound) {
		return notWritten(err)
	}
	if r.Number != old.Number+1 {
		return fmt.Errorf("version %d on top of %d: %w", r.Number, old.Number, store.ErrConflict)
	}
	if old.Number > 0 {
		_, err := d.kv.Put(ctx, pastKey(r.Namespace, old.Number), item.Value, kv.IfAbsent())
		if err != nil && !errors.Is(err, kv.ErrExists) {
			return notWritten(err) // whatever became of it, it is a copy
		}
	}
	_, err = d.kv.Put(ctx, headKey(r.Namespace), value, kv.IfRevision(item.Revision))
	if errors.Is(err, kv.ErrConflict) || errors.Is(err, kv.ErrExists) {
		return store.ErrConflict
	}
	return err
}

// notWritten is the error of a step before the one that counts.
func notWritten(err error) error {
	if errors.Is(err, fault.Invalid) || errors.Is(err, fault.TooLarge) {
		return err
	}
	return fault.Mark(store.ErrUnavailable, err)
}

func (d *driver) Newest(ctx context.Context, namespace string) (store.Record, error) {
	r, _, err := d.head(ctx, namespace)
	return r, err
}

func (d *driver) Read(ctx context.Context, namespace string, number uint64) (store.Record, error) {
	item, err := d.kv.Get(ctx, pastKey(namespace, number))
	if err == nil {
		return decode(item)
	}
	if !errors.Is(err, kv.ErrNotFound) {
		return store.Record{}, err
	}
	r, err := d.Newest(ctx, namespace)
	switch {
	case err == nil && r.Number > number: // it has moved since
		item, err = d.kv.Get(ctx, pastKey(namespace, number))
		if err == nil {
			return decode(item)
		}
	case err == nil && r.Number < number:
		err = fmt.Errorf("no such version: %w", store.ErrNotFound)
	}
	return r, err
}

func (d *driver) History(ctx context.Context, namespace string) iter.Seq2[store.Record, error] {
	return func(yield func(store.Record, error) bool) {
		newest, err := d.Newest(ctx, namespace)
		if err != nil {
			if !errors.Is(err, store.ErrNotFound) {
				yield(store.Record{}, err)
			}
			return
		}
		var past []store.Record
		for item, err := range d.kv.List(ctx, pastPrefix(namespace)) {
			r := store.Record{}
			if err == nil {
				r, err = decode(item)
			}
			if err != nil {
				yield(store.Record{}, err)
				return
			}
			if r.Number < newest.Number { // a writer may have moved on meanwhile
				r.Data = nil
				past = append(past, r)
			}
		}
		if !yield(newest, nil) {
			return
		}
		for _, r := range slices.Backward(past) {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (d *driver) Namespaces(ctx context.Context) ([]string, error) {
	var names []string
	for item, err := range d.kv.List(ctx, "head/") {
		if err != nil {
			return nil, err
		}
		name, err := url.PathUnescape(strings.TrimPrefix(item.Key, "head/"))
		if err != nil {
			return nil, fault.Mark(store.ErrInvalid, err)
		}
		names = append(names, name)
	}
	return names, nil
}

// Watch follows the heads with one watch: the first namespace is a prefix of
// the others.
func (d *driver) Watch(ctx context.Context, namespaces []string, changed func(error)) error {
	mine := map[string]bool{}
	for _, ns := range namespaces {
		mine[headKey(ns)] = true
	}
	synced := false
	for e, err := range d.kv.Watch(ctx, headKey(namespaces[0])) {
		switch {
		case err != nil && (ctx.Err() != nil || errors.Is(err, kv.ErrClosed)):
			return err
		case err != nil:
			synced = false
			changed(err)
		case e.Kind == kv.EventSynced:
			synced = true
			changed(nil)
		case synced && mine[e.Item.Key]:
			changed(nil)
		}
	}
	return ctx.Err()
}

func (d *driver) Ping(ctx context.Context) error {
	_, err := d.kv.Get(ctx, "head/")
	if errors.Is(err, kv.ErrNotFound) {
		return nil
	}
	return err
}

func (d *driver) Close() error { return nil }
