package redis

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/event"
	eventdriver "github.com/micro/go-platform/event/driver"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// What is published later is beside the stream, in the same slot: a sorted set of
// IDs by due time in milliseconds, and a hash of what they stand for, the
// recurrence, a zero byte and the encoded record. Scripts change both together,
// and by the server's clock. If a server that evicts takes one of the two, the
// entry is gone.

func (d *driver) planKeys() []string { return []string{d.key + ":due", d.key + ":scheduled"} }

var scheduleScript = goredis.NewScript(`
for i = 1, #ARGV, 4 do
	local id, due, recurrence, record = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3]
	local head = recurrence .. '\0'
	if recurrence ~= '' then
		local old = redis.call('HGET', KEYS[2], id)
		if old and string.sub(old, 1, #head) == head then due = redis.call('ZSCORE', KEYS[1], id) or due end
	end
	redis.call('ZADD', KEYS[1], due, id)
	redis.call('HSET', KEYS[2], id, head .. record)
end
return 1`)

func (d *driver) Schedule(ctx context.Context, entries []event.Scheduled) error {
	records := make([]*event.Record, len(entries))
	args := make([]any, 0, 4*len(entries))
	for i, e := range entries {
		records[i] = e.Record
		args = append(args, e.ID, e.Due.UnixMilli(), e.Recurrence, eventdriver.AppendRecord(nil, e.Record))
	}
	if err := d.limits(ctx, records); err != nil {
		return err
	}
	_, err := redis.Do(ctx, d.client, func(ctx context.Context) (any, error) {
		return scheduleScript.Run(ctx, scripter{d.client.UniversalClient}, d.planKeys(), args...).Result()
	})
	return redis.WriteError(err)
}

var unscheduleScript = goredis.NewScript(`
redis.call('HDEL', KEYS[2], ARGV[1])
return redis.call('ZREM', KEYS[1], ARGV[1])`)

func (d *driver) Unschedule(ctx context.Context, id string) error {
	n, err := redis.Do(ctx, d.client, func(ctx context.Context) (int64, error) {
		return unscheduleScript.Run(ctx, scripter{d.client.UniversalClient}, d.planKeys(), id).Int64()
	})
	if err == nil && n == 0 {
		return fault.NotFound
	}
	return redis.WriteError(err)
}

// listScript returns id, due time and value of up to ARGV[3] entries after the one
// with the due time ARGV[1] and the ID ARGV[2], also if that is gone.
var listScript = goredis.NewScript(`
local at = 0
if ARGV[1] ~= '' then
	at = redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. ARGV[1])
	if redis.call('ZSCORE', KEYS[1], ARGV[2]) == ARGV[1] then
		at = redis.call('ZRANK', KEYS[1], ARGV[2]) + 1
	else
		for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], ARGV[1], ARGV[1])) do
			if id <= ARGV[2] then at = at + 1 end
		end
	end
end
local out = {}
local page = redis.call('ZRANGE', KEYS[1], at, at + ARGV[3] - 1, 'WITHSCORES')
for i = 1, #page, 2 do
	out[#out+1] = page[i]
	out[#out+1] = page[i+1]
	out[#out+1] = redis.call('HGET', KEYS[2], page[i]) or ''
end
return out`)

func (d *driver) Scheduled(ctx context.Context, from string, limit int) ([]event.Scheduled, string, error) {
	due, id, _ := strings.Cut(from, " ")
	got, err := redis.Do(ctx, d.client, func(ctx context.Context) ([]string, error) {
		return listScript.Run(ctx, d.client, d.planKeys(), due, id, limit).StringSlice()
	})
	if err != nil {
		return nil, "", redis.ReadError(err)
	}
	list, err := plans(got)
	if err != nil || len(got) < 3*limit {
		return list, "", err
	}
	return list, got[len(got)-2] + " " + got[len(got)-3], nil
}

