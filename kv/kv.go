package kv

import (
	"context"
	"iter"
	"time"
)

// KV is a store of values by key. All methods may be called concurrently. A
// key is any non-empty valid UTF-8 string of at most MaxKey bytes; a value is
// any bytes, also none. The meaning of every method is the same on every
// backend; what a backend lacks returns ErrUnsupported and stands in Features.
type KV interface {
	// Get returns the item at key, or ErrNotFound. With the option Expiry the
	// item's Expires is always set if it has one; without, only where that costs
	// nothing.
	Get(ctx context.Context, key string, opts ...GetOption) (Item, error)

	// GetMany returns the items that exist, by key, in one round trip where
	// the backend can. Absent keys are absent. If some keys could not be read
	// it returns the others and a *BatchError.
	GetMany(ctx context.Context, keys ...string) (map[string]Item, error)

	// Put writes a copy of value at key and returns the revision it made. Options: TTL,
	// IfAbsent (ErrExists), IfRevision (ErrConflict). Without TTL the item
	// lives indefinitely, also if it had a life before.
	Put(ctx context.Context, key string, value []byte, opts ...PutOption) (Revision, error)

	// PutMany writes several values, in one round trip where the backend can.
	// It is not atomic: a *BatchError names the keys that failed. The only
	// option is TTL.
	PutMany(ctx context.Context, values map[string][]byte, opts ...PutOption) error

	// Delete removes key. A missing key is no error, but with IfRevision it
	// is ErrConflict.
	Delete(ctx context.Context, key string, opts ...DeleteOption) error

	// Add adds delta to the decimal number at key, atomically, and returns the
	// sum. A missing key counts as 0. TTL, the only option, starts the life of
	// a counter that Add creates; an existing one keeps its own. A value that
	// is no number, or a sum that overflows, is ErrInvalid.
	Add(ctx context.Context, key string, delta int64, opts ...PutOption) (int64, error)

	// List yields the items whose keys begin with prefix, ordered by key
	// (bytewise), reading pages as it goes: what changes meanwhile may or may
	// not be seen. The empty prefix is every key. An error ends the sequence.
	List(ctx context.Context, prefix string, opts ...ListOption) iter.Seq2[Item, error]

	// Watch yields an EventPut for every item that is there, EventSynced when
	// that state is complete, and from then on every change, in order for each
	// key; a write of what is there already is none. A slow reader skips values in between but never the last one.
	//
	// After a gap (the backend was unavailable, or compacted what this watch had not
	// seen) the state is read again: changed items are put, vanished ones
	// deleted, and EventSynced comes again. An outage, or a refusal (ErrDenied),
	// is yielded once, as an error with an empty Event; the sequence goes on if the reader does, until
	// ctx ends or the store is closed.
	Watch(ctx context.Context, prefix string) iter.Seq2[Event, error]

	// Features says what the backend can do. It asks no server.
	Features() Features

	// Close ends the watches, waits for calls in progress and releases the
	// backend. A client that the user brought stays open.
	Close() error
}

// Item is one key and what is stored there.
type Item struct {
	Key      string
	Value    []byte // to be read, not changed: other readers may share it
	Revision Revision
	Expires  time.Time // when its life ends, by this machine's clock; zero: never, or see Expiry
}

// Revision names one state of one key, for IfRevision. It is opaque: equal or
// not, never more or less. 0 is the revision of a key that is not there.
type Revision uint64

// EventKind says what an Event tells.
type EventKind uint8

// The kinds of events.
const (
	EventPut    EventKind = iota + 1 // Item is there, or has changed
	EventDelete                      // Item.Key is gone: deleted, expired or evicted
	EventSynced                      // everything that was there has been told; Item is empty
)

// String returns "put", "delete" or "synced".
func (k EventKind) String() string {
	switch k {
	case EventPut:
		return "put"
	case EventDelete:
		return "delete"
	case EventSynced:
		return "synced"
	}
	return "none"
}

// Event is a change that Watch tells of.
type Event struct {
	Kind EventKind
	Item Item
}

// MaxKey is how many bytes a key may have, on every backend, with its
// namespace.
const MaxKey = 1024

// Features says what a backend can do.
type Features struct {
	Backend      string        // "memory", "redis"; set by New
	List         bool          // List works
	Watch        bool          // Watch works
	Batch        bool          // GetMany and PutMany share round trips
	Counter      bool          // Add is one round trip; else it is a loop over IfRevision
	Versions     bool          // two writes of the same bytes have different revisions
	Linearizable bool          // a read sees every write that was answered before it began
	Durable      bool          // what was written outlives the backend's processes
	Shared       bool          // other processes see the same items
	Evicts       bool          // items may be dropped before their time, to stay within a bound
	Local        bool          // calls stay in this process: no I/O, no default timeout
	Deadlines    bool          // calls keep their context's deadline by themselves, see Driver
	ExpiryStep   time.Duration // how much longer than its TTL an item may be readable, at most
	MaxValue     int           // bytes; 0: no limit
}

// New opens a store. Without a backend among the options it is the embedded
// one, which keeps the items in this process. New fails with ErrInvalid if an
// option is wrong and with ErrUnavailable if the backend does not answer
// within the dial timeout, unless WithLazy is given.
func New(opts ...Option) (KV, error) { return newFront(opts) }
