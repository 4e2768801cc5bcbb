// Package redis is a backend of package discovery on Redis, 5 and newer.
//
//	d, err := discovery.New(redis.Backend("127.0.0.1:6379"))
//
// # Backends
//
// One server, a primary that sentinels know, or a cluster; the address says
// which. Package engine/redis has its forms, TLS, credentials and limits.
//
// # Semantics
//
// A service is three keys in one slot, and a channel on which changes are
// told:
//
//	discovery:{<namespace>/<service>}:i   hash: the instances as JSON, by id
//	discovery:{<namespace>/<service>}:t   sorted set: when they expire, by the server's clock
//	discovery:{<namespace>/<service>}:d   sorted set: who deregistered in the last 10 minutes
//
// The keys expire when nobody uses them; discovery:services is an index of
// names. Readers listen to the channels of their services on one connection.
// They read a service when its channel says so, when its first instance may
// have expired, and else every 15 s (WithPoll): with heartbeats that is once in
// two thirds of a TTL, or less.
//
// Redis acknowledges before it replicates, so a failover may lose a
// registration; the next heartbeat brings it back. Don't use a database that
// evicts keys.
//
// # Errors
//
// As in package discovery.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open.
package redis
