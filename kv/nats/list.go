package nats

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/micro/go-platform/kv"
	"github.com/nats-io/nats.go/jetstream"
)

// perPage is how many items are asked for at the same time.
const perPage = 64

// List reads the names first: the server has no order of its own.
func (d *driver) List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error] {
	return func(yield func(kv.Item, error) bool) {
		keys, err := d.keys(ctx, prefix, after)
		if err != nil {
			yield(kv.Item{}, err)
			return
		}
		for page := range slices.Chunk(keys, perPage) {
			items, err := d.page(ctx, page)
			if err != nil {
				yield(kv.Item{}, err)
				return
			}
			for _, s := range items {
				if s.alive() && !yield(s.Item, nil) {
					return
				}
			}
		}
	}
}

// keys returns the sorted keys with a prefix, deleted ones among them.
func (d *driver) keys(ctx context.Context, prefix, after string) ([]string, error) {
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	asked, done := d.whileConnected(ctx)
	defer done()
	info, err := s.Info(asked, jetstream.WithSubjectFilter(d.subject+filter(prefix))) // its leader's
	err = ended(ctx, asked, err)
	if err != nil {
		d.lost(err)
		return nil, readError(err)
	}
	var keys []string
	for subject := range info.State.Subjects {
		if key, ok := decode(strings.TrimPrefix(subject, d.subject)); ok && key > after && strings.HasPrefix(key, prefix) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys, nil
}

// page returns what is stored at keys.
func (d *driver) page(ctx context.Context, keys []string) ([]stored, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	items := make([]stored, len(keys))
	var wg sync.WaitGroup
	for i, key := range keys {
		wg.Go(func() {
			s, err := d.last(ctx, key)
			if err != nil {
				cancel(err) // the first one counts
			}
			items[i] = s
		})
	}
	wg.Wait()
	return items, context.Cause(ctx)
}
