package redis

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/conn/stream"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	"github.com/micro/go-platform/kv/internal/batch"
	goredis "github.com/redis/go-redis/v9"
)

type opKind uint8

const (
	opGet opKind = iota
	opSet
	opDelete
	opPutIf
	opDeleteIf
	opAdd
)

// op is one call on its way.
type op struct {
	kind  opKind
	key   string
	value []byte
	cond  string // "absent" or 16 hexadecimal digits
	ttl   int64  // milliseconds, 0: for ever

	// Of a script:
	request int64  // its number, which no other has
	mark    string // the key in which it is noted
	whole   bool   // sent as a text: the server does not know it

	item  kv.Item
	n     int64 // delta of opAdd and its sum; whether a conditional write was done
	err   error
	lost  bool // it was sent, and no answer came
	again bool // it was sent a second time, and the first may still be on its way

	// The commands that were sent for it.
	get  *goredis.StringCmd
	life *goredis.DurationCmd
	cmd  goredis.Cmder
}

// scripted reports whether o is a script: it can be sent again.
func (o *op) scripted() bool { return o.kind >= opPutIf }

// writes reports whether o changes something.
func (o *op) writes() bool { return o.kind != opGet }

// revision is a digest of the value that a script can make too: the first 64
// bits of its SHA-1, the hash that Redis offers.
func revision(value []byte) kv.Revision {
	sum := sha1.Sum(value)
	return kv.Revision(max(binary.BigEndian.Uint64(sum[:]), 1))
}

func condition(r kv.Revision) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(r))
	return hex.EncodeToString(b[:])
}

// do sends o, with others if others are there, and returns when it is answered
// or ctx ends.
func (d *driver) do(ctx context.Context, o *op) error {
	n, err := d.node(ctx, o.key)
	if err != nil {
		return err
	}
	if !o.scripted() {
		return d.trip(ctx, n, o)
	}
	tag := ""
	if d.cluster != nil {
		tag = slotTag(slotOf(o.key))
	}
	o.request, o.mark = d.requests.Add(1), d.marks.take(tag)
	if err = d.trip(ctx, n, o); err == nil && !o.again {
		d.marks.give(tag, o.mark)
	}
	return err
}

func (d *driver) trip(ctx context.Context, n *node, o *op) error {
	if d.alone && !n.Slow {
		d.run(ctx, n, []*op{o})
		return d.result(ctx, o)
	}
	certainlyNot, err := n.Do(ctx, o)
	switch {
	case certainlyNot:
		return err
	case err != nil:
		return d.ended(o, err)
	}
	return d.result(ctx, o)
}

// result is the error of an answered call, with what its context has to say.
func (d *driver) result(ctx context.Context, o *op) error {
	if o.lost {
		if err := stream.Ended(ctx); err != nil {
			return d.ended(o, err)
		}
	}
	return o.err
}

// ended is the error of a call whose context ended on its way.
func (d *driver) ended(o *op, err error) error {
	if o.writes() {
		return fault.Mark(kv.ErrUnknownOutcome, err)
	}
	return err
}

// node is one server, and the calls on their way to it.
type node struct {
	batch.Group[op]
	send func(ctx context.Context, ops []*op)
	drop func()
}

// newNode makes the way to the server of a client: connections of our own, or
// the client itself if the user brought it, so that its hooks see the calls.
func (d *driver) newNode(c goredis.UniversalClient) *node {
	n := &node{drop: func() {}}
	n.Max, n.Context = 128, d.life
	n.Run = func(ctx context.Context, ops []*op) { d.run(ctx, n, ops) }
	if one, ok := c.(*goredis.Client); ok && d.client.Owned() {
		w := newWire(d, one.Options())
		n.send, n.drop = w.send, w.pool.Close
		return n
	}
	n.Slow = true
	if d.alone {
		n.Max = 1
	}
	n.send = func(ctx context.Context, ops []*op) {
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		d.pipeline(ctx, c, ops)
	}
	return n
}

// node returns the server that has key.
func (d *driver) node(ctx context.Context, key string) (*node, error) {
	c := d.client.UniversalClient
	if d.cluster != nil {
		var (
			one *goredis.Client
			err error
		)
		if d.known.Load() {
			one, err = d.cluster.MasterForKey(ctx, key)
		} else { // the client asks the cluster for its slots
			one, err = redis.Do(ctx, func(ctx context.Context) (*goredis.Client, error) {
				return d.cluster.MasterForKey(ctx, key)
			})
			d.known.Store(err == nil)
		}
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, fault.Mark(kv.ErrUnavailable, err)
		}
		c = one
	}
	if n, ok := d.nodes.Load(c); ok {
		return n.(*node), nil
	}
	n, _ := d.nodes.LoadOrStore(c, d.newNode(c))
	return n.(*node), nil
}

