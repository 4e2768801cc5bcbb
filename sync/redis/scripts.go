package redis

import goredis "github.com/redis/go-redis/v9"

// script is a script of the server's and the arguments that run it.
type script struct {
	source string
	hash   any
}

func newScript(source string) *script {
	return &script{source: source, hash: goredis.NewScript(source).Hash()}
}

// The scripts have one key, a hash, so they run also while a cluster moves its
// slot, and may be repeated: a claim that finds itself is granted as before.
//
//	t         the last token
//	h u o     the nonce of a lock's holder, until when, its owner
//	l         the limit of a semaphore
//	p<nonce>  "<until> <token>" of a permit
//	x<nonce>  a tombstone: until when a late request to acquire finds it
//
// "until" is milliseconds of the server's clock. The hash itself lives longer
// than what is in it, for its last token.
//
// A server whose memory is full refuses what could take more, but only as a
// script's first write. So to renew and to release begins with a write that
// takes none: who holds a lock keeps it, and who gives it back can.
//
// ARGV are the nonce, the TTL in ms, and more.
const head = `
local key, nonce, ttl = KEYS[1], ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = ttl + 3600000
`

// nextToken is the time in microseconds, but larger than the last one.
const nextToken = `
local function token(last)
	local t = time[1] * 1000000 + time[2]
	if last and t <= tonumber(last) then t = tonumber(last) + 1 end
	return string.format('%.0f', t)
end
`

// mayTell refuses who could not tell others of a release, before anything is
// written. Servers before Redis 7 cannot be asked.
const mayTell = `
if redis.acl_check_cmd and not redis.acl_check_cmd('PUBLISH', key, '') then
	return redis.error_reply("NOPERM the user has no rights on the channel '" .. key .. "'")
end
`

// acquireLock answers a token, or {0, ms until the holder's end, its token and
// owner}, {2} after a release, {3, limit} for another limit. ARGV[3] is the
// owner; ARGV[4] says that a grant is announced, which is tried first: it may be
// refused. Uncontended, it is four calls.
var acquireLock = newScript(head + nextToken + mayTell + `
local f = redis.call('HMGET', key, 'h', 'u', 't', 'x' .. nonce, 'o', 'l')
if f[4] then return {2} end
if f[6] then return {3, f[6]} end
local live = f[1] and tonumber(f[2]) > now
if live and f[1] ~= nonce then return {0, tonumber(f[2]) - now, f[3] .. ' ' .. f[5]} end
local tok = live and f[3] or token(f[3])
if ARGV[4] == '1' then redis.call('PUBLISH', key, 'granted') end
redis.call('HSET', key, 'h', nonce, 'u', string.format('%.0f', now + ttl), 't', tok, 'o', ARGV[3])
redis.call('PEXPIRE', key, keep)
return tok
`)

var renewLock = newScript(head + `
local f = redis.call('HMGET', key, 'h', 'u')
if f[1] ~= nonce or tonumber(f[2]) <= now then return 0 end
redis.call('PEXPIRE', key, keep)
redis.call('HSET', key, 'u', string.format('%.0f', now + ttl))
return 1
`)

// bury makes a request to acquire that is still on its way find a tombstone, if
// ARGV[3] says that there may be one. It is part of releasing: a request of its
// own might be the last that gets through.
const bury = `
if ARGV[3] == '1' then
	redis.call('HDEL', key, 'x' .. nonce)
	local all = redis.call('HGETALL', key)
	for i = 1, #all, 2 do
		if string.sub(all[i], 1, 1) == 'x' and tonumber(all[i + 1]) <= now then redis.call('HDEL', key, all[i]) end
	end
	redis.call('HSET', key, 'x' .. nonce, string.format('%.0f', now + ttl))
	redis.call('PEXPIRE', key, math.max(keep, redis.call('PTTL', key)))
end
`

// A release whose message is refused is one all the same: who waits finds out
// when the holder's time is over.
var releaseLock = newScript(head + bury + `
local f = redis.call('HMGET', key, 'h', 'u')
if f[1] ~= nonce then return 0 end
redis.call('HDEL', key, 'h', 'u', 'o')
redis.pcall('PUBLISH', key, 'released')
if tonumber(f[2]) <= now then return 0 end
return 1
`)

// permits reads those that live, and drops the others.
const permits = `
local held, first, last, mine, limit, lasttoken, lock = 0, nil, now, nil, nil, nil, nil
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
	local name, value = all[i], all[i + 1]
	if string.sub(name, 1, 1) == 'p' then
		local untilms, tok = string.match(value, '^(%S+) (%S+)$')
		untilms = tonumber(untilms)
		if untilms <= now then
			redis.call('HDEL', key, name)
		else
			held = held + 1
			if not first or untilms < first then first = untilms end
			if untilms > last then last = untilms end
			if name == 'p' .. nonce then mine = tok end
		end
	elseif name == 'l' then limit = value
	elseif name == 't' then lasttoken = value
	elseif name == 'u' and tonumber(value) > now then lock = true
	end
end
local function grant(tok)
	redis.call('HSET', key, 'p' .. nonce, string.format('%.0f', now + ttl) .. ' ' .. tok)
	redis.call('PEXPIRE', key, math.max(keep, last - now + 3600000))
end
`

// acquirePermit answers as acquireLock does. ARGV[3] is the limit.
var acquirePermit = newScript(head + nextToken + mayTell + permits + `
if redis.call('HEXISTS', key, 'x' .. nonce) == 1 then return {2} end
if lock then return {3, '1'} end
if held > 0 and limit and limit ~= ARGV[3] then return {3, limit} end
if not mine then
	if held >= tonumber(ARGV[3]) then return {0, first - now, ''} end
	mine = token(lasttoken)
	redis.call('HSET', key, 'l', ARGV[3], 't', mine)
end
grant(mine)
return mine
`)

var renewPermit = newScript(head + permits + `
if not mine then return 0 end
redis.call('PEXPIRE', key, keep)
grant(mine)
return 1
`)

var releasePermit = newScript(head + bury + permits + `
if redis.call('HDEL', key, 'p' .. nonce) == 0 then return 0 end
if held == 1 then redis.call('HDEL', key, 'l') end
redis.pcall('PUBLISH', key, 'released')
return 1
`)

// agree makes the token of a claim ARGV[3], which all of its servers are to
// name. A server may have given a larger one, to this claim alone. ARGV[4] says
// that it is announced.
var agree = newScript(head + `
local f = redis.call('HMGET', key, 'h', 'u')
if f[1] ~= nonce or tonumber(f[2]) <= now then return 0 end
redis.call('HSET', key, 't', ARGV[3])
if ARGV[4] == '1' then redis.call('PUBLISH', key, 'granted') end
return 1
`)

// whoHolds answers the holder's token and owner, and for how long, if nobody
// renews.
var whoHolds = newScript(head + `
local f = redis.call('HMGET', key, 'h', 'u', 't', 'o')
if not f[1] or tonumber(f[2]) <= now then return {'', 0} end
return {f[3] .. ' ' .. f[4], tonumber(f[2]) - now}
`)
