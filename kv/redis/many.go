package redis

import (
	"bytes"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// perTrip is how many calls of a batch share a round trip.
const perTrip = 256

// runMany sends ops to their servers, the servers in parallel.
func (d *driver) runMany(ctx context.Context, ops []*op) {
	byNode := map[*node][]*op{}
	for _, o := range ops {
		n, err := d.node(ctx, o.key)
		if err != nil {
			o.err = err
			continue
		}
		byNode[n] = append(byNode[n], o)
	}
	var wg sync.WaitGroup
	for n, ops := range byNode {
		wg.Go(func() {
			for chunk := range slices.Chunk(ops, perTrip) {
				if err := ctx.Err(); err != nil {
					for _, o := range chunk {
						o.err = err // not sent
					}
					continue
				}
				d.run(ctx, n, chunk)
			}
		})
	}
	wg.Wait()
}

// many is runMany that returns when ctx ends.
func (d *driver) many(ctx context.Context, ops []*op) error {
	_, err := redis.Do(ctx, func(ctx context.Context) (struct{}, error) {
		d.runMany(ctx, ops)
		return struct{}{}, nil
	})
	return err
}

func (d *driver) GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error) {
	ops := make([]*op, len(keys))
	for i, key := range keys {
		ops[i] = &op{kind: opGet, key: key}
	}
	if err := d.many(ctx, ops); err != nil {
		return nil, err
	}
	items := make(map[string]kv.Item, len(keys))
	var bad map[string]error
	for _, o := range ops {
		switch {
		case o.err == nil:
			items[o.key] = o.item
		case !errors.Is(o.err, kv.ErrNotFound):
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
	ops := make([]*op, len(writes))
	for i, w := range writes {
		ops[i] = &op{kind: opSet, key: w.Key, value: bytes.Clone(w.Value), ttl: milliseconds(w.TTL)}
	}
	errs := make([]error, len(ops))
	if err := d.many(ctx, ops); err != nil {
		for i := range errs {
			errs[i] = fault.Mark(kv.ErrUnknownOutcome, err)
		}
		return errs
	}
	for i, o := range ops {
		errs[i] = o.err
	}
	return errs
}

// List takes the keys first, since SCAN knows no order, then their items page
// by page.
func (d *driver) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		keys, err := d.keys(ctx, prefix, after)
		if err != nil {
			yield(kv.Item{}, err)
			return
		}
		for page := range slices.Chunk(keys, perTrip) {
			items, err := d.GetMany(ctx, page)
			if err != nil && !wrongType(err) {
				yield(kv.Item{}, err)
				return
			}
			for _, key := range page {
				if item, ok := items[key]; ok && !yield(item, nil) {
					return
				}
			}
		}
	}
}

// wrongType reports whether nothing but lists, sets and so on of other
// programs kept err from being nil.
func wrongType(err error) bool {
	var b *kv.BatchError
	if !errors.As(err, &b) {
		return false
	}
	for _, e := range b.Errors {
		if !errors.Is(e, kv.ErrInvalid) {
			return false
		}
	}
	return true
}

// keys returns the keys with the prefix that are greater than after, sorted.
func (d *driver) keys(ctx context.Context, prefix, after string) ([]string, error) {
	var (
		mu   sync.Mutex
		keys []string
	)
	scan := func(ctx context.Context, c *goredis.Client) error {
		cursor := uint64(0)
		for {
			page, next, err := c.Scan(ctx, cursor, literal(prefix)+"*", 1000).Result()
			if err != nil {
				return err
			}
			mu.Lock()
			for _, key := range page {
				if key > after && strings.HasPrefix(key, prefix) && !strings.HasPrefix(key, markPrefix) && len(key) <= kv.MaxKey && utf8.ValidString(key) {
					keys = append(keys, key)
				}
			}
			mu.Unlock()
			if cursor = next; cursor == 0 {
				return nil
			}
		}
	}
	_, err := redis.Do(ctx, func(ctx context.Context) (struct{}, error) {
		if d.cluster != nil {
			return struct{}{}, d.cluster.ForEachMaster(ctx, scan)
		}
		c, ok := d.client.UniversalClient.(*goredis.Client)
		if !ok {
			return struct{}{}, fault.Markf(kv.ErrUnsupported, "listing through a %T", d.client.UniversalClient)
		}
		return struct{}{}, scan(ctx, c)
	})
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, redis.ReadError(err)
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(keys)
	return slices.Compact(keys), nil // SCAN may say a key twice
}

// literal escapes what means something in a pattern.
func literal(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if strings.IndexByte(`*?[]\^-`, s[i]) >= 0 {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
