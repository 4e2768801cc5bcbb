// Package etcd is the kv backend on etcd 3.4 and later.
//
//	store, err := kv.New(etcd.Backend("127.0.0.1:2379"), kv.WithNamespace("shop"))
//	store, err := kv.New(etcd.Backend("etcds://app:secret@a:2379,b:2379,c:2379"))
//
// # Backends
//
// Package engine/etcd has the forms of an address, TLS, credentials and timeouts.
//
// Keys and values are stored as they are, under "namespace/key": other programs
// read and write them. A revision is etcd's mod revision.
//
// # Semantics
//
// Reads and writes are linearizable. A write is one transaction; one with a
// condition on an item that has a life is two requests.
//
// A life is a lease. etcd counts leases in seconds, from two up, and removes
// late, so the id of the lease says the exact end, as a time of day: an item is
// not there any more from then on, by the reader's clock. Items that end in the
// same second, or tenth of a second for lives under a minute, share a lease.
//
// A watch goes on where it stopped. If etcd has compacted that away, the state
// is read again.
//
// A value may have a mebibyte, since a request may have a mebibyte and a half.
//
// # Errors
//
// As in package kv. Without a quorum everything is ErrUnavailable.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open. Leases
// end by themselves.
package etcd
