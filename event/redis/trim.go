package redis

import (
	"context"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// trimScript removes up to ARGV[4] of the oldest entries that are older than
// ARGV[1] ms, more than ARGV[2], or part of more than ARGV[3] bytes (0: no limit), but
// stops before the first that a group has not been handed and acknowledged.
// It returns how many it removed.
var trimScript = goredis.NewScript(indexLua + `
local len = redis.call('XLEN', KEYS[1])
if len == 0 then return 0 end
local age, count, bytes, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local excess = 0
if count > 0 and len > count then excess = len - count end
if bytes > 0 then
	local size = redis.call('MEMORY', 'USAGE', KEYS[1], 'SAMPLES', 0)
	if size > bytes then excess = math.max(excess, math.ceil((size - bytes) * len / size)) end
end
local old = nil
if age > 0 then
	local t = redis.call('TIME')
	old = string.format('%.0f-0', t[1] * 1000 + math.floor(t[2] / 1000) - age)
end
if excess == 0 and not old then return 0 end
local needed = nil
for _, g in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
	local name, last
	for i = 1, #g, 2 do
		if g[i] == 'name' then name = g[i+1] end
		if g[i] == 'last-delivered-id' then last = g[i+1] end
	end
	local p = redis.call('XPENDING', KEYS[1], name)
	local keep, inclusive = last, false
	if p[1] > 0 then keep, inclusive = p[2], true end
	-- entries below keep are done; keep itself is only if it is not pending
	if not needed or before(keep, needed.id) or (keep == needed.id and inclusive) then
		needed = {id = keep, inclusive = inclusive}
	end
end
local removed, upto = 0, nil
local indexed = redis.call('EXISTS', KEYS[2]) == 1
for _, e in ipairs(redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', most)) do
	local id = e[1]
	if needed and (before(needed.id, id) or (needed.inclusive and needed.id == id)) then break end
	if removed >= excess and not (old and before(id, old)) then break end
	removed, upto = removed + 1, id
	if indexed then
		local a, b = members(e)
		if a then redis.call('ZREM', KEYS[2], a, b) end
	end
end
if not upto then return 0 end
local ms, seq = string.match(upto, '(%d+)-(%d+)')
redis.call('XTRIM', KEYS[1], 'MINID', '=', upto)
return redis.call('XDEL', KEYS[1], upto) + removed - 1`)

// trimBatch is how many entries one script removes, so that none holds the
// server up for long.
const trimBatch = 1000

func (d *driver) Trim(ctx context.Context, keep event.Retention) (int64, error) {
	for total := int64(0); ; {
		n, err := redis.Do(ctx, d.client, func(ctx context.Context) (int64, error) {
			return trimScript.Run(ctx, d.client, []string{d.key, d.indexKey()}, keep.Age.Milliseconds(), keep.Count, keep.Bytes, trimBatch).Int64()
		})
		if err != nil {
			return total, redis.WriteError(err)
		}
		total += n
		if n < trimBatch {
			return total, nil
		}
	}
}
