// Package nats keeps event streams in NATS JetStream, server 2.9 or later.
//
//	s, err := event.New(nats.Backend("127.0.0.1:4222"), event.WithNamespace("shop"))
//
// # Semantics
//
// A stream is one JetStream stream, "events-<namespace>", on file storage, with
// the subjects "events.<namespace>.<type>". A group is a durable consumer. Positions
// are stream sequences. A record published again within two minutes under the
// same ID is stored once. Several records of one Publish are not atomic. The
// server does not sync every record to disk by default.
//
// Groups and queries are sent only the types that they select, unless their
// patterns cross each other, as "a.*" and "*.b" do. Queries by Source and Subject read
// all records of their types. For those by ID and Root each process remembers eight bytes
// of each of the newest four million records: the first one reads the stream, the next
// only what is new.
//
// On a cluster (WithReplicas) consumers are on any of the servers that keep the stream, and
// one of these may be behind. Reads ask the stream's leader whether something is missing, and wait for
// it: a query finds all that was acknowledged before, or fails. Retention does the same for
// each group. Lag and Groups are what the group's own server knows, which may be a moment
// old. While a stream has no leader, for some seconds after its server died, calls are
// event.ErrUnavailable or event.ErrUnknownOutcome.
//
// PublishAt and Schedule need a server 2.11 or later, else they are
// event.ErrUnsupported. What is published later is in a stream of its own,
// "later-events-<namespace>", which is made when something is first scheduled. Each
// process that publishes or subscribes remembers when each entry is due, in 24 bytes, and
// asks the server once a second for what is new. The records' stream holds a few messages
// that are no records: one from the first time that something is due, and one more for
// each process that dies while it publishes. The server's own message schedules (2.12 to
// 2.15) are not used. They have to be in the stream that they publish to, where they would
// take positions among its records, and retention would remove them. Besides, the server
// may publish a schedule that was just cancelled, and may lose one that replaces another
// while that is published.
//
// The server counts every hand-out, so a record that was given back without
// being tried has one attempt less.
//
// Ordered groups have one working member at a time: it renews an entry of a
// key-value bucket, and another takes over when it has seen no renewal for
// AckWait by its own clock. The new one begins after the last record before
// which all are acknowledged, so records above it may come again. With Partitions each
// part is such a group, and the bucket has an entry for each member that lives.
//
// # Errors
//
// A Publish without an answer is event.ErrUnknownOutcome; while the connection
// is down it is event.ErrUnavailable.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open.
package nats
