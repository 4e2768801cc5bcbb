package memcached

import (
	"context"
	"sync"

	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
)

// perTrip is how many requests of a batch share a round trip.
const perTrip = 256

// many sends ops to their servers, the servers in parallel, and returns when
// all are answered or ctx ends, with whether they are.
func (d *driver) many(ctx context.Context, ops []*memcached.Op) bool {
	byLine := map[*line][]*memcached.Op{}
	for _, op := range ops {
		l := d.pick(op.Key)
		if n := l.MaxItem(); n > 0 && len(op.Key)+len(op.Value)+itemHead > n {
			op.Err = fault.Markf(kv.ErrTooLarge, "value of %d bytes with its envelope, the server takes items of %d", len(op.Value), n)
			continue
		}
		byLine[l] = append(byLine[l], op)
	}
	var wg sync.WaitGroup
	for l, ops := range byLine {
		wg.Go(func() {
			for start := 0; start < len(ops); start += perTrip {
				l.Do(ctx, ops[start:min(start+perTrip, len(ops))])
			}
		})
	}
	if d.given == nil { // returns when ctx ends
		wg.Wait()
		return true
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	ops := make([]*memcached.Op, len(keys))
	for i, key := range keys {
		ops[i] = &memcached.Op{Verb: memcached.Get, Key: wireKey(key)}
	}
	if !d.many(ctx, ops) {
		return nil, ctx.Err()
	}
	items := make(map[string]kv.Item, len(keys))
	var bad map[string]error
	for i, op := range ops {
		if err := d.result(ctx, op); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			if bad == nil {
				bad = map[string]error{}
			}
			bad[keys[i]] = err
		} else if f := unseal(keys[i], op); f != nil && !f.dead {
			items[keys[i]] = f.item
		}
	}
	if bad != nil {
		return items, &kv.BatchError{Errors: bad}
	}
	return items, nil
}

func (d *driver) PutMany(ctx context.Context, writes []kv.Write) []error {
	ops := make([]*memcached.Op, len(writes))
	for i, w := range writes {
		ops[i] = seal(w, newRevision())
	}
	errs := make([]error, len(ops))
	all := d.many(ctx, ops)
	for i := range ops {
		if all {
			errs[i] = d.result(ctx, ops[i])
		} else {
			errs[i] = d.ended(memcached.Set, ctx.Err())
		}
	}
	return errs
}
