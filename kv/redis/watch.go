package redis

import (
	"context"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	kvdriver "github.com/micro/go-platform/kv/driver"
	goredis "github.com/redis/go-redis/v9"
)

// lookAround is how often a cluster is asked for its primaries, and sentinels
// for theirs.
const lookAround = 10 * time.Second

// Watch listens first, then reads the state, then reads every key that a
// message names. Messages have no number, so a session never resumes: the next
// one reads the state again.
func (d *driver) Watch(ctx context.Context, prefix string, _ uint64, sink kvdriver.Sink) error {
	changed := make(chan string, 1024)
	return d.listen(ctx, prefix, func(ctx context.Context, key string) {
		select {
		case changed <- key:
		case <-ctx.Done():
		}
	}, func(ctx context.Context) error {
		for item, err := range d.List(ctx, prefix, "") {
			if err != nil {
				return err
			}
			sink.Put(item)
		}
		sink.Synced(0)
		for {
			select {
			case key := <-changed:
				if err := d.tell(ctx, gather(key, changed), sink); err != nil {
					return err
				}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	})
}

// Invalidations implements kvdriver.InvalidationDriver: what Watch does without
// reading anything.
func (d *driver) Invalidations(ctx context.Context, prefix string, sink kvdriver.Sink) error {
	return d.listen(ctx, prefix, func(_ context.Context, key string) { sink.Delete(key) }, func(ctx context.Context) error {
		sink.Synced(0)
		<-ctx.Done()
		return ctx.Err()
	})
}

// listen has changed called for what changes under prefix, on any primary,
// before it runs use and until that ends. It returns why.
func (d *driver) listen(ctx context.Context, prefix string, changed func(context.Context, string), use func(context.Context) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	masters, err := redis.Masters(ctx, d.client)
	if err != nil {
		return err
	}
	for _, m := range masters {
		t := d.newTracker(m, prefix, changed, cancel)
		defer t.close()
		if err := t.open(ctx); err != nil {
			return err
		}
	}
	if d.replicated() {
		around := make(chan struct{})
		go func() { defer close(around); d.lookAround(ctx, masters, cancel) }()
		defer func() { cancel(nil); <-around }()
	}
	return cause(ctx, use(ctx))
}

// lookAround ends the session when there are other primaries than those that
// it listens to: one that was cut off does not tell that it is none any more.
func (d *driver) lookAround(ctx context.Context, known []*goredis.Client, fail context.CancelCauseFunc) {
	first := d.identity(ctx)
	tick := time.NewTicker(lookAround)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if d.cluster == nil {
			if now := d.identity(ctx); first == "" {
				first = now
			} else if now != "" && now != first {
				fail(kvdriver.ErrGap)
			}
			continue
		}
		now, err := redis.Masters(ctx, d.client)
		if err != nil {
			continue
		}
		for _, m := range now {
			if !slices.Contains(known, m) {
				fail(kvdriver.ErrGap)
			}
		}
	}
}

// identity names the server that commands go to; "" if it does not say.
func (d *driver) identity(ctx context.Context) string {
	info, err := redis.Do(ctx, d.client, func(ctx context.Context) (string, error) { return d.client.Info(ctx, "server").Result() })
	if err != nil {
		return ""
	}
	return redis.Field(info, "run_id")
}

// cause prefers why the session ended over what that made of a read.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// gather takes the keys that are there, each once.
func gather(first string, more <-chan string) []string {
	keys := []string{first}
	for len(keys) < perTrip {
		select {
		case key := <-more:
			if !slices.Contains(keys, key) {
				keys = append(keys, key)
			}
		default:
			return keys
		}
	}
	return keys
}

// tell reads keys and tells what they are now.
func (d *driver) tell(ctx context.Context, keys []string, sink kvdriver.Sink) error {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	items, err := d.GetMany(ctx, keys)
	if err != nil && !wrongType(err) {
		return fault.Mark(kv.ErrUnavailable, err)
	}
	for _, key := range keys {
		if item, ok := items[key]; ok {
			sink.Put(item)
		} else {
			sink.Delete(key)
		}
	}
	return nil
}
