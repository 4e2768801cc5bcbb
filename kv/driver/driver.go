// Package driver is for authors of backends of package kv: what a backend may
// do beyond kv.Driver, and what helps to do it. Users of a store do not need it.
// It is imported as kvdriver.
//
// Each ability is an interface that a driver has if it has the methods: the
// store made by kv.New finds it by type assertion. Package kv/kvtest shows
// whether a driver keeps the rules.
package driver

import (
	"context"
	"iter"
	"time"

	"github.com/micro/go-platform/internal/decimal"
	"github.com/micro/go-platform/internal/fault"
	"github.com/micro/go-platform/internal/watch"
	"github.com/micro/go-platform/kv"
)

// ExpiryDriver is a driver whose Get leaves Expires out, since it costs another
// command. A driver without it always sets Expires.
type ExpiryDriver interface {
	// GetExpiring is Get with Expires.
	GetExpiring(ctx context.Context, key string) (kv.Item, error)
}

// AdviceDriver is a driver that can see that its backend is set up so that items
// may be lost. New asks once and logs the advice; "" is none.
type AdviceDriver interface {
	Advice(ctx context.Context) string
}

// BatchDriver reads and writes several keys in shared round trips. Without it
// the store makes the calls one by one, a few at a time.
type BatchDriver interface {
	// GetMany returns what exists, by key. If only some keys failed it returns
	// the rest with a *kv.BatchError, its errors as of Get.
	GetMany(ctx context.Context, keys []string) (map[string]kv.Item, error)

	// PutMany applies writes without conditions, of different keys. The result
	// is nil if all went well, else one error or nil for each write.
	PutMany(ctx context.Context, writes []kv.Write) []error
}

// CounterDriver adds in one step. Without it the store loops over Get and Put
// with IfRevision.
type CounterDriver interface {
	// Add follows kv.KV.Add; ttl is 0 for none. A value that is not a decimal
	// int64, and a sum that is none, are kv.ErrInvalid.
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

// ListDriver lists. Without it List is kv.ErrUnsupported.
type ListDriver interface {
	// List yields the items with the prefix whose keys are greater than after,
	// in bytewise order of the keys, and nothing twice. It reads a bounded page
	// at a time and ends after its first error.
	List(ctx context.Context, prefix, after string) iter.Seq2[kv.Item, error]
}

// WatchDriver follows changes. Without it Watch is kv.ErrUnsupported.
type WatchDriver interface {
	// Watch is one session: it tells sink what happens under prefix until it
	// fails or ctx ends. The store runs it again and again, with jittered
	// waits, and turns its reports into the events of kv.KV.Watch.
	//
	//  1. From 0, it first tells the whole state. It must listen before it
	//     reads, or read a snapshot and listen from there, so that no change
	//     falls in between. Then it calls sink.Synced.
	//  2. From a cursor that it gave to sink.Synced before, it goes on behind
	//     that point and calls Synced once it listens. If the backend no longer
	//     can, it returns ErrGap and the next session starts from 0.
	//  3. Reports about one key come in the order of its changes. An item told
	//     twice does no harm, an older one after a newer one does.
	//  4. It need not tell that an item's life is over: the store knows Expires
	//     and asks with Get.
	//  5. While nothing happens it makes at most one request in five seconds,
	//     and notices a dead peer within thirty.
	//  6. A connection that was lost and made again is a gap, unless the
	//     backend replays what was missed.
	Watch(ctx context.Context, prefix string, from uint64, sink Sink) error
}

// InvalidationDriver is a driver that can tell that keys have changed without
// reading them. Without it, a near cache that follows a prefix listens to Watch.
type InvalidationDriver interface {
	// Invalidations is one session: it calls sink.Synced(0) once it listens, and
	// from then on sink.Delete for every key under prefix that may have changed,
	// whatever has become of it, until it fails or ctx ends. What it may have
	// missed ends it. Rules 5 and 6 of Watch apply, the store runs it again as it
	// does a watch.
	Invalidations(ctx context.Context, prefix string, sink Sink) error
}

// Sink takes what a watch session has to tell. Its methods return at once and
// may be called under locks, but not concurrently for the same key, and not
// after the session has returned. It is an alias because package kv, which this
// one imports, hands it to drivers.
type Sink = interface {
	// Put tells that the item is there, now or again.
	Put(kv.Item)

	// Delete tells that the key is gone.
	Delete(key string)

	// Synced tells that everything up to cursor has been told. In a session
	// from 0 the first call ends the state: what the store knew before and was
	// not told again is gone. 0 means that this backend cannot resume.
	Synced(cursor uint64)
}

// ErrGap is what a watch session returns, bare or wrapped, if it cannot go on
// from its cursor or may have missed something.
var ErrGap = watch.ErrGap

// AddTo returns the sum of a stored number and delta. A value that is no decimal
// int64, or a sum that is none, is kv.ErrInvalid.
func AddTo(value []byte, delta int64) (int64, error) {
	sum, err := decimal.Add(value, delta)
	return sum, fault.Mark(kv.ErrInvalid, err)
}
