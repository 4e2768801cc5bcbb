// Package redis keeps event streams in Redis Streams, version 7 or later.
//
//	s, err := event.New(redis.Backend("127.0.0.1:6379"), event.WithNamespace("shop"))
//
// # Semantics
//
// A stream is one Redis stream, "{event:<namespace>}", and a group is one of its
// consumer groups; so redis-cli shows what is there. Positions are its entry
// ids. Records are as durable as the server is configured: with "appendonly
// yes" and "appendfsync everysec" a crash of the server loses up to a second.
// A primary that fails over may lose what it had not replicated.
//
// What a dead member had is taken over with XAUTOCLAIM after AckWait. Ordered
// groups have one working member at a time, chosen by a key that expires after
// AckWait; it stops by its own clock before the key is gone. Retention removes
// entries only below everything that any group has still to do, in one script.
//
// Each subscription uses one connection while it waits. In a cluster a stream
// lives on one node; namespaces spread.
//
// # Errors
//
// A Publish whose reply was lost is event.ErrUnknownOutcome.
//
// # Closing
//
// A client given by WithClient stays open.
package redis
