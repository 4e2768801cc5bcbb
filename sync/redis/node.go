package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn"
	redisconn "github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	dsync "github.com/micro/go-platform/sync"
	goredis "github.com/redis/go-redis/v9"
)

// node is one place that scripts run at: a server, or a cluster.
type node struct {
	conn *redisconn.Client
	hub  *hub
	way  batch.Group[request]
	life context.Context
	end  context.CancelFunc
}

// request is a script on its way.
type request struct {
	args  []any
	reply any
	err   error
}

// once is a command that a client does not send again by itself, however its
// MaxRetries is set: run repeats a script, and knows then that it may have run
// before. A release that is found done would else be a lock that was lost.
type once struct{ *goredis.Cmd }

// NoRetry implements goredis.Cmder.
func (once) NoRetry() bool { return true }

func newNode(c *redisconn.Client) *node {
	n := &node{conn: c, hub: newHub(c)}
	n.life, n.end = context.WithCancel(context.Background())
	n.way = batch.Group[request]{Max: 64, Context: n.life, Alone: n.alone, Run: n.together}
	return n
}

func (n *node) close() error {
	n.hub.close()
	n.end()
	err := n.conn.Close()
	n.way.Wait()
	return err
}

// alone sends a request on its caller's goroutine. With a client of the user's
// it may be left behind.
func (n *node) alone(ctx context.Context, r *request) {
	sent := &request{args: r.args}
	_, err := redisconn.Do(ctx, n.conn, func(ctx context.Context) (struct{}, error) {
		cmd := once{goredis.NewCmd(ctx, sent.args...)}
		_ = n.conn.Process(ctx, cmd)
		sent.reply, sent.err = cmd.Result()
		return struct{}{}, sent.err
	})
	if over := conn.Ended(ctx); err != nil && over != nil && errors.Is(err, over) {
		r.err = over
		return
	}
	r.reply, r.err = sent.reply, sent.err
}

// together sends requests in one pipeline.
func (n *node) together(ctx context.Context, rs []*request) {
	ctx, cancel := context.WithTimeout(ctx, requestLimit)
	defer cancel()
	p := n.conn.Pipeline()
	cmds := make([]once, len(rs))
	for i, r := range rs {
		cmds[i] = once{goredis.NewCmd(ctx, r.args...)}
		_ = p.Process(ctx, cmds[i])
	}
	_, err := p.Exec(ctx)
	for i, r := range rs {
		r.reply, r.err = cmds[i].Result()
		if r.err == nil && r.reply == nil { // never sent, for a reason that is not its own
			r.err = err
		}
	}
}

// requestLimit bounds a pipeline of several callers' requests.
const requestLimit = 5 * time.Second

func (n *node) do(ctx context.Context, args []any) (any, error) {
	r := &request{args: args}
	if _, err := n.way.Do(ctx, r); err != nil {
		return nil, err
	}
	return r.reply, r.err
}

// bounded is a context with a deadline that only Deadline tells of, where that
// is enough.
type bounded struct {
	context.Context
	deadline time.Time
}

func bound(ctx context.Context, d time.Duration) context.Context {
	return &bounded{ctx, time.Now().Add(d)}
}

// Deadline implements context.Context.
func (b *bounded) Deadline() (time.Time, bool) {
	if t, ok := b.Context.Deadline(); ok && t.Before(b.deadline) {
		return t, true
	}
	return b.deadline, true
}

// run runs a script, and once more if nobody knows whether it ran.
func (n *node) run(ctx context.Context, s *script, key any, nonce string, ttl any, more ...any) (reply any, repeated bool, err error) {
	args := append(make([]any, 0, 9), "EVALSHA", s.hash, "1", key, nonce, ttl)
	args = append(args, more...)
	for {
		reply, err = n.do(ctx, args)
		if err != nil && goredis.HasErrorPrefix(err, "NOSCRIPT") {
			reply, err = n.do(ctx, append([]any{"EVAL", s.source}, args[2:]...))
		}
		err = redisconn.WriteError(err)
		if err == nil || repeated || conn.Ended(ctx) != nil || !errors.Is(err, fault.UnknownOutcome) {
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

// flag is how scripts are told.
func flag(on bool) string {
	if on {
		return "1"
	}
	return "0"
}

func (n *node) acquire(ctx context.Context, c *claim) (answer, error) {
	a := answer{sent: time.Now()}
	var reply any
	var err error
	if c.Limit > 1 {
		reply, _, err = n.run(ctx, acquirePermit, c.key, c.Nonce, c.ttl, c.Limit)
	} else {
		reply, _, err = n.run(ctx, acquireLock, c.key, c.Nonce, c.ttl, c.Owner, flag(c.Watched))
	}
	if err != nil {
		return a, err
	}
	if token, ok := reply.(string); ok {
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
	reply, _, err := n.run(ctx, script, c.key, c.Nonce, c.ttl)
	return reply == int64(1), err
}

// release reports whether the claim was there. dig keeps a late acquire out.
func (n *node) release(ctx context.Context, c *claim, dig bool) (bool, error) {
	script := releaseLock
	if c.Limit > 1 {
		script = releasePermit
	}
	reply, repeated, err := n.run(ctx, script, c.key, c.Nonce, c.ttl, flag(dig))
	return reply == int64(1) || repeated, err
}

// agree makes the claim's token that. It reports whether the claim was there.
func (n *node) agree(ctx context.Context, c *claim, token uint64) (bool, error) {
	reply, _, err := n.run(ctx, agree, c.key, c.Nonce, c.ttl, strconv.FormatUint(token, 10), flag(c.Watched))
	return reply == int64(1), err
}

// holder returns who holds a lock, and for how long if nobody renews.
func (n *node) holder(ctx context.Context, key string) (dsync.Candidate, time.Duration, error) {
	reply, _, err := n.run(ctx, whoHolds, key, "", 0)
	if err != nil {
		if errors.Is(err, fault.UnknownOutcome) { // it reads
			err = conn.Ended(ctx)
			if err == nil {
				err = fault.Markf(fault.Unavailable, "no answer")
			}
		}
		return dsync.Candidate{}, 0, err
	}
	fields, _ := reply.([]any)
	if len(fields) != 2 {
		return dsync.Candidate{}, 0, fmt.Errorf("redis answered %v", reply)
	}
	ms, _ := fields[1].(int64)
	return parse(fmt.Sprint(fields[0])), time.Duration(ms) * time.Millisecond, nil
}

// parse reads a holder's token and owner.
func parse(v string) dsync.Candidate {
	token, owner, _ := strings.Cut(v, " ")
	n, _ := strconv.ParseUint(token, 10, 64)
	return dsync.Candidate{Owner: owner, Token: n}
}
