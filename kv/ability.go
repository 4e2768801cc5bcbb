package kv

import (
	"context"
	"iter"
	"time"
)

// What a driver may do beyond Driver, as package kv/driver describes it. These
// are the same interfaces: that package imports this one, so it can't be
// imported here. A test holds them equal.

type expiryDriver interface {
	GetExpiring(ctx context.Context, key string) (Item, error)
}

type batchDriver interface {
	GetMany(ctx context.Context, keys []string) (map[string]Item, error)
	PutMany(ctx context.Context, writes []Write) []error
}

type counterDriver interface {
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

type listDriver interface {
	List(ctx context.Context, prefix, after string) iter.Seq2[Item, error]
}

type watchDriver interface {
	Watch(ctx context.Context, prefix string, from uint64, to sink) error
}

type invalidationDriver interface {
	Invalidations(ctx context.Context, prefix string, to sink) error
}

type sink = interface {
	Put(Item)
	Delete(key string)
	Synced(cursor uint64)
}
