// Package consul is the kv backend on Consul's key-value store.
//
//	store, err := kv.New(consul.Backend("127.0.0.1:8500"), kv.WithNamespace("shop"))
//
// # Backends
//
// A value is stored as it is under "namespace/key". Letters, digits and
// "-_~:=@,./" of a key stand for themselves; other bytes are escaped as %XX, as
// are empty and dotted path elements, which Consul's HTTP server would tidy
// away. A key of another program that has other characters, such as a space, is not
// seen. A revision is Consul's modify index.
//
// # Semantics
//
// Reads are consistent, so reads and writes are linearizable. Every write is
// one transaction; one with a condition reads first.
//
// Consul knows no lives but those of sessions, from ten seconds up and late. So
// the end of a life stands in the item's flags, as a time of day;
// an item is not there any more from then on, by the reader's clock. Who wrote
// it removes it then; if that process is gone, the next who meets it does.
//
// A watch is a blocking query for all that begins with the prefix. Each change
// sends all of it again, so watched prefixes are best kept small.
//
// A value may have 352 KiB, what a transaction has room for.
//
// # Errors
//
// As in package kv. Without a leader everything is ErrUnavailable, or
// ErrUnknownOutcome where Consul does not say whether it wrote. A key that the token
// may not read is ErrDenied for Get and GetMany; List and Watch leave it out, since
// Consul does not say that it is there.
//
// # Closing
//
// Close waits for removals on the way. It closes the engine that Backend opened;
// one given to On stays open. What had a life and was not removed yet stays in
// Consul, unseen, until somebody meets it.
package consul
