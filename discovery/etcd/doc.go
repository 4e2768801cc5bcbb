// Package etcd is a backend of package discovery on etcd, 3.4 and newer.
//
//	d, err := discovery.New(etcd.Backend("127.0.0.1:2379"))
//
// # Backends
//
// One etcd or several members of a cluster, "a:2379,b:2379,c:2379"; the client
// goes on with another when one fails.
//
// # Semantics
//
// An instance is a key. All instances that a Discovery registered with the same
// TTL share a lease, which is renewed and checked once for all of them:
//
//	discovery/<namespace, or ~>/<service>/+<id>   the instance as JSON, with its owner
//	discovery/<namespace, or ~>/<service>/-<id>   it deregistered, for 10 minutes
//
// TTLs are whole seconds, rounded up, and at least what etcd allows: 2 s by
// default. A change of etcd's leader starts them again.
//
// Readers hold one watch per service, all on one stream. While nothing happens
// they ask for a sign of life, together, every 15 s (WithPoll).
//
// # Errors
//
// As in package discovery.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open.
package etcd
