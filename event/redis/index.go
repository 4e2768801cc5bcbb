package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/micro/go-platform/event"
	"github.com/micro/go-platform/internal/conn/redis"
	goredis "github.com/redis/go-redis/v9"
)

// Look-ups by ID and by RootID use an index: a sorted set beside the stream, in
// the same slot. The first look-up makes it, each brings it up to date, and it
// expires when there is none for a day. So publishing pays nothing, it doesn't
// matter who appended, and the index is only ever behind: what it names is read
// from the stream and compared. All members have the score 0, so their bytes
// give the order:
//
//	i<hash of the ID><entry id>        one for each entry
//	r<hash of the RootID><entry id>    one for each entry
//	m<entry id>                        everything up to here is in the index
//
// The marker is part of the set: a server that evicts one evicts both. Entries
// that Trim removes leave the index with it. If others trim the stream, the
// index is dropped and made again once more of it is stale than not.

func (d *driver) indexKey() string { return d.key + ":index" }

// The first bytes of members.
const (
	byID   = "i"
	byRoot = "r"
)

// indexLua is the part that scripts share. Entry ids are written so that their
// bytes sort as their numbers do: each number behind its length.
const indexLua = `
local function hash(s) return string.sub(redis.sha1hex(s), 1, 12) end
local function sorted(id)
	local ms, seq = string.match(id, '(%d+)-(%d+)')
	return string.char(#ms) .. ms .. string.char(#seq) .. seq
end
local function before(a, b)
	local am, as = string.match(a, '(%d+)-(%d+)')
	local bm, bs = string.match(b, '(%d+)-(%d+)')
	if #am ~= #bm then return #am < #bm end
	if am ~= bm then return am < bm end
	if #as ~= #bs then return #as < #bs end
	return as < bs
end
local function text(s, p)
	local n, scale, c = 0, 1
	repeat
		c = string.byte(s, p)
		if not c then return nil, p end
		n, scale, p = n + c % 128 * scale, scale * 128, p + 1
	until c < 128
	return string.sub(s, p, p + n - 1), p + n
end
-- the members of an entry; none if it is no record
local function members(e)
	local record
	for i = 1, #e[2], 2 do
		if e[2][i] == 'record' then record = e[2][i+1] end
	end
	if not record or string.byte(record, 1) ~= 1 then return nil, nil, 0 end
	local id, root, p
	id, p = text(record, 2)
	for _ = 1, 3 do root, p = text(record, p) end
	if not root then return nil, nil, #record end
	local at = sorted(e[1])
	return 'i' .. hash(id) .. at, 'r' .. hash(root) .. at, #record
end`

// findScript brings the index up to date by no more than 1000 entries or 1 MB,
// and returns 0 and where it is if there are more. Otherwise it returns 1, the
// last id of the stream, how many members it found and the id of the last, and
// their entries. ARGV: the lower and the upper bound, whether in reverse, how
// many at most, and after how many ms without a look-up the index expires.
var findScript = goredis.NewScript(indexLua + `
local stream, index = KEYS[1], KEYS[2]
if redis.call('EXISTS', stream) == 0 then
	redis.call('UNLINK', index)
	return {1, '0-0', 0, ''}
end
local info, last = redis.call('XINFO', 'STREAM', stream), nil
for i = 1, #info, 2 do
	if info[i] == 'last-generated-id' then last = info[i+1] end
end
local old = redis.call('ZRANGEBYLEX', index, '[m', '(n', 'LIMIT', 0, 1)[1]
local at = old and string.sub(old, 2)
if old and (before(last, at) or redis.call('ZCARD', index) > 4 * redis.call('XLEN', stream) + 4000) then
	redis.call('UNLINK', index)
	old, at = nil, nil
end
at = at or '0-0'
local count, bytes, moved = 0, 0, not old
while at ~= last and count < 1000 and bytes < 1000000 do
	local entries = redis.call('XRANGE', stream, '(' .. at, '+', 'COUNT', 32)
	for _, e in ipairs(entries) do
		local id, root, size = members(e)
		if id then redis.call('ZADD', index, 0, id, 0, root) end
		at, bytes = e[1], bytes + size
	end
	count, moved = count + #entries, true
	if #entries < 32 then at = last end
end
if moved then
	if old then redis.call('ZREM', index, old) end
	redis.call('ZADD', index, 0, 'm' .. at)
end
if moved or redis.call('PTTL', index) < ARGV[5] / 2 then redis.call('PEXPIRE', index, ARGV[5]) end
if at ~= last then return {0, at} end
local found
if ARGV[3] == '1' then
	found = redis.call('ZREVRANGEBYLEX', index, ARGV[2], ARGV[1], 'LIMIT', 0, ARGV[4])
else
	found = redis.call('ZRANGEBYLEX', index, ARGV[1], ARGV[2], 'LIMIT', 0, ARGV[4])
end
local out, id = {1, last, #found, ''}, ''
for _, m in ipairs(found) do
	local n = string.byte(m, 14)
	id = string.sub(m, 15, 14 + n) .. '-' .. string.sub(m, 16 + n)
	local e = redis.call('XRANGE', stream, id, id)[1]
	if e then
		out[#out+1] = e
	else
		redis.call('ZREM', index, m)
	end
end
out[4] = id
return out`)

