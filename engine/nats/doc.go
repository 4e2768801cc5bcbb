// Package nats is the connection to a NATS server or cluster, 2.11 and later with
// JetStream, which the nats backends of all packages stand on.
//
//	e, err := nats.Open("nats://app:secret@a,b,c")
//	store, err := kv.New(kvnats.On(e))
//	stream, err := event.New(eventnats.On(e))
//
// # Addresses
//
// "host", "host:port", several servers of one cluster as "a:4222,b:4222", or a URL
// with the scheme nats, or tls (TLS): with user and password,
// "nats://user:password@host", or a token, "nats://token@host". The port is 4222.
//
// # Semantics
//
// The client is NATS's own. All backends share one connection, which moves to
// another server when one fails, indefinitely. What cannot be sent at once fails,
// and is not sent later.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close closes the connection. One given to FromClient stays open.
package nats
