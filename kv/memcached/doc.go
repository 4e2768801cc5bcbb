// Package memcached is the kv backend on one or several memcached servers,
// version 1.4 and later.
//
//	store, err := kv.New(memcached.Backend("127.0.0.1:11211"))
//	store, err := kv.New(memcached.Backend("a:11211,b:11211,c:11211"))
//
// # Backends
//
// Keys are spread over several servers by ketama, the same in every process
// that names the same servers. A server that is down takes its keys with it:
// they are ErrUnavailable, since giving them to its neighbours would bring back
// old values when it returns.
//
// An item is stored in an envelope: the name of the write that made it, the
// exact end of its life, and the key if that is too long for memcached (over
// 250 bytes; a hash stands for it then). Items that other programs wrote are
// read as they are; others read ours with the envelope, 18 bytes, in front.
//
// # Semantics
//
// memcached counts lives in seconds, takes more than 30 days for a date, and
// less than one second as no limit. So it is given a little more than was asked
// for, and the exact end stands in the envelope as a time of day: it is as
// exact as the machines' clocks agree. No life goes beyond January 2038, the
// last date that memcached knows.
//
// Conditional writes read, then use memcached's cas: two round trips, and
// atomic. The name of the write is what a revision is, since cas numbers start
// again when the server does. Add is a loop over that. There is no List and no
// Watch.
//
// A value may have a mebibyte less two kilobytes, or less if a server says so
// (its option -I); what is larger is ErrTooLarge before it is sent. Of other programs'
// items those of up to 32 MiB are read.
//
// A call that finds others on the way shares a round trip with those that
// wait; a lone one goes at once. A context that ends returns at once.
//
// # Errors
//
// As in package kv. A write whose answer was lost is looked for once: if its
// item is there it was done; if not, it is ErrUnknownOutcome.
//
// # Closing
//
// Close waits for round trips on the way and closes the connections, unless
// the user brought the client.
package memcached
