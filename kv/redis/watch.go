package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// idle is how long nothing may come before the server is asked for a sign of
// life, and how long that may take.
const idle = 10 * time.Second

// Watch listens to the channels of the keys, then reads the state, then reads
// every key that a message names: the message says that there is something
// new, the read says what. Messages that were missed come with no number, so a
// session never resumes: the next one reads the state again.
func (d *driver) Watch(ctx context.Context, prefix string, _ uint64, sink kv.Sink) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sub := d.client.PSubscribe(ctx) // connects to nothing yet
	stop := context.AfterFunc(ctx, func() { sub.Close() })
	defer stop()
	defer sub.Close()

	_, err := redis.Do(ctx, func(ctx context.Context) (struct{}, error) {
		if err := sub.PSubscribe(ctx, channelPrefix+literal(prefix)+"*"); err != nil {
			return struct{}{}, err
		}
		msg, err := sub.ReceiveTimeout(ctx, d.timeout)
		if err == nil {
			if _, ok := msg.(*goredis.Subscription); !ok {
				err = fmt.Errorf("%T came before the subscription", msg)
			}
		}
		return struct{}{}, err
	})
	if err != nil {
		return redis.ReadError(err)
	}

	changed := make(chan string, 1024)
	received := make(chan struct{})
	go func() {
		defer close(received)
		cancel(receive(ctx, sub, changed))
	}()
	defer func() { cancel(nil); sub.Close(); <-received }()

	for item, err := range d.List(ctx, prefix, "") {
		if err != nil {
			return cause(ctx, err)
		}
		sink.Put(item)
	}
	sink.Synced(0)
	for {
		select {
		case key := <-changed:
			if err := d.tell(ctx, gather(key, changed), sink); err != nil {
				return cause(ctx, err)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// cause prefers why the session ended over what that made of a read.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return err
}

// receive passes on the keys that messages name until the connection fails.
func receive(ctx context.Context, sub *goredis.PubSub, changed chan<- string) error {
	asked := false
	for {
		msg, err := sub.ReceiveTimeout(ctx, idle)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			var timeout interface{ Timeout() bool }
			if !asked && errors.As(err, &timeout) && timeout.Timeout() {
				if err = sub.Ping(ctx); err == nil {
					asked = true
					continue
				}
			}
			return fault.Mark(kv.ErrUnavailable, err)
		}
		asked = false
		switch m := msg.(type) {
		case *goredis.Message:
			select {
			case changed <- strings.TrimPrefix(m.Channel, channelPrefix):
			case <-ctx.Done():
				return ctx.Err()
			}
		case *goredis.Subscription: // the client has made a new connection
			return kv.ErrGap
		}
	}
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
func (d *driver) tell(ctx context.Context, keys []string, sink kv.Sink) error {
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