// indexLife is how long an index that nobody uses is kept.
const indexLife = 24 * time.Hour

// lookUp reads by the index, if the filter has a value for it. ok is false if it
// has none, or if the server refuses: as one whose memory is full, or to a user
// who may not run scripts. Then the stream is read instead.
func (d *driver) lookUp(ctx context.Context, q event.ReadRequest, after string) (page event.Page, ok bool, err error) {
	prefix := ""
	switch {
	case q.Filter.ID != "":
		prefix = indexed(byID, q.Filter.ID)
	case q.Filter.RootID != "":
		prefix = indexed(byRoot, q.Filter.RootID)
	default:
		return page, false, nil
	}
	low, high, reverse := "["+prefix, "("+prefix+"\xff", 0
	if q.Reverse {
		reverse = 1
		if after != "" {
			high = "(" + prefix + sorted(after)
		}
	} else {
		low = "(" + prefix + sorted(after)
	}
	for {
		got, err := redis.Do(ctx, d.client, func(ctx context.Context) ([]any, error) {
			return findScript.Run(ctx, d.client, []string{d.key, d.indexKey()}, low, high, reverse, q.Max, indexLife.Milliseconds()).Slice()
		})
		if isAnswer(err, "") {
			return page, false, nil
		}
		if err != nil {
			return page, false, redis.ReadError(err)
		}
		if got[0] == int64(0) { // there is more to take in
			continue
		}
		page.Next, _ = got[1].(string)
		if n, _ := got[2].(int64); n == int64(q.Max) {
			page.Next, page.More = got[3].(string), true
		}
		for _, e := range got[4:] {
			if r := d.decode(entry(e)); r != nil && q.Filter.Match(r) {
				page.Records = append(page.Records, r)
			}
		}
		return page, true, nil
	}
}

// indexed is how the members of a value begin.
func indexed(kind, value string) string {
	sum := sha1.Sum([]byte(value)) // as Redis' scripts have it
	return kind + hex.EncodeToString(sum[:6])
}

// sorted writes an entry id as the scripts do.
func sorted(id string) string {
	b := make([]byte, 0, 24)
	ms, seq := split(id)
	for _, n := range []uint64{ms, seq} {
		digits := strconv.FormatUint(n, 10)
		b = append(append(b, byte(len(digits))), digits...)
	}
	return string(b)
}

// entry is one of a script's reply.
func entry(v any) goredis.XMessage {
	m := goredis.XMessage{Values: map[string]any{}}
	pair, _ := v.([]any)
	if len(pair) != 2 {
		return m
	}
	m.ID, _ = pair[0].(string)
	fields, _ := pair[1].([]any)
	for i := 0; i+1 < len(fields); i += 2 {
		if name, ok := fields[i].(string); ok {
			m.Values[name] = fields[i+1]
		}
	}
	return m
}
