package redis

import (
	"context"
	"errors"
	"slices"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// many sends ops, a bounded number together, and returns when all are answered, or
// ctx's error when that ends. The client's timeout is that of each trip.
func (d *driver) many(ctx context.Context, ops []*op) error {
	for chunk := range batch.Chunks(ops, perTrip, bytesPerTrip, (*op).size) {
		if err := conn.Ended(ctx); err != nil {
			for _, o := range chunk {
				o.err = err // not sent
			}
			continue
		}
		sent := slices.Clone(chunk)
		_, left := redis.Do(ctx, d.client, func(ctx context.Context) (struct{}, error) {
			d.exchange(ctx, sent)
			return struct{}{}, nil
		})
		over := conn.Ended(ctx)
		for i, o := range chunk {
			switch {
			case left != nil: // o is still on its way
				chunk[i] = &op{key: o.key, err: fault.Mark(kv.ErrUnknownOutcome, left)}
			case over != nil && errors.Is(o.err, fault.UnknownOutcome):
				o.err = fault.Mark(kv.ErrUnknownOutcome, over)
			}
		}
	}
	return conn.Ended(ctx)
}

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	ops := make([]*op, len(keys))
	for i, key := range keys {
		ops[i] = &op{kind: opGet, key: key, life: true}
	}
	if err := d.many(ctx, ops); err != nil {
		return nil, err
	}
	items := make(map[string]kv.Item, len(keys))
	bad := map[string]error{}
	for _, o := range ops {
		switch {
		case o.err == nil:
			items[o.key] = o.item
		case !errors.Is(o.err, fault.NotFound):
			bad[o.key] = o.err
		}
	}
	if len(bad) > 0 {
		return items, &kv.BatchError{Errors: bad}
	}
	return items, nil
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	ops := make([]*op, len(writes))
	for i, w := range writes {
		ops[i] = d.own(ctx, &op{kind: opSet, key: w.Key, value: w.Value, ttl: milliseconds(w.TTL)})
	}
	_ = d.many(ctx, ops) // each write has its error
	errs := make([]error, len(ops))
	for i, o := range ops {
		errs[i] = o.err
	}
	return errs
}
