package redis

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/micro/go-platform/internal/conn/redis"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/kv"
	goredis "github.com/redis/go-redis/v9"
)

// swapTries is how often a conditional write of a large value starts over, when
// somebody else writes between its reading and its writing. Each time the
// revision is compared, so this goes on only while the same value comes back.
const swapTries = 16

// swap is a conditional write where the present value is large: it is read and
// compared here, and written in a transaction that fails if anybody wrote
// meanwhile (WATCH, https://redis.io/docs/latest/develop/using-commands/transactions/).
// The server copies bytes and hashes nothing.
func (d *driver) swap(ctx context.Context, o *op) error {
	var written atomic.Bool
	o = d.own(ctx, o)
	_, err := redis.Do(ctx, d.client, func(ctx context.Context) (struct{}, error) {
		server, ok := d.client.UniversalClient.(*goredis.Client)
		if d.cluster != nil {
			var err error
			server, err = d.owner(ctx, o.key)
			if err != nil {
				return struct{}{}, err
			}
		} else if !ok {
			return struct{}{}, fault.Markf(kv.ErrUnsupported, "a conditional write of %d bytes or more through a %T", large, d.client.UniversalClient)
		}
		for range swapTries {
			written.Store(false)
			err := server.Watch(ctx, func(tx *goredis.Tx) error {
				value, err := tx.Get(ctx, o.key).Bytes()
				if errors.Is(err, goredis.Nil) || err == nil && revision(value) != o.rev {
					return kv.ErrConflict
				}
				if err != nil {
					return err
				}
				written.Store(true)
				return o.commit(ctx, tx)
			}, o.key)
			switch {
			case isMoved(err):
				return struct{}{}, d.swapMoved(ctx, o, &written)
			case !errors.Is(err, goredis.TxFailedErr):
				return struct{}{}, err
			}
		}
		return struct{}{}, fault.Markf(kv.ErrUnavailable, "changed %d times while it was written", swapTries)
	})
	switch {
	case err == nil, errors.Is(err, fault.Conflict), errors.Is(err, fault.Unavailable):
		return err
	case written.Load():
		return redis.WriteError(err)
	}
	return redis.ReadError(err)
}

func isMoved(err error) bool {
	return goredis.HasErrorPrefix(err, "MOVED") || goredis.HasErrorPrefix(err, "ASK")
}

// swapMoved is swap while a cluster moves the key: transactions are not
// redirected, a script of one key is. It is sent the whole old value.
func (d *driver) swapMoved(ctx context.Context, o *op, written *atomic.Bool) error {
	written.Store(false)
	value, err := d.client.Get(ctx, o.key).Bytes()
	if errors.Is(err, goredis.Nil) || err == nil && revision(value) != o.rev {
		return kv.ErrConflict
	}
	if err != nil {
		return err
	}
	words := []any{value}
	if o.kind == opPutIf {
		words = append(words, o.value, o.ttl)
	}
	written.Store(true)
	cmd := once{goredis.NewCmd(ctx, o.script(sameScript, words...)...)}
	_ = d.client.Process(ctx, cmd)
	if goredis.HasErrorPrefix(cmd.Err(), "NOSCRIPT") {
		o.whole = true
		cmd = once{goredis.NewCmd(ctx, o.script(sameScript, words...)...)}
		_ = d.client.Process(ctx, cmd)
	}
	switch n, err := cmd.Int64(); {
	case err != nil:
		return err
	case n == refused:
		return kv.ErrConflict
	}
	return nil
}

// commit writes without a condition, but only if nobody has written since
// WATCH. The client's own transactions do not tell why a command was refused.
func (o *op) commit(ctx context.Context, tx *goredis.Tx) error {
	u := op{kind: opSet, key: o.key, value: o.value, ttl: o.ttl}
	if o.kind == opDeleteIf {
		u.kind = opDelete
	}
	write := u.commands(ctx)[0]
	exec := once{goredis.NewCmd(ctx, "exec")}
	p := tx.Pipeline()
	for _, c := range []goredis.Cmder{once{goredis.NewCmd(ctx, "multi")}, write, exec} {
		_ = p.Process(ctx, c)
	}
	_, _ = p.Exec(ctx)
	switch {
	case write.Err() != nil: // refused, and so was the rest
		return write.Err()
	case errors.Is(exec.Err(), goredis.Nil):
		return goredis.TxFailedErr
	}
	return exec.Err()
}
