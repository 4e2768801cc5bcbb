package redis

import (
	"context"
	"errors"
	"fmt"
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
	conn  *redisconn.Client
	hub   *hub
	batch batcher
}

func (n *node) close() error {
	n.hub.close()
	n.batch.close()
	return n.conn.Close()
}

// slots spread over a cluster; each has a token counter of its own, so that
// all keys of a script are on one server.
const slots = 64

// keys are those of one id. They are kept as arguments of commands.
type keys struct {
	lock    any // of a semaphore: the sorted set of claims by expiry
	info    any // of a semaphore: the tokens of its claims, and its limit
	counter any
	channel string
	tomb    string // prefix
}

func keysOf(key string) keys {
	hash := uint32(2166136261) // FNV-1a
	for i := range len(key) {
		hash = (hash ^ uint32(key[i])) * 16777619
	}
	slot := "{" + strconv.Itoa(int(hash%slots)) + "}"
	k := slot + key
	namespace := strings.IndexByte(key, '/') + 1
	namespace += strings.IndexByte(key[namespace:], '/') // "sync/<namespace>"
	return keys{lock: k, info: k + "!info", channel: k, tomb: k + "!", counter: slot + key[:namespace] + "/token"}
}

// run runs a script, and once more if nobody knows whether it ran.
func (n *node) run(ctx context.Context, s *script, c *claim, more ...any) (reply any, repeated bool, err error) {
	args := make([]any, 0, 10)
	args = append(args, "EVALSHA", s.hash, s.keys)
	all := [...]any{c.k.lock, c.k.counter, nil, c.k.info}
	for i := range s.keys.(int) {
		if i == 2 {
			all[i] = c.k.tomb + c.Nonce
		}
		args = append(args, all[i])
	}
	args = append(append(args, c.mark, c.ttl), more...)
	for {
		reply, err = n.batch.do(ctx, args)
		if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
			reply, err = n.batch.do(ctx, append([]any{"EVAL", s.source}, args[2:]...))
		}
		if err = redisconn.WriteError(err); err == nil || repeated || ctx.Err() != nil || !errors.Is(err, fault.UnknownOutcome) {
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

func (n *node) acquire(ctx context.Context, c *claim) (answer, error) {
	a := answer{sent: time.Now()}
	var reply any
	var err error
	switch {
	case c.Limit > 1:
		reply, _, err = n.run(ctx, acquirePermit, c, c.Limit)
	case c.Watched:
		reply, _, err = n.run(ctx, acquireWatched, c, c.Owner)
	default:
		reply, _, err = n.run(ctx, acquireLock, c, c.Nonce+" - "+c.Owner)
	}
	if err != nil {
		return a, err
	}
	switch token := reply.(type) {
	case int64:
		a.granted, a.token = true, uint64(token)
		return a, nil
	case string: // a semaphore's
		a.granted = true
		a.token, err = strconv.ParseUint(token, 10, 64)
		return a, err
	}
	fields, _ := reply.([]any)
	code := int64(-1)
	if len(fields) > 0 {
		code, _ = fields[0].(int64)
	}
	switch {
	case code == 0 && len(fields) == 3:
		ms, _ := fields[1].(int64)
		a.left = time.Duration(max(ms, 1)) * time.Millisecond
		a.holder = parse(fmt.Sprint(fields[2]))
		return a, nil
	case code == 2:
		return a, fault.Markf(fault.Lost, "released before it was granted")
	case code == 3 && len(fields) == 2:
		return a, fault.Markf(fault.Conflict, "limit %d, but others use %v", c.Limit, fields[1])
	}
	return a, fmt.Errorf("redis answered %v", reply)
}

// renew reports whether the claim was there.
func (n *node) renew(ctx context.Context, c *claim) (bool, error) {
	script := renewLock
	if c.Limit > 1 {
		script = renewPermit
	}
	reply, _, err := n.run(ctx, script, c)
	return reply == int64(1), err
}

// release reports whether the claim was there. dig keeps a late acquire out.
func (n *node) release(ctx context.Context, c *claim, dig bool) (bool, error) {
	if dig {
		if _, _, err := n.run(ctx, bury, c); err != nil {
			return false, err
		}
	}
	script := releaseLock
	if c.Limit > 1 {
		script = releasePermit
	}
	reply, repeated, err := n.run(ctx, script, c)
	return reply == int64(1) || repeated, err
}

// raise makes the claim's token at least that. It reports whether the claim was
// there.
func (n *node) raise(ctx context.Context, c *claim, token uint64) (bool, error) {
	reply, _, err := n.run(ctx, raise, c, strconv.FormatUint(token, 10))
	return reply == int64(1), err
}

// holder returns who holds a lock, and for how long if nobody renews.
func (n *node) holder(ctx context.Context, key string) (dsync.Candidate, time.Duration, error) {
	type result struct {
		value string
		left  time.Duration
	}
	r, err := redisconn.Do(ctx, n.conn, func(ctx context.Context) (result, error) {
		var value *goredis.StringCmd
		var left *goredis.DurationCmd
		_, err := n.conn.Pipelined(ctx, func(p goredis.Pipeliner) error {
			value, left = p.Get(ctx, key), p.PTTL(ctx, key)
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
