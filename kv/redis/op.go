package redis

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
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

// form says how a script is sent.
type form uint8

const (
	byName   form = iota // its hash: the server knows it
	whole                // its text: the server does not
	onceMore             // its text, with a look at whether it was done already
)

// op is one call on its way.
type op struct {
	kind  opKind
	key   string
	value []byte
	cond  string // "absent" or 16 hexadecimal digits
	ttl   int64  // milliseconds, 0: for ever
	once  string // the key under which a script leaves its answer
	form  form   // in which the script is sent

	item kv.Item
	n    int64 // delta of opAdd and its sum; whether a conditional write was done
	err  error
	lost bool // it was sent, and no answer came

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

func condition(r kv.Revision) string { return fmt.Sprintf("%016x", uint64(r)) }

// The scripts. KEYS: the key, and the key under which the answer is left for ten
// seconds, so that the same request sent again answers the same and does
// nothing. Whoever sends a request for the first time need not look for it.
const (
	lookBack = `
local was = redis.call('GET', KEYS[2])
if was then return was end
`
	ifMatch = `
local call = redis.call
local cur = call('GET', KEYS[1])
if ARGV[1] == 'absent' then
	if cur then return '0' end
elseif not cur or string.sub(redis.sha1hex(cur), 1, 16) ~= ARGV[1] then
	return '0'
end
`
	putScript = ifMatch + `
if ARGV[3] == '0' then
	call('SET', KEYS[1], ARGV[2])
else
	call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
call('SET', KEYS[2], '1', 'PX', 10000)
return '1'
`
	deleteScript = ifMatch + `
call('DEL', KEYS[1])
call('SET', KEYS[2], '1', 'PX', 10000)
return '1'
`
	// INCRBY's own answer would go through a float and lose digits.
	addScript = `
local call = redis.call
local there = call('EXISTS', KEYS[1])
call('INCRBY', KEYS[1], ARGV[1])
if there == 0 and ARGV[2] ~= '0' then call('PEXPIRE', KEYS[1], ARGV[2]) end
local answer = call('GET', KEYS[1])
call('SET', KEYS[2], answer, 'PX', 10000)
return answer
`
)

// script is one script, for the first time and for being sent again.
type script struct {
	first, again         *goredis.Script
	firstText, againText string
}

func newScript(text string) script {
	return script{goredis.NewScript(text), goredis.NewScript(lookBack + text), text, lookBack + text}
}

var (
	putIf    = newScript(putScript)
	deleteIf = newScript(deleteScript)
	add      = newScript(addScript)
)

// do sends o, with others if others are there, and returns when it is answered
// or ctx ends.
func (d *driver) do(ctx context.Context, o *op) error {
	if o.scripted() {
		o.once = d.onceKey(o.key)
	}
	n, err := d.node(ctx, o.key)
	if err != nil {
		return err
	}
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
			o.form = whole
			again = append(again, o)
		case lost(o.err) && (o.scripted() || !o.writes()):
			o.form = onceMore
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
		o.form = onceMore
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
	eval := func(s script, args ...any) goredis.Cmder {
		// Always with a look back: the client may send it again by itself.
		if o.form == byName {
			return s.again.EvalSha(ctx, p, []string{o.key, o.once}, args...)
		}
		return s.again.Eval(ctx, p, []string{o.key, o.once}, args...)
	}
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
	case opPutIf:
		o.cmd = eval(putIf, o.cond, o.value, o.ttl)
	case opDeleteIf:
		o.cmd = eval(deleteIf, o.cond)
	case opAdd:
		o.cmd = eval(add, o.n, o.ttl)
	}
	if o.kind != opGet && !d.silent {
		p.Publish(ctx, channelPrefix+o.key, "")
	}
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
	text, _ := o.cmd.(*goredis.Cmd).Text()
	o.n, o.err = strconv.ParseInt(text, 10, 64)
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

const (
	channelPrefix = "kv:" // of the channel where changes of a key are told
	oncePrefix    = "go-platform:once:"
)

// onceKey returns a new key for a request's answer, in the slot of key.
func (d *driver) onceKey(key string) string {
	if d.cluster == nil {
		return oncePrefix + d.request()
	}
	return oncePrefix + "{" + slotTag(slotOf(key)) + "}" + d.request()
}

// ours reports whether key is one of a request's answers.
func ours(key string) bool { return strings.HasPrefix(key, oncePrefix) }
