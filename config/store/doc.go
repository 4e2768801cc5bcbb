// Package store keeps configuration documents with their history: who changed
// what, when and why, and back again.
//
//	st, err := store.New()                                   // in this process
//	st, err := store.New(storekv.Backend(redisStore))         // shared, on any kv store
//	v, err := st.Set(ctx, "shop/prod", "server.port", 8443, store.Author("ann"), store.Comment("TLS"))
//	cfg, err := config.New(config.WithSource(st.Source("shop", "prod", "orders")))
//
// # Backends
//
// Memory is the default. config/store/kv keeps documents in a kv store: redis,
// etcd, consul. config/store/sql keeps them in SQLite, MySQL or PostgreSQL.
// Anyone can write another with driver.go and storetest alone.
//
// # Semantics
//
// A namespace is a name of parts with slashes between ("shop/prod/orders") and
// holds one JSON document. Namespaces don't see each other; Source lays them
// over each other, base first.
//
// Every write makes a new version, numbered from 1 without gaps, and nothing
// ever changes an old one. Writes of parts (Set, Unset, Patch, Update) read the
// newest version, change it and add the result on condition that it is still
// the newest, again if it isn't: writers can't lose each other's changes.
// IfVersion makes a write fail with ErrConflict instead. Rollback is a new
// version too. A deleted document has a version that says so, and goes on
// counting if it is written again.
//
// # Errors
//
// ErrUnavailable is a write that certainly was not applied. ErrUnknownOutcome
// is one that may have been; the store has looked for it and got no answer.
//
// # Closing
//
// Close ends the sources' watches and waits for calls in progress. A client or
// a database that the user brought stays open.
package store
