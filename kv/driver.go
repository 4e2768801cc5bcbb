package kv

import (
	"context"
	"iter"
	"time"

	"github.com/micro/go-platform/internal/watch"
)

// Driver is what a backend does. The store in front of it, made by New, owns
// everything that is the same everywhere: it checks keys, values and options,
// adds the namespace, bounds calls, wraps errors and knows when it is closed.
// A driver keeps these rules; package kvtest shows whether it does.
//
//  1. Keys arrive valid: non-empty UTF-8 of at most MaxKey bytes, namespace
//     included. A backend that is narrower encodes them so that no two keys
//     meet, and gives them back as they came.
//  2. A driver neither keeps nor changes the slice that it is given, also if the
//     call is left while it is on its way. What it returns it never changes
//     again; nobody else does either.
//  3. Every write is atomic, and its condition is decided in the same step:
//     of any number of concurrent writes with the same IfRevision, or with
//     IfAbsent, one succeeds. Reading first and writing then is wrong unless
//     the backend itself refuses the write after a change in between.
//  4. A Revision is never 0. It changes with every write of other bytes, and
//     with every write at all if Features.Versions is set: then a key deleted
//     and made again, or a value that comes back, has a new one, also after a
//     restart of the backend.
//  5. An item whose TTL has passed is not there, for any method, however late
//     the backend removes it. Expires is told by this machine's clock. A TTL
//     is rounded up to what the backend counts in, by no more than
//     Features.ExpiryStep; a very long one is cut to the longest the backend
//     knows, never to none.
//  6. A value over Features.MaxValue never arrives. A backend that refuses one
//     all the same returns ErrTooLarge with the old value in place.
//  7. Errors are kinds (ErrNotFound itself, or fault.Mark(kind, cause) inside
//     this module, or anything whose Unwrap reaches the kind and the cause):
//     ErrUnavailable only if the backend certainly did not apply the call,
//     ErrUnknownOutcome if a write was sent and its answer did not come. A
//     write of unknown outcome is not sent again unless the backend answers
//     the second as it answered the first.
//  8. A call returns promptly when ctx ends, also while it waits for the
//     network, with ctx's error; a write in flight returns ErrUnknownOutcome
//     that carries it. What is cancelled leaves nothing that the caller cannot
//     see: no connection out of step, no late write by a retry.
//     The deadline of a call without one is set by WithTimeout. If
//     Features.Deadlines is set, that is a context that has a Deadline but
//     whose Done does not tell of it, which costs no timer.
//  9. No ctx is kept after the call. Methods are called concurrently. Close is
//     called once, after the last call; it leaves open a client that the user
//     brought, and no goroutine.
//
// More abilities are the interfaces below, found by type assertion. A driver
// that has one only sometimes says so in Features, which then counts.
type Driver interface {
	// Ping asks the backend for a sign of life. Its error names the address.
	Ping(ctx context.Context) error

	// Get returns the item, or ErrNotFound.
	Get(ctx context.Context, key string) (Item, error)

	// Put applies w and returns the revision that it made; ErrExists if
	// w.IfAbsent and the key is there, ErrConflict if w.IfRevision is not 0 and
	// not the key's.
	Put(ctx context.Context, w Write) (Revision, error)

	// Delete removes the key. If rev is not 0 and not the key's it returns
	// ErrConflict, also for a missing key, which is else no error.
	Delete(ctx context.Context, key string, rev Revision) error

	// Features does no I/O and always returns the same.
	Features() Features

	// Close releases the backend.
	Close() error
}

// Write is one Put.
type Write struct {
	Key        string
	Value      []byte
	TTL        time.Duration // 0: no end; else at least a millisecond
	IfAbsent   bool
	IfRevision Revision // 0: any

	conditional bool // IfRevision was given, also as 0
}

// ExpiryDriver is a driver whose Get leaves Expires out, since it costs another
// command. A driver without it always sets Expires.
type ExpiryDriver interface {
	// GetExpiring is Get with Expires.
	GetExpiring(ctx context.Context, key string) (Item, error)
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
	// the rest with a *BatchError, its errors as of Get.
	GetMany(ctx context.Context, keys []string) (map[string]Item, error)

	// PutMany applies writes without conditions, of different keys. The result
	// is nil if all went well, else one error or nil for each write.
	PutMany(ctx context.Context, writes []Write) []error
}

// CounterDriver adds in one step. Without it the store loops over Get and Put
// with IfRevision.
type CounterDriver interface {
	// Add follows KV.Add; ttl is 0 for none. A value that is not a decimal
	// int64, and a sum that is none, are ErrInvalid.
	Add(ctx context.Context, key string, delta int64, ttl time.Duration) (int64, error)
}

// ListDriver lists. Without it List is ErrUnsupported.
type ListDriver interface {
	// List yields the items with the prefix whose keys are greater than after,
	// in bytewise order of the keys, and nothing twice. It reads a bounded page
	// at a time and ends after its first error.
	List(ctx context.Context, prefix, after string) iter.Seq2[Item, error]
}

// WatchDriver follows changes. Without it Watch is ErrUnsupported.
type WatchDriver interface {
	// Watch is one session: it tells sink what happens under prefix until it
	// fails or ctx ends. The store runs it again and again, with jittered
	// waits, and turns its reports into the events of KV.Watch.
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
// after the session has returned.
type Sink interface {
	// Put tells that the item is there, now or again.
	Put(Item)

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
