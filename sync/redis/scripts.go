package redis

import goredis "github.com/redis/go-redis/v9"

// script is a script of the server's and the arguments that run it.
type script struct {
	source     string
	hash, keys any
}

// newScript makes a script with so many keys.
func newScript(keys int, source string) *script {
	return &script{source: source, hash: goredis.NewScript(source).Hash(), keys: keys}
}

// The scripts may be repeated: a claim that finds itself is granted as before,
// with another token. KEYS are lock, counter, tomb, info, as far as needed;
// ARGV are mark, which is the nonce and a space, TTL in ms, and more.
//
// A lock's value is "<nonce> - <owner>". That of an election, which is watched,
// has the token in the place of "-".

// The token is the time in microseconds, but larger than the last one.
const nextToken = `
local function token(last)
	local t = redis.call('TIME')
	local now = t[1] * 1000000 + t[2]
	if last and now <= tonumber(last) then now = tonumber(last) + 1 end
	redis.call('SET', KEYS[2], now)
	return now
end
`

// Results of acquire: a token, or {0, ms until the holder's end, holder},
// {2} after a release, {3, limit} for another limit. ARGV[3] is the value.
// Uncontended, it is four calls.
var acquireLock = newScript(3, nextToken+`
if redis.call('SET', KEYS[1], ARGV[3], 'NX', 'PX', ARGV[2]) then
	local last = redis.call('MGET', KEYS[2], KEYS[3])
	if last[2] then
		redis.call('DEL', KEYS[1])
		return {2}
	end
	return token(last[1])
end
local v = redis.call('GET', KEYS[1])
if v ~= ARGV[3] then return {0, redis.call('PTTL', KEYS[1]), v} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return token(redis.call('GET', KEYS[2]))
`)

// ARGV[3] is the owner. The grant is announced.
var acquireWatched = newScript(3, nextToken+`
local v = redis.call('GET', KEYS[1])
if v and string.find(v, ARGV[1], 1, true) ~= 1 then return {0, redis.call('PTTL', KEYS[1]), v} end
if redis.call('EXISTS', KEYS[3]) == 1 then return {2} end
local tok = token(redis.call('GET', KEYS[2]))
redis.call('SET', KEYS[1], ARGV[1] .. string.format('%.0f', tok) .. ' ' .. ARGV[3], 'PX', ARGV[2])
redis.call('PUBLISH', KEYS[1], 'granted')
return tok
`)

var renewLock = newScript(1, `
local v = redis.call('GET', KEYS[1])
if not v or string.find(v, ARGV[1], 1, true) ~= 1 then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

var releaseLock = newScript(1, `
local v = redis.call('GET', KEYS[1])
if not v or string.find(v, ARGV[1], 1, true) ~= 1 then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', KEYS[1], 'released')
return 1
`)

// bury makes a request to acquire that is still on its way find a tombstone.
var bury = newScript(3, `return redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])`)

const semaphore = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
	redis.call('ZREM', KEYS[1], gone)
	redis.call('HDEL', KEYS[4], gone)
end
local function keep(nonce)
	redis.call('ZADD', KEYS[1], now + ARGV[2], nonce)
	local last = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
	redis.call('PEXPIRE', KEYS[1], last - now)
	redis.call('PEXPIRE', KEYS[4], last - now)
end
`

// ARGV[3] is the limit.
var acquirePermit = newScript(4, nextToken+semaphore+`
local n = redis.call('ZCARD', KEYS[1])
if n == 0 then redis.call('DEL', KEYS[4]) end
local limit = redis.call('HGET', KEYS[4], 'limit')
if limit and limit ~= ARGV[3] then return {3, limit} end
local tok = redis.call('HGET', KEYS[4], ARGV[1])
if not tok then
	if n >= tonumber(ARGV[3]) then
		return {0, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now, ''}
	end
	if redis.call('EXISTS', KEYS[3]) == 1 then return {2} end
	tok = string.format('%.0f', token(redis.call('GET', KEYS[2])))
	redis.call('HSET', KEYS[4], 'limit', ARGV[3], ARGV[1], tok)
end
keep(ARGV[1])
return tok
`)

var renewPermit = newScript(4, semaphore+`
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
keep(ARGV[1])
return 1
`)

var releasePermit = newScript(4, semaphore+`
redis.call('HDEL', KEYS[4], ARGV[1])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PUBLISH', KEYS[1], 'released')
return 1
`)

// raise makes the token of a claim, and the counter, at least ARGV[3].
var raise = newScript(2, `
local tok = ARGV[3]
local v = redis.call('GET', KEYS[1])
if not v or string.find(v, ARGV[1], 1, true) ~= 1 then return 0 end
local old, owner = string.match(v, '^%S+ (%S+) (.*)$')
if old ~= '-' then
	redis.call('SET', KEYS[1], ARGV[1] .. tok .. ' ' .. owner, 'PX', math.max(1, redis.call('PTTL', KEYS[1])))
	redis.call('PUBLISH', KEYS[1], 'granted')
end
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(tok) then redis.call('SET', KEYS[2], tok) end
return 1
`)
