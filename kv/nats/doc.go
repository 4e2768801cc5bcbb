// Package nats keeps items of package kv in a key-value bucket of NATS JetStream,
// server 2.11 or later.
//
// # Backends
//
// One server or a cluster (WithReplicas). The bucket (WithBucket) is created if
// it is not there, and is one that NATS' own clients and command line read: an
// item is the last message of its subject. The hierarchy of NATS is by dots, so
// slash and dot change places, and what a subject can't hold is "=" and two hex
// digits:
//
//	shop/cart/17   $KV.kv.shop.cart.17
//	a.b c          $KV.kv.a/b=20c
//
// # Semantics
//
// Conditions are decided by the server (Nats-Expected-Last-Subject-Sequence). A
// revision is the message's sequence number times two, plus one if it has a TTL.
// An item ends at the millisecond that it carries, by the clocks of the
// machines that read it; the server removes it within two seconds after that. A
// bucket of your own needs allow_msg_ttl for TTLs, else they are ErrUnsupported.
// A deletion leaves a marker for an hour, which other clients may see.
//
// Reads are answered by the leader of the bucket. For a moment after it was cut
// off from the others it may answer with what it had, so reads of a replicated
// bucket are not linearizable; conditional writes are right in any case. A
// server writes to its disk every two minutes by default (sync_interval): the
// death of its process loses nothing, that of its machine may.
//
// List and Watch ask for what is below the last slash of the prefix, and List
// reads the names of that before the first page. A watch begins with the whole
// state again after every loss of the connection.
//
// # Errors
//
// As in package kv. The server's limit of a message (max_payload) and that of
// the bucket are ErrTooLarge. A user who is not let in gets ErrDenied; one who
// lacks rights on subjects gets no answer from NATS: reads are ErrUnavailable,
// writes ErrUnknownOutcome, when their time is over.
//
// # Closing
//
// Close closes the engine that Backend opened; one given to On stays open.
package nats
