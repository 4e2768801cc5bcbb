package redis

import (
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

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
	b, ok := errors.AsType[*kv.BatchError](err)
	if !ok {
		return false
	}
	for _, e := range b.Errors {
		if !errors.Is(e, fault.Invalid) {
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
			type answer struct {
				keys []string
				next uint64
			}
			a, err := redis.Do(ctx, d.client, func(ctx context.Context) (a answer, err error) {
				a.keys, a.next, err = c.Scan(ctx, cursor, literal(prefix)+"*", 1000).Result()
				return a, err
			})
			if err != nil {
				return err
			}
			mu.Lock()
			for _, key := range a.keys {
				if key > after && strings.HasPrefix(key, prefix) && valid(key) {
					keys = append(keys, key)
				}
			}
			mu.Unlock()
			cursor = a.next
			if cursor == 0 {
				return nil
			}
		}
	}
	masters, err := redis.Masters(ctx, d.client)
	if err != nil {
		return nil, err
	}
	errs := make([]error, len(masters))
	var wg sync.WaitGroup
	for i, m := range masters {
		wg.Go(func() { errs[i] = scan(ctx, m) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		if over := conn.Ended(ctx); over != nil {
			return nil, over
		}
		return nil, redis.ReadError(err)
	}
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(keys)
	return slices.Compact(keys), nil // SCAN may say a key twice
}

// valid reports whether package kv can name the key: other programs may have
// others.
func valid(key string) bool { return len(key) <= kv.MaxKey && utf8.ValidString(key) }

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
