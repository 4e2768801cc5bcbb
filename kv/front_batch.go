package kv

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/fronts"
)

func (f *front) GetMany(ctx context.Context, keys ...string) (map[string]Item, error) {
	start := f.now()
	items, err := f.getMany(ctx, keys)
	return items, f.done("get many", "", len(keys), start, err)
}

func (f *front) getMany(ctx context.Context, keys []string) (map[string]Item, error) {
	full := make([]string, len(keys))
	for i, k := range keys {
		if err := f.check(k); err != nil {
			return nil, err
		}
		full[i] = f.namespace + k
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer b.end()
	slices.Sort(full)
	full = slices.Compact(full)
	var items map[string]Item
	if d, ok := f.driver.(batchDriver); ok && f.features.Batch {
		items, err = d.GetMany(ctx, full)
	} else {
		items, err = f.getEach(ctx, full)
	}
	err = b.late(f.strip(err, "get"))
	if f.namespace == "" || len(items) == 0 {
		return items, err
	}
	out := make(map[string]Item, len(items))
	for k, item := range items {
		item.Key, item.Value = k[len(f.namespace):], slices.Clip(item.Value)
		out[item.Key] = item
	}
	return out, err
}

func (f *front) PutMany(ctx context.Context, values map[string][]byte, opts ...PutOption) error {
	start := f.now()
	return f.done("put many", "", len(values), start, f.putMany(ctx, values, opts))
}

func (f *front) putMany(ctx context.Context, values map[string][]byte, opts []PutOption) error {
	writes := make([]Write, 0, len(values))
	bad := map[string]error{}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		w, err := f.write(k, values[k], opts)
		switch {
		case w.IfAbsent || w.conditional:
			return invalidf("PutMany takes no option but TTL")
		case errors.Is(err, fault.TooLarge):
			bad[w.Key] = err
		case err != nil:
			return err
		default:
			writes = append(writes, w)
		}
	}
	ctx, b, err := f.enter(ctx)
	if err != nil {
		return err
	}
	defer b.end()
	var errs []error
	if d, ok := f.driver.(batchDriver); ok && f.features.Batch && len(writes) > 0 {
		errs = d.PutMany(ctx, writes)
	} else {
		errs = f.putEach(ctx, writes)
	}
	for i, err := range errs {
		if err != nil {
			bad[writes[i].Key] = err
		}
	}
	if len(bad) > 0 {
		err = f.strip(&BatchError{Errors: bad}, "put")
	}
	return b.late(err)
}

func (f *front) getEach(ctx context.Context, keys []string) (map[string]Item, error) {
	var (
		mu    sync.Mutex
		items = make(map[string]Item, len(keys))
		bad   = map[string]error{}
	)
	each(len(keys), func(i int) {
		item, err := getExpiring(ctx, f.driver, keys[i])
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			items[keys[i]] = item
		case !errors.Is(err, fault.NotFound):
			bad[keys[i]] = err
		}
	})
	if len(bad) > 0 {
		return items, &BatchError{Errors: bad}
	}
	return items, nil
}

func (f *front) putEach(ctx context.Context, writes []Write) []error {
	errs := make([]error, len(writes))
	each(len(writes), func(i int) { _, errs[i] = f.driver.Put(ctx, writes[i]) })
	return errs
}

// strip takes the namespace off the keys of a BatchError and wraps each key's
// error as the single call would have. Other errors stay as they are.
func (f *front) strip(err error, op string) error {
	b, ok := errors.AsType[*BatchError](err)
	if !ok {
		return err
	}
	out := &BatchError{Errors: make(map[string]error, len(b.Errors))}
	for k, e := range b.Errors {
		k = strings.TrimPrefix(k, f.namespace)
		out.Errors[k] = fault.Wrap(f.scope, op, fronts.Cut(k), e)
	}
	return out
}
