// Package etcd is the connection to an etcd cluster, 3.4 and later, which the etcd
// backends of all packages stand on.
//
//	e, err := etcd.Open("etcds://app:secret@a,b,c")
//	store, err := kv.New(kvetcd.On(e))
//	locks, err := sync.New(syncetcd.On(e))
//
// # Addresses
//
// "host", "host:port", several members as "a:2379,b:2379,c:2379", or a URL with the
// scheme etcd or http (plain), etcds or https (TLS): "etcds://user:password@a,b,c".
// The port is 2379.
//
// # Semantics
//
// The client is etcd's own. All backends share one connection, which moves to
// another member when one fails.
//
// # Errors
//
// As in package engine.
//
// # Closing
//
// Close closes the connection. A client given to FromClient stays open.
package etcd
