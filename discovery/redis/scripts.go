package redis

import goredis "github.com/redis/go-redis/v9"

// All scripts get the keys of one service: instances, expiry times,
// deregistrations. Each answers the same when it is run twice. Times are the
// server's, in milliseconds.
const clock = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
`

// forget is how long traces outlive what they are of: 10 minutes.
const forget = `
local keep = 600000
local old = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - keep)
for _, id in ipairs(old) do
	redis.call('HDEL', KEYS[1], id)
	redis.call('ZREM', KEYS[2], id)
end
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', now - keep)
`

// register: id, JSON, TTL in ms, channel, how the owner's JSON begins, the JSON
// of another owner's entry that may be replaced. It answers such an entry if it
// is there and may not, and changes nothing.
var register = goredis.NewScript(clock + forget + `
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
local held = score and tonumber(score) > now and redis.call('HGET', KEYS[1], ARGV[1])
if held and held ~= ARGV[6] and string.sub(held, 1, #ARGV[5]) ~= ARGV[5] then return held end
local same = held == ARGV[2]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now + ARGV[3], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
for i = 1, 2 do
	if redis.call('PTTL', KEYS[i]) < keep + ARGV[3] then redis.call('PEXPIRE', KEYS[i], keep + 2 * ARGV[3]) end
end
if not same then redis.call('PUBLISH', ARGV[4], '') end
return ''
`)

// renew: id, TTL in ms, how the owner's JSON begins. It answers 0 if the entry
// isn't there, 2 if it is another's. A server whose memory is full refuses what
// could take more, but only as a script's first write: so it begins with one that
// takes none, and nobody who lives expires for want of room.
var renew = goredis.NewScript(clock + `
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
local held = score and tonumber(score) > now and redis.call('HGET', KEYS[1], ARGV[1])
if not held then return 0 end
if string.sub(held, 1, #ARGV[3]) ~= ARGV[3] then return 2 end
redis.call('ZREM', KEYS[2], '')
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
local keep = 600000
for i = 1, 2 do
	if redis.call('PTTL', KEYS[i]) < keep + ARGV[2] then redis.call('PEXPIRE', KEYS[i], keep + 2 * ARGV[2]) end
end
return 1
`)

// deregister: id, channel, how the owner's JSON begins.
var deregister = goredis.NewScript(clock + forget + `
local held = redis.call('HGET', KEYS[1], ARGV[1])
if not held or string.sub(held, 1, #ARGV[3]) ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 then
	redis.call('ZADD', KEYS[3], now, ARGV[1])
	redis.call('PEXPIRE', KEYS[3], keep)
	redis.call('PUBLISH', ARGV[2], '')
end
return 1
`)

// read answers the time, then ids and their expiry times, their JSON, who
// deregistered, and who expired.
var read = goredis.NewScript(clock + `
local live = redis.call('ZRANGEBYSCORE', KEYS[2], '(' .. now, '+inf', 'WITHSCORES')
local values = {}
for from = 1, #live, 2000 do
	local ids = {}
	for i = from, math.min(from + 1999, #live), 2 do ids[#ids + 1] = live[i] end
	for _, v in ipairs(redis.call('HMGET', KEYS[1], unpack(ids))) do values[#values + 1] = v or '' end
end
return {now, live, values, redis.call('ZRANGE', KEYS[3], 0, -1), redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now)}
`)
