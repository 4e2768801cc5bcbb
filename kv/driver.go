package kv

import (
	"context"
	"time"
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
// More abilities are the interfaces of package kv/driver, found by type
// assertion. A driver that has one only sometimes says so in Features, which
// then counts.
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
