package redis

import (
	"context"
	"slices"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

func (m *member) Ack(ctx context.Context, ds []event.Delivered) error {
	_, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (int64, error) {
		return m.d.client.XAck(ctx, m.d.key, m.g.Name, ids(ds)...).Result()
	})
	return redis.WriteError(err)
}

func ids(ds []event.Delivered) []string {
	list := make([]string, len(ds))
	for i, d := range ds {
		list[i] = d.Position
	}
	return list
}

// extendScript makes deliveries young again, those that are still the consumer's.
var extendScript = goredis.NewScript(`
for i = 3, #ARGV do
	local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
	if p[1] and p[1][2] == ARGV[2] then
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'JUSTID')
	end
end`)

// releaseScript makes deliveries look long abandoned, and not counted.
var releaseScript = goredis.NewScript(`
for i = 3, #ARGV, 2 do
	local p = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], 1)
	if p[1] and p[1][2] == ARGV[2] then
		redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[i], 'IDLE', 1000000000000, 'RETRYCOUNT', ARGV[i+1], 'JUSTID')
	end
end`)

// chunk is how many deliveries one script looks at.
const chunk = 500

func (m *member) Extend(ctx context.Context, ds []event.Delivered) error {
	if m.lease != nil {
		return m.lease.renew(ctx)
	}
	for some := range slices.Chunk(ds, chunk) {
		args := []any{m.g.Name, m.g.Consumer}
		for _, d := range some {
			args = append(args, d.Position)
		}
		if err := m.run(ctx, extendScript, args); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) Release(ctx context.Context, ds []event.Delivered) error {
	for some := range slices.Chunk(ds, chunk) {
		args := []any{m.g.Name, m.g.Consumer}
		for _, d := range some {
			args = append(args, d.Position, max(d.Attempt-1, 0))
		}
		if err := m.run(ctx, releaseScript, args); err != nil {
			return err
		}
	}
	return nil
}

func (m *member) run(ctx context.Context, s *goredis.Script, args []any) error {
	_, err := redis.Do(ctx, m.d.client, func(ctx context.Context) (any, error) {
		return s.Run(ctx, m.d.client, []string{m.d.key}, args...).Result()
	})
	if err == goredis.Nil {
		err = nil
	}
	return redis.WriteError(err)
}
