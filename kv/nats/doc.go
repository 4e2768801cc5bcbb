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
// In a cluster all is read from the leader of the bucket, so that a read sees every
// write that was acknowledged before. There is one exception: a leader that is cut
// off from the others may answer with what it had, for the ten seconds or so until
// it steps down. Conditional writes are right in any case. While no server leads,
// nothing is read: that takes some seconds after the death of a leader.
//
// A server writes to its disk every two minutes by default (sync_interval): the
// death of its process loses nothing, that of its machine may.
//
// List and Watch ask for what is below the last slash of the prefix, and List
// reads the names of that before the first page. A watch begins with the whole
// state again after every loss of the connection. In a cluster it is held until it is as
// new as the leader's at the beginning of the watch, so a watch does not go back.
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
