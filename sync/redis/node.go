package redis

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
	"time"

	redisconn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	goredis "github.com/redis/go-redis/v9"
)

// node is one place that scripts run at: a server, or a cluster.
type node struct {
	conn *redisconn.Client
	hub  *hub
}

func (n *node) close() error {
	n.hub.close()
	return n.conn.Close()
}

// slots spread over a cluster; each has a token counter of its own, so that
// all keys of a script are on one server.
const slots = 64

// keys are those of one id.
type keys struct {
	lock    string // of a semaphore: the sorted set of claims by expiry
	info    string // of a semaphore: the tokens of its claims, and its limit
	counter string
	channel string
	tomb    string // prefix
}

func keysOf(key string) keys {
	h := fnv.New32a()
	h.Write([]byte(key))
	slot := "{" + strconv.Itoa(int(h.Sum32()%slots)) + "}"
	parts := strings.SplitN(key, "/", 3) // sync, namespace, the rest
	k := slot + key
	return keys{lock: k, info: k + "!info", channel: k, tomb: k + "!", counter: slot + parts[0] + "/" + parts[1] + "/token"}
}

// The scripts may be repeated: a claim that finds itself is granted as before.
// What they all begin with: KEYS lock, counter, tomb, info; ARGV nonce, TTL in
// ms, owner, limit, channel.
const nextToken = `
local function token()
	local t = redis.call('TIME')
	local now = t[1] * 1000000 + t[2]
	local last = tonumber(redis.call('GET', KEYS[2]) or '0')
	if now <= last then now = last + 1 end
	local s = string.format('%.0f', now)
	redis.call('SET', KEYS[2], s)
	return s
end
`

// Results of acquire: {1, token}, {0, ms until the holder's end, holder},
// {2} after a release, {3, limit} for another limit.
var acquireLock = goredis.NewScript(nextToken + `
local v = redis.call('GET', KEYS[1])
if v then
	local nonce, tok = string.match(v, '^(%S+) (%S+) ')
	if nonce ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[1]), v} end
	redis.call('PEXPIRE', KEYS[1], ARGV[2])
	return {1, tok}
end
if redis.call('EXISTS', KEYS[3]) == 1 then return {2} end
local tok = token()
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. tok .. ' ' .. ARGV[3], 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[5], 'granted')
return {1, tok}
`)

var renewLock = goredis.NewScript(`
local v = redis.call('GET', KEYS[1])
if not v or string.match(v, '^%S+') ~= ARGV[1] then return 0 end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 1
`)

// With ARGV[3] the claim is buried: a request to acquire that is still on its
// way finds the tombstone.
var releaseLock = goredis.NewScript(`
if ARGV[3] == '1' then redis.call('SET', KEYS[3], '', 'PX', ARGV[2]) end
local v = redis.call('GET', KEYS[1])
if not v or string.match(v, '^%S+') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('PUBLISH', ARGV[5], 'released')
return 1
`)

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

var acquirePermit = goredis.NewScript(nextToken + semaphore + `
local n = redis.call('ZCARD', KEYS[1])
if n == 0 then redis.call('DEL', KEYS[4]) end
local limit = redis.call('HGET', KEYS[4], 'limit')
if limit and limit ~= ARGV[4] then return {3, limit} end
local tok = redis.call('HGET', KEYS[4], ARGV[1])
if not tok then
	if n >= tonumber(ARGV[4]) then
		return {0, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now, ''}
	end
	if redis.call('EXISTS', KEYS[3]) == 1 then return {2} end
	tok = token()
	redis.call('HSET', KEYS[4], 'limit', ARGV[4], ARGV[1], tok)
end
keep(ARGV[1])
return {1, tok}
`)

var renewPermit = goredis.NewScript(semaphore + `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
keep(ARGV[1])
return 1
`)

var releasePermit = goredis.NewScript(semaphore + `
if ARGV[3] == '1' then redis.call('SET', KEYS[3], '', 'PX', ARGV[2]) end
redis.call('HDEL', KEYS[4], ARGV[1])
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return 0 end
redis.call('PUBLISH', ARGV[5], 'released')
return 1
`)

// raise makes the token of a claim, and the counter, at least ARGV[2].
var raise = goredis.NewScript(`
local v = redis.call('GET', KEYS[1])
local tok = ARGV[2]
if redis.call('EXISTS', KEYS[4]) == 1 then
	if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 0 then return 0 end
	redis.call('HSET', KEYS[4], ARGV[1], tok)
else
	if not v then return 0 end
	local nonce, old, owner = string.match(v, '^(%S+) (%S+) (.*)$')
	if nonce ~= ARGV[1] then return 0 end
	redis.call('SET', KEYS[1], nonce .. ' ' .. tok .. ' ' .. owner, 'PX', math.max(1, redis.call('PTTL', KEYS[1])))
end
if tonumber(redis.call('GET', KEYS[2]) or '0') < tonumber(tok) then redis.call('SET', KEYS[2], tok) end
return 1
`)

