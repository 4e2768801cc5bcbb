// Package kv connects the routers of several processes through any kv.KV: they
// share what they see of instances, and quotas.
//
//	store, err := kv.New(redis.Backend("127.0.0.1:6379"), kv.WithNamespace("router"))
//	exchange, err := routerkv.Exchange(store)
//	ro, err := router.New(router.WithDiscovery(d), router.WithSharing(exchange, router.Sharing{}))
//
//	quota, err := routerkv.NewQuota(store, "partner-api", 100, 100) // of all processes together
//
// # Backends
//
// Any store. Exchange needs one that can list; one that can watch tells of
// changes at once, the others are asked every 2 s. Quota needs counters, which
// every store has.
//
// # Semantics
//
// No call waits for the store, but the first of a process that asks a Quota
// for a slice. While the store is unavailable routers go on with what they see
// themselves, and a Quota does what WithOutage says.
//
// # Errors
//
// Those of the store in what New functions return; a *limits.Error from a
// Quota that is spent.
//
// # Closing
//
// A Quota's Close waits for its last call of the store. The store stays open:
// it is its owner's.
package kv
