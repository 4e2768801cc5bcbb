package memcached

import (
	"context"
	"sync"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/kv"
)

// So many requests of a batch, and about so many bytes, share a round trip.
const (
	perTrip      = 256
	bytesPerTrip = 128 << 10
)

// many sends ops to their servers, the servers in parallel, and returns when
// all are answered or ctx ends, with whether they are.
func (d *driver) many(ctx context.Context, ops []*memcached.Op) bool {
	byLine := map[*line][]*memcached.Op{}
	for _, op := range ops {
		l := d.pick(op.Key)
		op.Err = l.tooLarge(op)
		if op.Err == nil {
			byLine[l] = append(byLine[l], op)
		}
	}
	var wg sync.WaitGroup
	for l, ops := range byLine {
		wg.Go(func() {
			for chunk := range batch.Chunks(ops, perTrip, bytesPerTrip, size) {
				l.Do(ctx, chunk)
			}
		})
	}
	if d.given == nil { // returns when ctx ends
		wg.Wait()
		return true
	}
	done := make(chan struct{})
	d.left.Go(func() { defer close(done); wg.Wait() })
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
	bad := map[string]error{}
	for i, op := range ops {
		if err := result(ctx, op); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			bad[keys[i]] = err
		} else if f := unseal(keys[i], op); f != nil && !f.dead {
			items[keys[i]] = f.item
		}
	}
	if len(bad) > 0 {
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
			errs[i] = result(ctx, ops[i])
		} else {
			errs[i] = ended(memcached.Set, ctx.Err())
		}
	}
	return errs
}