// run runs a script, and once more if nobody knows whether it ran.
func (n *node) run(ctx context.Context, s *goredis.Script, k keys, nonce string, args ...any) (reply any, repeated bool, err error) {
	for {
		reply, err = redisconn.Do(ctx, func(ctx context.Context) (any, error) {
			return s.Run(ctx, n.conn, []string{k.lock, k.counter, k.tomb + nonce, k.info}, append([]any{nonce}, args...)...).Result()
		})
		err = redisconn.WriteError(err)
		if err == nil || repeated || ctx.Err() != nil || !errors.Is(err, fault.UnknownOutcome) {
			return reply, repeated, err
		}
		repeated = true
	}
}

// answer is that of acquire.
type answer struct {
	granted bool
	token   uint64
	left    time.Duration // of the holder
	holder  dsync.Candidate
	sent    time.Time // when the request was sent that brought the answer, or before
}

func (n *node) acquire(ctx context.Context, k keys, r dsync.Request) (answer, error) {
	script := acquireLock
	if r.Limit > 1 {
		script = acquirePermit
	}
	a := answer{sent: time.Now()}
	reply, _, err := n.run(ctx, script, k, r.Nonce, r.TTL.Milliseconds(), r.Owner, r.Limit, k.channel)
	if err != nil {
		return a, err
	}
	fields, _ := reply.([]any)
	if len(fields) == 0 {
		return a, fmt.Errorf("redis answered %v", reply)
	}
	code, _ := fields[0].(int64)
	switch {
	case code == 1 && len(fields) == 2:
		a.granted = true
		a.token, err = strconv.ParseUint(fmt.Sprint(fields[1]), 10, 64)
		return a, err
	case code == 0 && len(fields) == 3:
		ms, _ := fields[1].(int64)
		a.left = time.Duration(max(ms, 1)) * time.Millisecond
		a.holder = parse(fmt.Sprint(fields[2]))
		return a, nil
	case code == 2:
		return a, fault.Markf(fault.Lost, "released before it was granted")
	case code == 3 && len(fields) == 2:
		return a, fault.Markf(fault.Conflict, "limit %d, but others use %v", r.Limit, fields[1])
	}
	return a, fmt.Errorf("redis answered %v", reply)
}

// renew reports whether the claim was there.
func (n *node) renew(ctx context.Context, k keys, r dsync.Request) (bool, error) {
	script := renewLock
	if r.Limit > 1 {
		script = renewPermit
	}
	reply, _, err := n.run(ctx, script, k, r.Nonce, r.TTL.Milliseconds())
	return reply == int64(1), err
}

// release reports whether the claim was there. bury keeps a late acquire out.
func (n *node) release(ctx context.Context, k keys, r dsync.Request, bury bool) (bool, error) {
	script, b := releaseLock, 0
	if r.Limit > 1 {
		script = releasePermit
	}
	if bury {
		b = 1
	}
	reply, repeated, err := n.run(ctx, script, k, r.Nonce, r.TTL.Milliseconds(), b, r.Limit, k.channel)
	return reply == int64(1) || repeated, err
}

// raise makes the claim's token at least that. It reports whether the claim was
// there.
func (n *node) raise(ctx context.Context, k keys, nonce string, token uint64) (bool, error) {
	reply, _, err := n.run(ctx, raise, k, nonce, strconv.FormatUint(token, 10))
	return reply == int64(1), err
}

// holder returns who holds a lock, and for how long if nobody renews.
func (n *node) holder(ctx context.Context, k keys) (dsync.Candidate, time.Duration, error) {
	type result struct {
		value string
		left  time.Duration
	}
	r, err := redisconn.Do(ctx, func(ctx context.Context) (result, error) {
		var value *goredis.StringCmd
		var left *goredis.DurationCmd
		_, err := n.conn.Pipelined(ctx, func(p goredis.Pipeliner) error {
			value, left = p.Get(ctx, k.lock), p.PTTL(ctx, k.lock)
			return nil
		})
		if errors.Is(err, goredis.Nil) {
			return result{}, nil
		}
		if err != nil {
			return result{}, err
		}
		return result{value.Val(), left.Val()}, nil
	})
	if err != nil {
		return dsync.Candidate{}, 0, redisconn.ReadError(err)
	}
	return parse(r.value), max(r.left, 0), nil
}

// parse reads a lock's value.
func parse(v string) dsync.Candidate {
	_, rest, _ := strings.Cut(v, " ")
	token, owner, _ := strings.Cut(rest, " ")
	n, _ := strconv.ParseUint(token, 10, 64)
	return dsync.Candidate{Owner: owner, Token: n}
}
