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
// Queries by ID and Root, and AfterID, use an index beside the stream,
// "{event:<namespace>}:index": the first one makes it, each brings it up to date,
// and it expires a day after the last. It takes about 250 bytes of the server's
// memory for each record; a program that does not look records up pays nothing. A
// user who may not run scripts has the stream read instead.
//
// Set maxmemory-policy to noeviction. A full memory then refuses new records with
// event.ErrUnavailable, while groups go on with those that are there. With the
// volatile policies the server drops the index, which is made again, and the turns
// of ordered groups, so that two members may break the order for a moment; with
// the allkeys policies it drops whole streams. New logs a warning.
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
// Close closes the engine that Backend opened; one given to On stays open.
package redis
