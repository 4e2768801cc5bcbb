// Package redis is the kv backend on Redis 6.2 and later, and on what speaks
// its protocol: one server, a primary that sentinels know, or a cluster.
//
//	store, err := kv.New(redis.Backend("127.0.0.1:6379"))
//	store, err := kv.New(redis.Backend("rediss://app:secret@a:6379,b:6379"))             // a cluster
//	store, err := kv.New(redis.Backend("redis+sentinel://a:26379,b:26379/mymaster"))
//
// # Backends
//
// A value is a plain Redis string under its plain key ("namespace/key"), so
// other programs read it with GET and write it with SET. A revision is a
// digest of the value: it sees what other programs write, and a value that
// comes back has its old revision. Counters are Redis integers.
//
// # Semantics
//
// A call that finds others on the way shares a round trip with those that
// wait; a lone one goes at once. A context that ends returns at once.
//
// Conditional writes and Add are scripts that leave a mark behind for ten
// seconds, so one whose answer was lost is sent again, is done once, and answers
// as it did, also if the first comes late, after the second. Plain
// Put and Delete whose answer was lost are ErrUnknownOutcome. A client that is
// brought by WithClient and sends commands again by itself (MaxRetries) may do
// a plain Put twice.
//
// Writes of this package tell the watches of all processes, on a channel per
// key. A watch reads the whole state again after a lost connection. It does
// not see writes of other programs, unless they publish the key's channel:
// PUBLISH kv:<key> "". WithoutWatch saves that message.
//
// Redis replicates after it has answered: what a failover loses is lost here
// too.
//
// # Errors
//
// As in package kv. A server that says it cannot now (loading, read-only, out
// of memory, cluster down) is ErrUnavailable: nothing was done. A key of
// another type than string is ErrInvalid.
//
// # Closing
//
// Close waits for round trips on the way and closes the client, unless the
// user brought it.
package redis