// run sends ops to one server and stores their answers. What was not done, or
// can be done twice, is sent again once.
func (d *driver) run(ctx context.Context, n *node, ops []*op) {
	n.send(ctx, ops)
	var again []*op
	moved := false
	for _, o := range ops {
		if o.err == nil {
			continue
		}
		switch {
		case isMoved(o.err):
			moved = true
			d.redirect(ctx, o)
		case goredis.HasErrorPrefix(o.err, "NOSCRIPT"):
			o.whole = true
			again = append(again, o)
		case lost(o.err) && (o.scripted() || !o.writes()):
			o.again, o.whole = true, true
			again = append(again, o)
		}
	}
	if len(again) > 0 && ctx.Err() == nil {
		n.send(ctx, again)
	}
	unreachable := false
	for _, o := range ops {
		if o.err == nil {
			continue
		}
		o.lost = lost(o.err)
		if o.writes() {
			o.err = redis.WriteError(o.err)
		} else {
			o.err = redis.ReadError(o.err)
		}
		unreachable = unreachable || errors.Is(o.err, kv.ErrUnavailable)
	}
	if (moved || unreachable) && d.cluster != nil {
		d.cluster.ReloadState(ctx)
	}
}

func isMoved(err error) bool {
	return goredis.HasErrorPrefix(err, "MOVED") || goredis.HasErrorPrefix(err, "ASK")
}

// lost reports whether a call was sent and no answer came.
func lost(err error) bool {
	var answer goredis.Error
	return err != nil && !errors.As(err, &answer) && !errors.Is(err, kv.ErrNotFound) && !errors.Is(err, kv.ErrUnavailable)
}

// redirect sends o where the cluster says that its key has gone.
func (d *driver) redirect(ctx context.Context, o *op) {
	if d.cluster != nil {
		ctx, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		o.again, o.whole = true, true
		d.pipeline(ctx, d.cluster, []*op{o})
	}
}

// pipeline makes one round trip through a client.
func (d *driver) pipeline(ctx context.Context, c goredis.UniversalClient, ops []*op) {
	p := c.Pipeline()
	for _, o := range ops {
		d.queue(ctx, p, o)
	}
	_, _ = p.Exec(ctx) // each command has its own error
	for _, o := range ops {
		o.answer()
	}
}

// queue adds o's commands.
func (d *driver) queue(ctx context.Context, p goredis.Pipeliner, o *op) {
	switch o.kind {
	case opGet:
		o.get, o.life = p.Get(ctx, o.key), p.PTTL(ctx, o.key)
	case opSet:
		if o.ttl > 0 {
			o.cmd = p.Do(ctx, "SET", o.key, o.value, "PX", o.ttl)
		} else {
			o.cmd = p.Do(ctx, "SET", o.key, o.value)
		}
	case opDelete:
		o.cmd = p.Do(ctx, "DEL", o.key)
	default:
		o.cmd = queueScript(ctx, p, o)
	}
	if o.kind != opGet && !d.silent {
		p.Publish(ctx, channelPrefix+o.key, "")
	}
}

func queueScript(ctx context.Context, p goredis.Pipeliner, o *op) goredis.Cmder {
	keys, args := []string{o.key, o.mark}, []any{o.request}
	if o.kind == opAdd {
		args = append(args, o.n)
	} else {
		args = append(args, o.cond)
	}
	if o.kind == opPutIf {
		args = append(args, o.value)
	}
	if o.ttl > 0 {
		args = append(args, o.ttl)
	}
	if o.whole {
		return o.kind.script().Eval(ctx, p, keys, args...)
	}
	return o.kind.script().EvalSha(ctx, p, keys, args...)
}

// answer reads what o's commands brought.
func (o *op) answer() {
	o.err = nil
	if o.kind == opGet {
		o.item, o.err = itemOf(o.key, o.get, o.life)
		return
	}
	if o.err = o.cmd.Err(); o.err != nil || !o.scripted() {
		return
	}
	o.n, o.err = o.cmd.(*goredis.Cmd).Int64() // also of a text
}

// itemOf makes the item of a value and its life, as the client has them.
func itemOf(key string, get *goredis.StringCmd, life *goredis.DurationCmd) (kv.Item, error) {
	value, err := get.Bytes()
	switch {
	case errors.Is(err, goredis.Nil):
		return kv.Item{}, kv.ErrNotFound
	case err != nil:
		return kv.Item{}, err
	case life.Err() != nil:
		return kv.Item{}, life.Err()
	}
	left := life.Val()
	if left < 0 { // -1 and -2 come without a unit
		left *= time.Millisecond
	}
	return makeItem(key, value, false, left)
}

// makeItem makes an item of what GET and PTTL answered.
func makeItem(key string, value []byte, null bool, left time.Duration) (kv.Item, error) {
	if null || left == -2*time.Millisecond { // its life ended in between
		return kv.Item{}, kv.ErrNotFound
	}
	if value == nil {
		value = []byte{}
	}
	item := kv.Item{Key: key, Value: value, Revision: revision(value)}
	if left >= 0 {
		item.Expires = time.Now().Add(max(left, time.Millisecond))
	}
	return item, nil
}

const channelPrefix = "kv:" // of the channel where changes of a key are told