// plans reads entries of three strings each, and leaves out those that lack their
// value. The version of one is the digest of its value, which fireScript compares.
func plans(got []string) (list []event.Scheduled, err error) {
	for ; len(got) >= 3; got = got[3:] {
		if got[2] == "" {
			continue
		}
		sum := sha1.Sum([]byte(got[2]))
		e := event.Scheduled{ID: got[0], Version: hex.EncodeToString(sum[:])}
		ms, err := strconv.ParseFloat(got[1], 64)
		if err != nil {
			return nil, err
		}
		e.Due = time.UnixMilli(int64(ms)).UTC()
		var record string
		e.Recurrence, record, _ = strings.Cut(got[2], "\x00")
		e.Record, e.Err = eventdriver.ParseRecord(record)
		list = append(list, e)
	}
	return list, nil
}

// dueScript returns the time and when the first entry is due, or ”, and then id,
// due time and value of up to ARGV[1] entries whose time has come.
var dueScript = goredis.NewScript(`
local t = redis.call('TIME')
local now = string.format('%.0f', t[1] * 1000 + math.floor(t[2] / 1000))
local out = {now, redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] or ''}
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'WITHSCORES', 'LIMIT', 0, ARGV[1])
for i = 1, #due, 2 do
	local value = redis.call('HGET', KEYS[2], due[i])
	if value then
		out[#out+1] = due[i]
		out[#out+1] = due[i+1]
		out[#out+1] = value
	else
		redis.call('ZREM', KEYS[1], due[i])
	end
end
return out`)

func (d *driver) Due(ctx context.Context, limit int) (out eventdriver.DueNow, err error) {
	got, err := redis.Do(ctx, d.client, func(ctx context.Context) ([]string, error) {
		return dueScript.Run(ctx, d.client, d.planKeys(), limit).StringSlice()
	})
	if err != nil {
		return out, redis.ReadError(err)
	}
	now, err := strconv.ParseInt(got[0], 10, 64)
	if err != nil {
		return out, err
	}
	out.Now = time.UnixMilli(now)
	if got[1] != "" {
		first, err := strconv.ParseFloat(got[1], 64)
		if err != nil {
			return out, err
		}
		out.Next = time.UnixMilli(int64(first)).UTC()
	}
	out.Entries, err = plans(got[2:])
	return out, err
}

// fireScript appends first, so that an entry is still there if the server refuses
// its record. It leaves alone what has been replaced, by the same due time too.
var fireScript = goredis.NewScript(`
local n = 0
for i = 1, #ARGV, 6 do
	local id, due, version, next, typ, record = ARGV[i], ARGV[i+1], ARGV[i+2], ARGV[i+3], ARGV[i+4], ARGV[i+5]
	local score, value = redis.call('ZSCORE', KEYS[1], id), redis.call('HGET', KEYS[2], id)
	if score and tonumber(score) == tonumber(due) and value and redis.sha1hex(value) == version then
		if record ~= '' then redis.call('XADD', KEYS[3], '*', 'type', typ, 'record', record) end
		if next == '' then
			redis.call('ZREM', KEYS[1], id)
			redis.call('HDEL', KEYS[2], id)
		else
			redis.call('ZADD', KEYS[1], next, id)
		end
		n = n + 1
	end
end
return n`)

func (d *driver) Fire(ctx context.Context, firings []eventdriver.Firing) (int, error) {
	var records []*event.Record
	args := make([]any, 0, 6*len(firings))
	for _, f := range firings {
		next, typ, record := "", "", []byte(nil)
		if !f.Next.IsZero() {
			next = strconv.FormatInt(f.Next.UnixMilli(), 10)
		}
		if f.Record != nil {
			typ, record, records = f.Record.Type, eventdriver.AppendRecord(nil, f.Record), append(records, f.Record)
		}
		args = append(args, f.ID, f.Due.UnixMilli(), f.Version, next, typ, record)
	}
	if err := d.limits(ctx, records); err != nil {
		return 0, err
	}
	n, err := redis.Do(ctx, d.client, func(ctx context.Context) (int, error) {
		return fireScript.Run(ctx, d.client, append(d.planKeys(), d.key), args...).Int()
	})
	return n, redis.WriteError(err)
}
