// Package store puts a wrapper's observers around a kv.KV, a db.DB and a
// sync.Sync: what they are asked is traced, counted and timed.
//
//	sessions := store.KV(w, sessions, "redis")
//	orders := store.DB(w, orders, "postgresql")
//	locks := store.Sync(w, locks, "etcd")
//
// # Semantics
//
// A call has a span below that in its context, is in the metrics under
// OpenTelemetry's names (db.client.operation.duration), and in the monitor and
// the log like a call to a service: docs/semconv.md lists names and attributes.
// The system is the value of db.system.name, such as "redis", "memcached",
// "postgresql", "mysql", "sqlite" or "cassandra". Keys, ids and values are in
// none of them, but for the id of a lock in its span.
//
// That something isn't there, is there already, was changed by another or is
// held by another is an answer, not a failure. What Tx does is one call, and
// its operations are calls below it. A List, or an All of a table, lasts until
// its reader stops. Watches and elections, which last as long as the program,
// are not observed.
//
// # Errors
//
// Errors pass as they are, and so does the meaning of every method.
//
// # Closing
//
// Close closes what was given, whose user closes it before the Wrapper.
package store
