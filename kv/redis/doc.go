// Package redis is the kv backend on Redis 6.2 and later, on Valkey, and on what
// speaks their protocol: one server, a primary that sentinels know, or a
// cluster.
//
//	store, err := kv.New(redis.Backend("127.0.0.1:6379"))
//	store, err := kv.New(redis.On(e)) // an engine that several packages share
//
// # Backends
//
// A value is a plain Redis string under its plain key ("namespace/key"), so
// other programs read it with GET and write it with SET. A revision is a
// digest of the value: it sees what other programs write, and a value that
// comes back has its old revision. Counters are Redis integers.
//
// Package engine/redis has the forms of an address, TLS, credentials, timeouts and
// limits. Every call goes through go-redis, so its failover, redirects, hooks and
// credentials providers apply.
//
// # Semantics
//
// A call is one command on one key, so all calls work while a cluster moves the
// key's slot. Get with the option kv.Expiry is two commands. A lone call is sent
// at once; calls that come while others are on the way share a pipeline with
// each other. Values of 16 KiB and more travel alone. A context that ends
// returns at once.
//
// No write is sent twice, whatever MaxRetries a client of your own has: one whose
// answer was lost is ErrUnknownOutcome. A read is sent again once.
//
// A conditional write is one script that compares the revision. If the value
// there has 16 KiB or more, it is read and compared in this process and written
// in a transaction (WATCH): three round trips and once the value over the network
// more, but the server, whose one thread all its clients share, hashes nothing.
//
// A watch is notified by the servers themselves of what anybody changes, and of
// what expires or is evicted: by the invalidation messages of client-side caching
// (CLIENT TRACKING, in broadcasting mode), over RESP3 and one connection to each
// primary. Without RESP3, as through some proxies, it is ErrUnsupported. It needs no
// rights on channels, and no writer has to help. A server tells that an item has
// expired when it removes it, which may be a moment after nobody can read it any
// more. After a lost connection or another primary the
// watch reads the whole state again. Package kv/cache, with WithFollow, keeps a near cache
// by the same messages, without reading anything that nobody asks for. Each
// prefix that is followed is notified of every change below it: on a busy server
// follow what is read much more than it is written, such as one namespace.
//
// A server with a maxmemory-policy other than noeviction drops items when its
// memory is full: with volatile policies those that have a TTL, with allkeys
// policies any. That suits a cache. New logs it, and a watch sees it. When there
// is nothing to drop, writes are ErrUnavailable and change nothing; Get and Delete
// work.
//
// Redis replicates after it has answered: what a failover loses is lost here
// too.
//
// # Errors
//
// As in package kv. A server that says it cannot now (loading, read-only, out
// of memory, cluster down) is ErrUnavailable, and one that refuses the password
// or has no rights for the user is ErrDenied: nothing was done. A key of another
// type than string is ErrInvalid.
//
// # Closing
//
// Close waits for round trips on the way. It closes the engine that Backend
// opened; one given to On stays open.
package redis
