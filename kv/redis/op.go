package redis

import (
	"context"
	"crypto/sha1"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

type opKind uint8

const (
	opGet opKind = iota
	opSet
	opCreate // only if nothing is there
	opDelete
	opAdd
	opPutIf    // only if the value is still the one that has the revision
	opDeleteIf // the same
)

// op is one call. All but a Get that asks for the expiry are one command.
type op struct {
	kind  opKind
	key   string
	value []byte
	rev   kv.Revision
	ttl   int64 // milliseconds; 0: none
	life  bool  // the item's expiry is wanted

	whole bool // the script is sent as a text: the server does not know it
	get   *goredis.StringCmd
	pttl  *goredis.DurationCmd
	write once

	item kv.Item
	n    int64 // delta of opAdd, then its sum; of a conditional write what the script answered
	err  error
}

// What the scripts of conditional writes answer.
const (
	refused = 0  // another value is there, or none
	done    = 1  //
	bulky   = -1 // the value there is large: not hashed on the server
)

// writes reports whether o changes something.
func (o *op) writes() bool { return o.kind != opGet }

// large is how many bytes a value has that is not hashed on the server, whose
// one thread all its clients share, nor sent together with others' calls.
const large = 16 << 10

// revision is a digest of the value, since a value is stored as it is: of a
// small one the first 64 bits of its SHA-1, which scripts can make too.
func revision(value []byte) kv.Revision {
	if len(value) >= large {
		return kv.Revision(max(xxhash.Sum64(value), 1))
	}
	sum := sha1.Sum(value)
	return kv.Revision(max(binary.BigEndian.Uint64(sum[:]), 1))
}

// condition is how scripts compare a revision.
func condition(r kv.Revision) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(r))
	return hex.EncodeToString(b[:])
}

// once is a command that no client sends twice, whatever its settings: that
// its answer was lost does not say that it was not done.
type once struct{ *goredis.Cmd }

// NoRetry implements goredis.Cmder.
func (once) NoRetry() bool { return true }

// size is how many bytes o sends.
func (o *op) size() int { return len(o.key) + len(o.value) }

// commands makes what is sent for o.
func (o *op) commands(ctx context.Context) []goredis.Cmder {
	o.err = nil
	var args []any
	switch o.kind {
	case opGet:
		o.get = goredis.NewStringCmd(ctx, "get", o.key)
		if !o.life {
			return []goredis.Cmder{o.get}
		}
		o.pttl = goredis.NewDurationCmd(ctx, time.Millisecond, "pttl", o.key)
		return []goredis.Cmder{o.get, o.pttl}
	case opSet, opCreate:
		args = append(make([]any, 0, 6), "set", o.key, o.value)
		if o.kind == opCreate {
			args = append(args, "nx")
		}
		if o.ttl > 0 {
			args = append(args, "px", o.ttl)
		}
	case opDelete:
		args = []any{"del", o.key}
	case opAdd:
		if o.ttl == 0 {
			args = []any{"incrby", o.key, o.n}
			break
		}
		args = o.script(addScript, o.n, o.ttl)
	case opPutIf:
		args = o.script(putScript, condition(o.rev), o.value, o.ttl)
	case opDeleteIf:
		args = o.script(deleteScript, condition(o.rev))
	}
	o.write = once{goredis.NewCmd(ctx, args...)}
	return []goredis.Cmder{o.write}
}

// script returns the words that run one.
func (o *op) script(s *script, args ...any) []any {
	words := make([]any, 0, 4+len(args))
	if o.whole {
		words = append(words, "eval", s.text)
	} else {
		words = append(words, "evalsha", s.hash)
	}
	return append(append(words, "1", o.key), args...)
}

// answer reads what o's commands brought.
func (o *op) answer() {
	switch o.kind {
	case opGet:
		o.item, o.err = o.read()
	case opSet, opDelete:
		o.err = o.write.Err()
	case opCreate:
		o.err = o.write.Err()
		if errors.Is(o.err, goredis.Nil) {
			o.err = kv.ErrExists
		}
	default:
		o.err = o.write.Err()
		if o.err == nil {
			o.n, o.err = o.write.Int64()
		}
	}
}

// read makes an item of what GET and PTTL answered.
func (o *op) read() (kv.Item, error) {
	value, err := o.get.Bytes()
	if errors.Is(err, goredis.Nil) {
		return kv.Item{}, kv.ErrNotFound
	}
	if err != nil {
		return kv.Item{}, err
	}
	if value == nil {
		value = []byte{}
	}
	item := kv.Item{Key: o.key, Value: value, Revision: revision(value)}
	if !o.life {
		return item, nil
	}
	left, err := o.pttl.Result()
	switch {
	case err != nil:
		return kv.Item{}, err
	case left == -2: // it expired in between; such answers come without a unit
		return kv.Item{}, kv.ErrNotFound
	case left >= 0:
		item.Expires = time.Now().Add(max(left, time.Millisecond))
	}
	return item, nil
}

// settle gives o's error its kind.
func (o *op) settle() {
	switch {
	case o.err == nil, errors.Is(o.err, fault.Exists):
	case o.writes():
		o.err = redis.WriteError(o.err)
	default:
		o.err = redis.ReadError(o.err)
		if fault.KindOf(o.err) == context.DeadlineExceeded { // the client's own, not the caller's
			o.err = fault.Mark(kv.ErrUnavailable, o.err)
		}
	}
}
