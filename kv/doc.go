// Package kv is a shared key-value store: one interface, with one meaning, on
// memory, Redis, memcached, etcd, Consul, a SQL database, or the memory of the
// service's own instances.
//
//	store, err := kv.New()                                // in this process
//	store, err := kv.New(redis.Backend("127.0.0.1:6379")) // the same code on Redis
//
//	rev, err := store.Put(ctx, "users/1", []byte("Ada"), kv.TTL(time.Hour))
//	item, err := store.Get(ctx, "users/1")
//	_, err = store.Put(ctx, "users/1", []byte("Ada L."), kv.IfRevision(rev))
//
// On top of any store stand [Update] (read, change, write if nobody else did)
// and [Typed] (values of a Go type). Package kv/cache has a near cache and a
// loader (one load per key, however many ask).
//
// # Backends
//
// The embedded default keeps items in this process, bounded in bytes: see
// [Memory]. Others are folders below this one, each with Backend(address,
// options...) and WithClient for a client that the user already has. What each
// can do stands in docs/features.md, which a test generates from
// [Features]. A backend of your own is a [Driver], with the abilities of
// package kv/driver that it has; its test is package kvtest, and [WithDriver]
// makes it an option.
//
//	caller → KV: checks, namespace, deadline, errors → Driver → server
//	              │
//	              └ what the backend lacks: Add as a loop, batches as single calls
//
// # Semantics
//
// A write is atomic, and its condition (IfAbsent, IfRevision) is decided in
// the same step. A [Revision] is opaque: it is compared, not counted. Where
// Features.Versions is not set (Redis, whose values stay readable for other
// programs) it names the bytes, so a value that comes back is the same
// revision.
//
// A TTL goes from a millisecond to years. Backends that count in seconds
// round up, never to an item without end; Item.Expires tells when the life ends. Where a
// backend cannot keep the exact end it is stored with the item as a time of
// day, and then is as exact as the clocks of the machines agree.
//
// What was given to Put may be changed afterwards; the Value of an Item may not,
// since the store and other readers may share it. bytes.Clone makes a copy that
// may.
//
// # Errors
//
// Every error says package, backend, operation and key: `kv/redis: get
// "users/1": not found`. errors.Is reaches both the kind (ErrNotFound, …) and
// the cause. ErrUnavailable means that nothing was applied, so the call may be
// made again; ErrUnknownOutcome means that a write may have been applied, and
// it is never made again by this package unless that does no harm. A caller's
// own context that ends is its error, context.Canceled or DeadlineExceeded;
// for a write in flight together with ErrUnknownOutcome.
//
// # Closing
//
// Close may be called more than once and concurrently. It ends watches and
// lists, waits for calls in progress and for the store's goroutines; calls
// after it return ErrClosed. Nothing is buffered, so nothing is lost.
package kv
