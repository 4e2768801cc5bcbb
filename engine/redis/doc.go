// Package redis is the connection to Redis 6.2 and later, to Valkey, and to what
// speaks their protocol, which the redis backends of all packages stand on.
//
//	e, err := redis.Open("127.0.0.1:6379")
//	store, err := kv.New(kvredis.On(e))
//	registry, err := discovery.New(discoveryredis.On(e))
//
// # Addresses
//
// "host", "host:port" or a URL; the port is 6379, that of sentinels 26379:
//
//	redis://user:password@host:6379/2           rediss:// with TLS; the path is the database
//	redis://a:6379,b:6379,c:6379                a cluster, found through any of them
//	redis+cluster://host:6379                   a cluster, found through one of its nodes
//	redis+sentinel://a:26379,b:26379/mymaster   the primary that sentinels know by that name
//
// rediss+cluster and rediss+sentinel use TLS. "a:6379,b:6379" is a cluster.
//
// # Semantics
//
// The client is go-redis, so its failover, redirects, hooks, credentials and
// limits apply. Commands of all backends share one pool to each server. Beside
// it, each subscription, each near cache, and each command that blocks has a
// connection of its own while it lasts. A write whose repetition would do harm is
// sent once by the client, whatever MaxRetries one of your own has; what does none,
// such as the renewal of a registration, it may repeat.
//
// go-redis writes lines about broken connections and failovers to standard
// error, for the whole process; its SetLogger takes them elsewhere.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close closes the connections. A client given to FromClient stays open.
package redis
