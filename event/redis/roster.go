package redis

import (
	"context"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// attendScript keeps the members of a divided group in a sorted set by the time
// until which they are believed to live, which expires with the last of them.
var attendScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if ARGV[2] == '0' then
	redis.call('ZREM', KEYS[1], ARGV[1])
else
	redis.call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[2]), ARGV[1])
	if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
end
return redis.call('ZRANGE', KEYS[1], 0, -1)`)

func (d *driver) Attend(ctx context.Context, group, consumer string, ttl time.Duration) ([]string, error) {
	list, err := redis.Do(ctx, d.client, func(ctx context.Context) ([]string, error) {
		return attendScript.Run(ctx, d.client, []string{d.key + ":members:" + group}, consumer, ttl.Milliseconds()).StringSlice()
	})
	return list, redis.WriteError(err)
}
