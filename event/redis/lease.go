package redis

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	goredis "github.com/redis/go-redis/v9"
)

// lease is a key that at most one member of a group has. The holder counts on
// it by its own clock only, from before a renewal was sent, so it stops
// before the key expires.
type lease struct {
	d      *driver
	key    string
	holder string
	ttl    time.Duration

	turn  atomic.Int64 // counts the times that it was taken; negative: not held
	until atomic.Int64 // ns of the process's clock
	tried atomic.Bool  // it was asked for, and the answer never came
}

var started = time.Now()

func now() int64 { return int64(time.Since(started)) }

// margin is left of the time to live for clocks that run apart.
func (l *lease) margin() time.Duration { return l.ttl / 10 }

// holds ends the turn when it is no longer sure, even if nobody has taken the
// next.
func (l *lease) holds() bool {
	t := l.turn.Load()
	if t <= 0 {
		return false
	}
	if now() >= l.until.Load() {
		l.turn.CompareAndSwap(t, -t)
		return false
	}
	return true
}

// take returns the number of the holder's turn, taking the lease or renewing
// it as needed; or 0, and how long to wait before asking again. A turn that was
// lost is fault.Lost, once.
func (l *lease) take(ctx context.Context) (turn int64, pause time.Duration, err error) {
	if t := l.turn.Load(); t > 0 {
		if time.Duration(l.until.Load()-now()) > l.ttl*3/4-l.margin() {
			return t, 0, nil
		}
		if err := l.renew(ctx); err != nil {
			return 0, 0, err
		}
		return t, 0, nil
	}
	sent := now()
	l.tried.Store(true)
	// The answer is waited for, also by a member that is closed meanwhile: what it
	// sends then to release the lease could overtake the request for it.
	ok, err := redis.Do(context.WithoutCancel(ctx), l.d.client, func(ctx context.Context) (bool, error) {
		return takeScript.Run(ctx, l.d.client, []string{l.key}, l.holder, l.ttl.Milliseconds()).Bool()
	})
	if err != nil {
		return 0, 0, redis.ReadError(err) // if it was taken unknowingly, it is released or expires
	}
	l.tried.Store(false)
	if !ok {
		return 0, min(max(l.ttl/20, 20*time.Millisecond), time.Second), nil
	}
	l.until.Store(sent + int64(l.ttl-l.margin()))
	t := -l.turn.Load() + 1
	l.turn.Store(t)
	return t, 0, nil
}

// takeScript also takes what this holder has already, from a turn of its own
// that it gave up, or a reply that was lost. It may do so while the server's memory
// is full: groups go on with what is in the stream, and free it.
var takeScript = goredis.NewScript(`#!lua flags=allow-oom
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1`)

var renewScript = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0`)

var dropScript = goredis.NewScript(`
if redis.call('GET', KEYS[1]) == ARGV[1] then
	return redis.call('DEL', KEYS[1])
end
return 0`)

// renew keeps the lease, or finds that it is lost.
func (l *lease) renew(ctx context.Context) error {
	t := l.turn.Load()
	if t <= 0 {
		return nil
	}
	sent := now()
	n, err := redis.Do(ctx, l.d.client, func(ctx context.Context) (int, error) {
		return renewScript.Run(ctx, l.d.client, []string{l.key}, l.holder, l.ttl.Milliseconds()).Int()
	})
	if err != nil {
		return redis.ReadError(err)
	}
	if n == 0 {
		if l.turn.CompareAndSwap(t, -t) {
			return fault.Lost
		}
		return nil
	}
	l.until.Store(sent + int64(l.ttl-l.margin()))
	return nil
}

// release lets the next one take it, also if this member may have it without
// knowing, since the answer was lost.
func (l *lease) release(ctx context.Context) error {
	t := l.turn.Load()
	if (t <= 0 || !l.turn.CompareAndSwap(t, -t)) && !l.tried.Load() {
		return nil
	}
	_, err := redis.Do(ctx, l.d.client, func(ctx context.Context) (int, error) {
		return dropScript.Run(ctx, l.d.client, []string{l.key}, l.holder).Int()
	})
	return redis.WriteError(err)
}
