package redis

import (
	"bytes"
	"context"
	"errors"
	"iter"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// many sends ops, a bounded number together, and returns when all are answered
// or ctx ends. The second result says that ops may still be on their way.
func (d *driver) many(ctx context.Context, ops []*op) (err error, left bool) {
	_, err = redis.Do(ctx, d.client, func(inner context.Context) (struct{}, error) {
		for chunk := range chunks(ops) {
			if err := redis.Ended(ctx); err != nil {
				for _, o := range chunk {
					o.err = err // not sent
				}
				continue
			}
			d.exchange(inner, chunk)
			if over := redis.Ended(ctx); over != nil {
				for _, o := range chunk {
					if errors.Is(o.err, fault.UnknownOutcome) {
						o.err = fault.Mark(kv.ErrUnknownOutcome, over)
					}
				}
			}
		}
		return struct{}{}, redis.Ended(ctx)
	})
	return err, err != nil && !d.client.Owned()
}

// chunks cuts ops into round trips.
func chunks(ops []*op) iter.Seq[[]*op] {
	return func(yield func([]*op) bool) {
		from, size := 0, 0
		for i, o := range ops {
			if i > from && (i-from == perTrip || size+o.size() > bytesPerTrip) {
				if !yield(ops[from:i]) {
					return
				}
				from, size = i, 0
			}
			size += o.size()
		}
		if from < len(ops) {
			yield(ops[from:])
		}
	}
}

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	ops := make([]*op, len(keys))
	for i, key := range keys {
		ops[i] = &op{kind: opGet, key: key, life: true}
	}
	if err, _ := d.many(ctx, ops); err != nil {
		return nil, err
	}
	items := make(map[string]kv.Item, len(keys))
	var bad map[string]error
	for _, o := range ops {
		switch {
		case o.err == nil:
			items[o.key] = o.item
		case !errors.Is(o.err, fault.NotFound):
			if bad == nil {
				bad = map[string]error{}
			}
			bad[o.key] = o.err
		}
	}
	if bad != nil {
		return items, &kv.BatchError{Errors: bad}
	}
	return items, nil
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	copied := !d.client.Owned() && ctx.Done() != nil // they may be left behind
	ops := make([]*op, len(writes))
	for i, w := range writes {
		ops[i] = &op{kind: opSet, key: w.Key, value: w.Value, ttl: milliseconds(w.TTL)}
		if copied {
			ops[i].value = bytes.Clone(w.Value)
		}
	}
	errs := make([]error, len(ops))
	err, left := d.many(ctx, ops)
	for i := range ops {
		if left {
			errs[i] = fault.Mark(kv.ErrUnknownOutcome, err)
		} else {
			errs[i] = ops[i].err
		}
	}
	return errs
}
