package redis

import (
	"context"
	"slices"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// The commands by which the server hands records out.

// fresh returns what nobody was handed before, waiting for it.
func (m *member) fresh(ctx context.Context, limit int, wait time.Duration) ([]event.Delivered, error) {
	return m.read(ctx, limit, max(wait, time.Millisecond), ">")
}

// again returns what this consumer was handed and has not acknowledged, after a
// position.
func (m *member) again(ctx context.Context, limit int, after string) ([]event.Delivered, error) {
	ds, err := m.read(ctx, limit, -1, after)
	if err == nil {
		err = m.count(ctx, ds)
	}
	return ds, err
}

// claim takes over what was handed out and idle for a while, on from where the
// last one ended. done means that all of it was looked at.
func (m *member) claim(ctx context.Context, limit int, idle time.Duration, from *string) (ds []event.Delivered, done bool, err error) {
	type page struct {
		entries []goredis.XMessage
		next    string
	}
	p, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (p page, err error) {
		p.entries, p.next, err = m.d.client.XAutoClaim(ctx, &goredis.XAutoClaimArgs{
			Stream: m.d.key, Group: m.g.Name, Consumer: m.g.Consumer, MinIdle: idle, Start: *from, Count: int64(limit),
		}).Result()
		return p, err
	})
	if err != nil {
		return nil, false, m.readError(err)
	}
	ds = m.delivered(p.entries)
	if err := m.count(ctx, ds); err != nil {
		return nil, false, err // and again from where it began
	}
	*from = p.next
	return ds, p.next == beforeAll, nil
}

// count asks how often deliveries were handed out.
func (m *member) count(ctx context.Context, ds []event.Delivered) error {
	if len(ds) == 0 {
		return nil
	}
	pending, err := redis.Do(ctx, m.d.client, func(ctx context.Context) ([]goredis.XPendingExt, error) {
		return m.d.client.XPendingExt(ctx, &goredis.XPendingExtArgs{
			Stream: m.d.key, Group: m.g.Name, Consumer: m.g.Consumer,
			Start: ds[0].Position, End: ds[len(ds)-1].Position, Count: int64(len(ds)) * 4,
		}).Result()
	})
	if err != nil {
		return m.readError(err)
	}
	times := make(map[string]int, len(pending))
	for _, p := range pending {
		times[p.ID] = int(p.RetryCount)
	}
	for i := range ds {
		ds[i].Attempt = max(times[ds[i].Position], 1)
	}
	return nil
}

func (m *member) read(ctx context.Context, limit int, wait time.Duration, from string) (ds []event.Delivered, err error) {
	var entries []goredis.XMessage
	var failed error
	_, err = m.waiter.do(ctx, max(wait, 0), func(ctx context.Context, c goredis.Cmdable) (int, error) {
		streams, err := c.XReadGroup(ctx, &goredis.XReadGroupArgs{
			Group: m.g.Name, Consumer: m.g.Consumer, Streams: []string{m.d.key, from}, Count: int64(limit), Block: wait,
		}).Result()
		if isAnswer(err, "NOGROUP") {
			failed = err
			return 0, nil
		}
		if len(streams) > 0 {
			entries = streams[0].Messages
		}
		return len(entries), err
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return nil, err
	}
	return m.delivered(entries), nil
}

// delivered may use the slice that it returned before.
func (m *member) delivered(entries []goredis.XMessage) []event.Delivered {
	clear(m.ds)
	m.ds = slices.Grow(m.ds[:0], len(entries))[:len(entries)]
	ds := m.ds
	for i, e := range entries {
		d := &ds[i]
		d.Attempt, d.Position = 1, e.ID
		if e.Values == nil { // in the list of pending entries, and gone from the stream
			d.Record, d.Err = &event.Record{Position: e.ID}, errGone
		} else if s, ok := e.Values[fieldRecord].(string); ok {
			d.Encoded = s
		} else {
			d.Record, d.Err = decode(e)
		}
	}
	return ds
}

var errGone = fault.Markf(fault.NotFound, "the entry was removed before it was handled")

func (m *member) readError(err error) error {
	if isAnswer(err, "NOGROUP") {
		return err
	}
	return redis.ReadError(err)
}
