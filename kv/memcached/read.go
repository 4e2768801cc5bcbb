package memcached

import (
	"context"
	"errors"

	"github.com/micro/go-platform/internal/conn"
	"github.com/micro/go-platform/internal/conn/memcached"
	"github.com/micro/go-platform/kv"
)

// found is an item as it is stored now.
type found struct {
	item kv.Item
	cas  uint64
	dead bool // its life is over, though memcached still has it
}

// look reads what is stored at key, nil if nothing is.
func (d *driver) look(ctx context.Context, key string) (*found, error) {
	for try := 0; ; try++ {
		op := &memcached.Op{Verb: memcached.Get, Key: wireKey(key)}
		err := d.do(ctx, op)
		if err == nil {
			return unseal(key, op), nil
		}
		// A connection that had died unnoticed says nothing about the server.
		if try > 0 || ctx.Err() != nil || !errors.Is(err, memcached.ErrLost) || conn.TimedOut(err) {
			return nil, err
		}
	}
}

func (d *driver) Get(ctx context.Context, key string) (kv.Item, error) {
	f, err := d.look(ctx, key)
	switch {
	case err != nil:
		return kv.Item{}, err
	case f == nil || f.dead:
		return kv.Item{}, kv.ErrNotFound
	}
	return f.item, nil
}
