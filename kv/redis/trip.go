package redis

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/micro/go-platform/internal/batch"
	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// How calls travel, always through the client:
//
//	alone        on the caller's goroutine, one command
//	in company   those that come while others are on the way share a pipeline,
//	             one stream of them for each server
//	large        alone, so that nobody else's small call waits for it

const (
	perTrip      = 128       // calls in one pipeline, at most
	bytesPerTrip = 128 << 10 // and about how many bytes
)

// do sends o, with others if others are there, and returns when it is answered
// or ctx ends.
func (d *driver) do(ctx context.Context, o *op) error {
	if d.alone || o.size() >= large {
		d.lone(ctx, o)
		return o.err
	}
	n, err := d.node(ctx, o.key)
	if err != nil {
		return err
	}
	certainlyNot, err := n.Do(ctx, o)
	switch {
	case err == nil:
		return o.err
	case !certainlyNot && o.writes():
		return fault.Mark(kv.ErrUnknownOutcome, err)
	}
	return err
}

// lone makes a call on its caller's goroutine, and returns promptly when ctx
// ends.
func (d *driver) lone(ctx context.Context, o *op) {
	sent := d.own(ctx, o)
	_, err := redis.Do(ctx, d.client, func(ctx context.Context) (struct{}, error) {
		d.exchange(ctx, []*op{sent})
		return struct{}{}, sent.err
	})
	switch over := conn.Ended(ctx); {
	case err == nil || over == nil || !errors.Is(err, over):
		*o = *sent
	case o.writes():
		o.err = fault.Mark(kv.ErrUnknownOutcome, over)
	default:
		o.err = over
	}
}

// own returns o, or if it may be left behind when ctx ends, a copy that nobody else
// changes.
func (d *driver) own(ctx context.Context, o *op) *op {
	if d.client.Owned() || ctx.Done() == nil {
		return o
	}
	c := *o
	c.value = bytes.Clone(o.value)
	return &c
}

// newNode makes the stream of pipelines to one server.
func (d *driver) newNode() *batch.Group[op] {
	return &batch.Group[op]{
		Max: perTrip, MaxBytes: bytesPerTrip, Size: (*op).size, Context: d.life, Lanes: &d.lanes,
		// What is queued may be left by its caller, who may then change the value.
		Queued: func(o *op) { o.value = bytes.Clone(o.value) },
		Alone:  d.lone,
		Run: func(ctx context.Context, ops []*op) {
			ctx, cancel := context.WithTimeout(ctx, d.timeout)
			defer cancel()
			d.exchange(ctx, ops)
		},
	}
}

// node returns the stream to the server that has key.
func (d *driver) node(ctx context.Context, key string) (*batch.Group[op], error) {
	var server *goredis.Client
	if d.cluster != nil {
		var err error
		server, err = d.owner(ctx, key)
		if err != nil {
			return nil, err
		}
	}
	if n, ok := d.nodes.Load(server); ok {
		return n.(*batch.Group[op]), nil
	}
	n, there := d.nodes.LoadOrStore(server, d.newNode())
	if !there && d.cluster != nil {
		d.forget(ctx)
	}
	return n.(*batch.Group[op]), nil
}

// owner returns the primary that has key, as far as the client knows.
func (d *driver) owner(ctx context.Context, key string) (*goredis.Client, error) {
	var (
		server *goredis.Client
		err    error
	)
	if d.known.Load() {
		server, err = d.cluster.MasterForKey(ctx, key)
	} else { // the client asks the cluster for its slots
		server, err = redis.Do(ctx, d.client, func(ctx context.Context) (*goredis.Client, error) {
			return d.cluster.MasterForKey(ctx, key)
		})
		d.known.Store(err == nil)
	}
	if err != nil {
		if over := conn.Ended(ctx); over != nil {
			return nil, over
		}
		return nil, fault.Mark(kv.ErrUnavailable, err)
	}
	return server, nil
}

// forget drops the streams to servers that are no primaries any more.
func (d *driver) forget(ctx context.Context) {
	masters, err := redis.Masters(ctx, d.client)
	if err != nil {
		return
	}
	present := map[any]bool{}
	for _, m := range masters {
		present[m] = true
	}
	d.nodes.Range(func(server, _ any) bool {
		if !present[server] {
			d.nodes.Delete(server)
		}
		return true
	})
}

// exchange sends ops and stores their answers. What certainly was not done, and
// a read whose connection was lost, is sent again once.
func (d *driver) exchange(ctx context.Context, ops []*op) {
	d.send(ctx, ops)
	var again []*op
	for _, o := range ops {
		switch {
		case o.err == nil:
		case goredis.HasErrorPrefix(o.err, "NOSCRIPT"):
			o.whole = true
			again = append(again, o)
		case !o.writes() && lost(o.err) && conn.Ended(ctx) == nil:
			again = append(again, o)
		}
	}
	if len(again) > 0 {
		d.send(ctx, again)
	}
	unreachable := false
	for _, o := range ops {
		o.settle()
		unreachable = unreachable || errors.Is(o.err, fault.Unavailable)
	}
	if unreachable && d.cluster != nil {
		d.cluster.ReloadState(ctx)
	}
}

// lost reports whether a connection broke before the answer came, not for want
// of time.
func lost(err error) bool {
	return redis.Answer(err) == "" && !errors.Is(err, fault.NotFound) && !conn.TimedOut(err)
}

// send makes one round trip.
func (d *driver) send(ctx context.Context, ops []*op) {
	cmds := ops[0].commands(ctx)
	if len(ops) == 1 && len(cmds) == 1 {
		_ = d.client.Process(ctx, cmds[0])
		ops[0].answer()
		return
	}
	cmds = slices.Grow(cmds, len(ops)-1)
	for _, o := range ops[1:] {
		cmds = append(cmds, o.commands(ctx)...)
	}
	p := d.client.Pipeline()
	for _, c := range cmds {
		_ = p.Process(ctx, c)
	}
	_, _ = p.Exec(ctx) // each command has its error
	for _, o := range ops {
		o.answer()
	}
}

// milliseconds rounds up.
func milliseconds(d time.Duration) int64 {
	d = min(d, maxLife)
	return int64(d/time.Millisecond) + min(int64(d%time.Millisecond), 1)
}

// maxLife is the longest life that is asked for: 100 years. What is over 290
// overflows in the client.
const maxLife = 100 * 365 * 24 * time.Hour
